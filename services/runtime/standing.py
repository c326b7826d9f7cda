"""How a daemon fares: in one word and in one line, from what it says itself, its configuration and its folder."""

from __future__ import annotations

from dataclasses import dataclass

from services.runtime.folder import Folder

AT_WORK = ("ready", "degraded")


@dataclass(slots=True)
class Standing:
    """What is known of it."""

    word: str = "starting"
    """starting, ready, degraded, waiting (for the bus), stopping."""
    message: str = ""
    """What the daemon says of itself."""
    degraded: bool = False
    """Whether it says that it does less than it should."""
    refused: str = ""
    """Why the configuration of before holds still; empty when the latest one does."""
    folder: Folder | None = None
    """Of its own files."""

    @property
    def line(self) -> str:
        """All that is to be said; empty when nothing is."""
        return "; ".join(filter(None, (self._trouble, self.refused, self.message)))

    @property
    def is_at_work(self) -> bool:
        """Whether it works, however well."""
        return self.word in AT_WORK

    def work(self) -> None:
        """It is at work, from now on or still."""
        self.word = "degraded" if self.degraded or self.refused or self._trouble else "ready"

    def reconsider(self) -> None:
        """Something is known anew: whether it works well, if it does."""
        if self.is_at_work:
            self.work()

    @property
    def _trouble(self) -> str:
        return self.folder.trouble if self.folder else ""
