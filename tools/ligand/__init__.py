"""The `ligand` command: run the constellation, ask it, and look at it."""
