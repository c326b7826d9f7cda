"""What `ligand doctor` looks at."""
