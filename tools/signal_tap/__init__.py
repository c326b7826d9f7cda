"""The command `signal-tap`: watch the bus, look back, trace a story, emit, and see to dead letters."""
