"""The frame every daemon runs in: a daemon is its manifest plus handlers.

What is named here is loaded when it is first asked for: a command that needs a part of the frame does not load it all.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = ["Daemon", "Reject", "Unavailable"]

if TYPE_CHECKING:
    from services.runtime.daemon import Daemon
    from services.runtime.turn import Reject, Unavailable
else:

    def __getattr__(name: str) -> object:
        """One of the names above, as a plain import of it would give it. Raises `AttributeError`."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{'daemon' if name == 'Daemon' else 'turn'}"), name)
