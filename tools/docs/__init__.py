"""The documents that are made from contracts and manifests: `python -m tools.docs`, or `make docs`."""
