"""Reads Python modules without running them and says what they are for, and how sure it is."""
