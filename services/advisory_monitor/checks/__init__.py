"""One file a check: its `make(config, paths)` gives what is asked to look, in a thread, every `interval_s`."""
