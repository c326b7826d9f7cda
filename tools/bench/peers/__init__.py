"""Programs that measure what else a person could pick. They run in an environment of their own (`make bench`) and
import nothing of Ligand's; each prints one JSON object as its last line."""
