"""Run semantic_dedup until it is told to stop."""

from services.semantic_dedup.daemon import daemon

daemon.run()
