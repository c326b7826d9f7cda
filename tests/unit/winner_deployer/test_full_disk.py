"""A disk that takes no more lines of the ledger, in the middle of a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.winner_deployer import checks
from services.winner_deployer.ledger import Ledger
from tests.deploy_sweep.scene import OLD, Remembering, lay, with_ledger


def test_once_there_is_room_again_the_same_process_puts_the_old_bytes_back(tmp_path: Path, monkeypatch: Any) -> None:
    """What could not be noted as verified is not in use, and a full disk needs no restart."""
    monkeypatch.setattr(checks, "measured", lambda _, params, __: [{"f1": 1 - abs(params["near"] - 0.8)}] * 5)
    lay(tmp_path, 0.8)
    write = Ledger._write

    def full(self: Ledger, lines: bytes) -> None:
        if b'"ended"' in lines:
            raise OSError(28, "No space left on device")
        write(self, lines)

    def act(deployer: Any) -> None:
        monkeypatch.setattr(Ledger, "_write", full)
        with pytest.raises(OSError, match="No space"):
            all_of_it(deployer)
        monkeypatch.setattr(Ledger, "_write", write)
        all_of_it(deployer)

    with_ledger(tmp_path, act)
    (told,) = Remembering(tmp_path).said()
    assert (told["signal"], told["facts"]["reason"]) == ("Q_DEPLOYMENT_FAILED", "interrupted")
    assert told["facts"]["rolled_back"]
    assert (tmp_path / "config" / "x.yaml").read_bytes() == OLD


def all_of_it(deployer: Any) -> None:
    while deployer.work():
        pass
