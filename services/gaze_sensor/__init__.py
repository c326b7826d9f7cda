"""Tells when a person begins to attend to the machine, and when no longer, by a camera whose pictures are not kept."""
