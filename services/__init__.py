"""The daemons, one folder each, and the frame they run in."""
