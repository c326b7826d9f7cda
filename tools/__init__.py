"""What a person runs: signal-tap, ligand, and the project's own generators."""
