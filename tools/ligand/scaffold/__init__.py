"""What `ligand new-daemon` writes."""
