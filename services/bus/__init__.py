"""The bus: checks each signal, journals it, and only then acknowledges, delivers and mirrors it."""
