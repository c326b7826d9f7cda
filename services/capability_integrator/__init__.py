"""Registers investigated modules in `capabilities.yaml`, or says why it did not."""
