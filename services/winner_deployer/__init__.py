"""Puts a proven winner into the real configuration, verifies it there, and takes it back when reality disagrees."""
