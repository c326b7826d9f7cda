"""The benchmarks: real processes in a temporary home, one table of figures beside their targets."""
