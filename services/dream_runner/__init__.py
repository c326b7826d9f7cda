"""Runs D-REAM cycles: tries settings of what is measured, and says which one is proven better than what is in use."""
