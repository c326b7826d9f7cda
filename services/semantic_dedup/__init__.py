"""Links findings that say the same, names those that contradict each other, and keeps what goes with what."""
