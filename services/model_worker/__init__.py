"""Asks model servers for the daemons that want an answer: one instance for the person, one for background work."""
