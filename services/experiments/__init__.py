"""Experiments: what may be tuned, how it is measured, and when one setting counts as better than another."""
