"""The frame every daemon runs in: a daemon is its manifest plus handlers."""

from services.runtime.daemon import Daemon
from services.runtime.turn import Reject, Unavailable

__all__ = ["Daemon", "Reject", "Unavailable"]
