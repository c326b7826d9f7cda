"""Turns files dropped into a folder into signals, and writes the answer beside the file at its end."""
