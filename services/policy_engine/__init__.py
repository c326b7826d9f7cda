"""Decides by a person's rules what follows from a signal, and explains every decision."""
