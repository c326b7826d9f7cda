"""The frame every daemon runs in."""
