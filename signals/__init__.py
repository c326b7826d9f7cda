"""What a signal is: contracts, the envelope, and clients of the bus."""

__version__ = "0.1.0"
