"""The demonstration: a constellation in a temporary home takes four example intents, and every claim is checked."""
