"""Hears what a person says when given attention, says aloud what it is told to, and lives on without either."""
