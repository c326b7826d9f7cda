"""The doors that can be tried without a process: bytes in files, and envelopes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from services.intent_router import routes
from services.intent_router.intent import Limits
from services.intent_router.logic import parse, plan
from services.runtime import config
from services.runtime.manifest import Manifest, load_all, packaged
from signals.catalogue import PACKAGED, Catalogue
from signals.envelope import Signal, check_emitted, decode, encode, from_dict, load, rfc3339
from signals.ids import uuid7
from tests.fuzz.door import TAKEN, Door
from tools.signal_tap.playing import Anew, Replica
from tools.signal_tap.recordings import LONGEST, envelopes
from tools.signal_tap.validate import check, objects

EXAMPLES = Path(__file__).resolve().parents[2] / "tools" / "examples"


def signals_of(catalogue: Catalogue) -> list[Signal]:
    """A signal for each example of each contract."""
    own: dict[str, Any] = {"timestamp": rfc3339(1.8e9), "source": "person@root", "host": "here"}
    return [
        Signal(contract.name, uuid7(), version=contract.version, facts=facts, **own)
        for contract in catalogue.values()
        for facts in contract.examples
    ]


class Envelopes(Door):
    """What a bus decodes before it does anything else."""

    name = "envelope"

    def __init__(self, folder: Path) -> None:
        self._catalogue = Catalogue.load()

    def seeds(self) -> Sequence[bytes]:
        return [encode(signal) for signal in signals_of(self._catalogue)]

    def take(self, raw: bytes) -> str:
        envelope = load(raw)
        check_emitted(envelope)
        signal = from_dict(envelope)
        assert decode(encode(signal)) == signal
        self._catalogue.version(signal.signal, signal.version).check(signal.facts)
        return TAKEN


class _File(Door):
    """A door that reads a file."""

    file: str

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.path = folder / self.file

    def take(self, raw: bytes) -> str:
        self.path.write_bytes(raw)
        self.read(raw)
        return TAKEN

    def read(self, raw: bytes) -> None:
        """Read the file."""
        raise NotImplementedError


class Contracts(_File):
    """A person's own contract in `contracts.d`."""

    name, file = "contract", "Q_FUZZ_SEEN.json"

    def seeds(self) -> Sequence[bytes]:
        found = [orjson.loads(file.read_bytes()) for file in sorted(PACKAGED.glob("Q_*.json"))]
        return [orjson.dumps({**document, "title": "Q_FUZZ_SEEN"}) for document in found]

    def read(self, raw: bytes) -> None:
        contract = Catalogue.load([self.path.parent])["Q_FUZZ_SEEN"]
        for facts in (*contract.examples, {}, {"n": None}):
            contract.is_valid(facts)


class Manifests(_File):
    """A person's own manifest, or overlay, in `daemons.d`."""

    name, file = "manifest", "fuzz.yaml"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._catalogue = Catalogue.load()
        self._overlaid = folder / "installed" / "manifest.yaml"
        self._overlaid.parent.mkdir()
        self._overlaid.write_text("daemon: intent_router\ndescription: overlaid\n")

    def seeds(self) -> Sequence[bytes]:
        overlay = b"overlay: intent_router\nemits: [Q_INTENT_READY]\n"
        full: dict[str, Any] = {
            "daemon": "fuzz", "description": "x", "emits": ["Q_INTENT_READY"], "lanes": {"fast": {"in_flight": 2}},
            "consumes": [{"signal": "Q_*", "where": {"priority": ["high"]}, "lane": "fast"}, "Q_INTENT_READY"],
        }  # fmt: skip
        return [overlay, orjson.dumps(full), *(path.read_bytes() for path in packaged())]

    def read(self, raw: bytes) -> None:
        for manifest in load_all(self.path.parent, [self._overlaid]).values():
            if manifest.origin == str(self.path):
                manifest.check(self._catalogue)


class Configs(_File):
    """The configuration of each daemon."""

    name, file = "config", "fuzz.yaml"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._manifests = [Manifest.load(path) for path in packaged()]

    def seeds(self) -> Sequence[bytes]:
        return [
            b"access: user\nretention: {days: 30, bytes: 2147483648}\nlag:\n  signals: 10\nmax_hops: 16\n",
            b"keep_days: 30\nsweep_s: 1.5\n# a remark\nin_flight: 128\nlog_level: debug\n",
            b"roots: [/srv/code]\nmax_files: 500\ninterpreter_library: true\n",
            b"registry: null\nmin_confidence: 0.3\nroots:\n  - {path: /srv, create_init: true}\n",
        ]

    def read(self, raw: bytes) -> None:
        chosen = self._manifests[len(raw) % len(self._manifests)]
        config.load(self.path, chosen.config, daemon=chosen.daemon)


class Routes(_File):
    """A person's own routes of intents."""

    name, file = "routes", "intent_routes.yaml"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._catalogue = Catalogue.load()

    def seeds(self) -> Sequence[bytes]:
        return [routes.PACKAGED.read_bytes()]

    def read(self, raw: bytes) -> None:
        routes.read(self.path, ["Q_CURIOSITY_INVESTIGATE"], self._catalogue)


class Intents(Door):
    """The content of a dropped file; its first byte chooses the name's ending."""

    name = "intent"
    ENDINGS = (".json", ".txt", "", ".md", ".JSON", ".png")

    def __init__(self, folder: Path) -> None:
        self._catalogue = Catalogue.load()
        self._routes = routes.load(folder, ["Q_CURIOSITY_INVESTIGATE"], self._catalogue)

    def seeds(self) -> Sequence[bytes]:
        return [file.read_bytes() for file in sorted(EXAMPLES.iterdir())]

    def take(self, raw: bytes) -> str:
        ending = self.ENDINGS[len(raw) % 11 % len(self.ENDINGS)]
        intent = parse(raw, f"fuzz{ending}", uuid7(), Limits())
        for out in plan(intent, self._routes):
            self._catalogue[out.signal].is_valid(out.facts)
            orjson.dumps(out.facts)
        return TAKEN


class Recordings(_File):
    """A recording, to validate, and to play to a scratch bus or live."""

    name, file = "recording", "fuzz.jsonl"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._catalogue = Catalogue.load()

    def seeds(self) -> Sequence[bytes]:
        raws = [encode(signal) for signal in signals_of(self._catalogue)]
        own: dict[str, Any] = {"seq": 1, "hops": 2, "received_at": rfc3339(1.8e9), "taint": ["web"]}
        own |= {"correlation_id": uuid7(), "causation_id": uuid7(), "also_caused_by": [uuid7()]}
        kept = [{**orjson.loads(raw), **own} for raw in raws]
        return [*raws, *map(orjson.dumps, kept), b"\n".join(raws[:3])]

    def read(self, raw: bytes) -> None:
        for line, found in objects(str(self.path)):
            check(self._catalogue, str(self.path), line, found, None)
        makers: tuple[Any, ...] = (
            Replica(self._catalogue),
            Anew(self._catalogue, "person@root", "here", lambda: rfc3339(1.8e9), uuid7),
        )
        for maker in makers:
            for _, signal in maker.signals(envelope for _, envelope in envelopes(str(self.path))):
                assert len(encode(signal)) <= LONGEST


PURE: tuple[type[Any], ...] = (Envelopes, Contracts, Manifests, Configs, Routes, Intents, Recordings)
