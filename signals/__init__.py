"""What a signal is: contracts, the envelope, and clients of the bus."""
