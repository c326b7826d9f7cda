"""The bus's sockets and its loop: receive, let time pass, commit, answer, deliver, mirror."""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

import apsw
import orjson
import zmq

from services.bus import sockets
from services.bus.access import Access, Peer, check_users
from services.bus.admission import Admission
from services.bus.clock import RunningClock
from services.bus.core import Core
from services.bus.deadletters import DeadLetters
from services.bus.deadlines import Deadlines
from services.bus.descriptors import Descriptors
from services.bus.housekeeping import Housekeeping, Limits
from services.bus.mirror import Mirror
from services.bus.queries import Queries
from services.bus.quota import Quota
from services.bus.registry import Registry
from services.bus.state import State
from services.bus.store import Store
from services.runtime import config as configuration
from services.runtime import logs, restoring
from services.runtime.exits import EXIT_CONFIG, refuse
from services.runtime.manifest import Manifest, load_all
from services.runtime.notify import Notifier
from services.runtime.usage import usage
from signals import __version__
from signals.catalogue import Catalogue
from signals.checksums import DamagedError, is_damage, words
from signals.errors import LigandError
from signals.frames import receive_from, send
from signals.ids import uuid7
from signals.paths import Paths
from signals.wire import LIVE

EXIT_JOURNAL = 1
DISK_ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
MESSAGES_A_TURN = 1000
TURN_S = 0.02
IDLE_S = 1.0
FEED_S = 1.0
HEARTBEAT_S = 5.0
GC_THRESHOLDS = (50_000, 50, 100)
"""Rarer than usual: what is remembered of many stories is not garbage, and walking it again and again takes time."""


class Server:
    """One bus on one pair of sockets. `run` ends on SIGTERM or SIGINT."""

    def __init__(self, paths: Paths, config: Mapping[str, Any], manifest: Manifest, lock: TextIO) -> None:
        """Open the journal, register the consumers; `lock` is given back at the end. Raises `ConfigError`,
        `ManifestError`."""
        self.paths = paths
        self.config = config
        self.manifest = manifest
        self.log = logs.configure("bus", level=config["log_level"])
        self.notify = Notifier()
        self.stopping = False
        self.reload_wanted = False
        self.lock = lock
        catalogue = Catalogue.load([paths.contracts])
        registry = _registry(paths, catalogue, config)
        access = Access(config["access"], registry.daemons)
        if (kept := restoring.finish(paths.journal.parent)) is not None:
            self.log.warning("restored", message="finished a restore that was interrupted", before=str(kept))
        self.store = Store(paths.journal)
        epoch = uuid7()
        self.context = zmq.Context()
        self.router, publisher = sockets.bind(self.context, paths, config["access"], self.log)
        self.mirror = Mirror(publisher, epoch)
        self.dead = DeadLetters(self.store, paths.dead_letters)
        head = self.store.head()
        self.state = State(
            store=self.store,
            catalogue=catalogue,
            registry=registry,
            access=access,
            admission=Admission(catalogue, access, self.store, config["max_hops"]),
            deadlines=Deadlines(self.store, catalogue),
            dead=self.dead,
            mirror=self.mirror,
            quota=Quota(config["quota"]["roots_per_s"], config["quota"]["burst"]),
            clock=RunningClock(float(self.store.meta("running_s", 0.0))),
            send=self._send,
            epoch=epoch,
            head=head,
            published=head,
            paused=orjson.loads(self.store.meta("paused", "{}")),
        )
        self.core = Core(self.state)
        self.housekeeping = Housekeeping(self.core, Limits.of(config))
        self.core.query = Queries(
            self.state,
            self.core.administration,
            lambda: self.housekeeping.limits.budget_bytes,
            self.housekeeping.prune_before,
        )
        self._poll = select.poll()
        self._pidfds: set[int] = set()
        self._descriptors = Descriptors()
        self._next_beat = self._next_feed = 0.0
        self._started = time.monotonic()
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def _mind_descriptors(self) -> None:
        """Say it before descriptors run out: at the limit libzmq ends the process, whoever is connected."""
        found = self._descriptors
        if found.changed():
            tell = self.log.warning if found.short else self.log.info
            mend = "end what opens so many connections, or raise LimitNOFILE of the bus"
            tell(
                "descriptors_short" if found.short else "descriptors_again",
                used=found.used,
                limit=found.limit,
                mend=mend,
            )

    # -- life ----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until told to stop."""
        self._catch_signals()
        self._poll.register(self.router.fileno(), select.POLLIN)
        self._poll.register(self.mirror.socket.fileno(), select.POLLIN)
        self._poll.register(self._wake_r, select.POLLIN)
        self._announce()
        self.notify.ready(f"{len(self.state.lanes)} consumers, head {self.state.head}")
        self.log.info("ready", socket=str(self.paths.bus_socket), consumers=len(self.state.lanes), head=self.state.head)
        if self.dead.set_aside is not None:
            self.log.warning("dead_letters_set_aside", kept=str(self.dead.set_aside), why="this journal is a new one")
        while not self.stopping:
            self._turn()
        self.notify.stopping()
        self.close()

    def _turn(self) -> None:
        more = self.core.delivering.deliver()
        self.core.commit()
        if not more and not self._receive():
            self.mirror.heed()
            self._wait()
            self._receive()
        self.core.expiry.pass_time()
        self.housekeeping.step()
        if self.reload_wanted:
            self._reload()
        self.core.commit()
        self.mirror.heed()
        self.mirror.beacon(self.state.head)
        self._mind_descriptors()
        self._beat()

    def _wait(self) -> None:
        timeout = IDLE_S
        for due in (self.core.expiry.next_in(), self.mirror.next_beacon_in(), self.notify.watchdog_interval_s):
            timeout = min(timeout, due) if due is not None else timeout
        self._watch_pidfds()
        for fd, _ in self._poll.poll(max(timeout, 0.0) * 1000 + 1):
            if fd in self._pidfds:
                self._receive()  # what it sent before it died comes first
                self.core.attaching.pidfd_ready(fd)
            elif fd == self._wake_r:
                os.read(self._wake_r, 4096)

    def _watch_pidfds(self) -> None:
        wanted = set(self.state.sessions.pidfds())
        for gone in self._pidfds - wanted:
            self._poll.unregister(gone)
        for new in wanted - self._pidfds:
            self._poll.register(new, select.POLLIN)
        self._pidfds = wanted

    def _receive(self) -> int:
        """Take in what has come, within bounds; how many messages that was.

        0 only when there is none: the socket tells of a message once, so who waits for it must have found it empty.
        """
        count, until = 0, time.monotonic() + TURN_S
        while not count or (count < MESSAGES_A_TURN and time.monotonic() < until):
            try:
                frames, address = receive_from(self.router)
            except zmq.Again:
                break
            count += 1
            if address is None:  # nobody can tell who that was
                self.dead.not_kept += 1
            else:
                self.core.receive(frames[0], Peer.parse(address), frames[1:])
        return count

    def _send(self, identity: bytes, frames: list[bytes]) -> None:
        try:
            send(self.router, [identity, *frames])
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            if frames[0] != LIVE:  # that is lossy by contract; who does not keep up misses some
                self.core.attaching.unreachable(identity, gone=error.errno == zmq.EHOSTUNREACH)

    def _beat(self) -> None:
        now = time.monotonic()
        if self.notify.watchdog_interval_s is not None and now >= self._next_feed:
            self._next_feed = now + min(FEED_S, self.notify.watchdog_interval_s)
            self.notify.watchdog()
        if now < self._next_beat:
            return
        self._next_beat = now + HEARTBEAT_S
        self.core.journaling.own("Q_HEARTBEAT", self._health(now), [])
        self.core.commit()

    def _health(self, now: float) -> dict[str, Any]:
        return {
            "daemon": "bus",
            "uptime_s": round(now - self._started, 3),
            "handled": self.state.head,
            "failed": 0,
            "in_flight": sum(len(lane.in_hand) for lane in self.state.lanes.values()),
            **usage(),
            "state": "degraded" if self.state.refusing_roots or self._descriptors.short else "ready",
            "message": (self.state.refusing_roots or self._descriptors.words())[:500],
            "interval_s": HEARTBEAT_S,
        }

    def _announce(self) -> None:
        self.core.journaling.own("Q_DAEMON_READY", {"daemon": "bus", "version": __version__, "pid": os.getpid()}, [])
        self.core.commit()

    def close(self) -> None:
        """Answer what came, commit, and let go of everything."""
        self._receive()
        self.core.keep_time()
        self.core.attaching.note_seen()
        self.core.journaling.own("Q_DAEMON_STOPPING", {"daemon": "bus", "version": __version__, "pid": os.getpid()}, [])
        while self.store.dirty:  # again where somebody could not be told any more: that ends a session, which is noted
            self.core.commit()
        for session in self.state.sessions:
            self.state.sessions.remove(session)
        self.router.close(linger=200)
        self.mirror.socket.close(linger=200)
        self.context.term()
        self.dead.close()
        self.store.close()
        sockets.leave(self.paths, self.lock)
        os.close(self._wake_r)
        os.close(self._wake_w)
        self.log.info("stopped", head=self.state.head)

    # -- operating system signals --------------------------------------------------------------------

    def _catch_signals(self) -> None:
        signal.set_wakeup_fd(self._wake_w, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._want_reload)

    def _stop(self, _: int, __: FrameType | None) -> None:
        self.stopping = True

    def _want_reload(self, _: int, __: FrameType | None) -> None:
        self.reload_wanted = True

    def _reload(self) -> None:
        """Read configuration and manifests again; keep the old ones, and say so, when the new cannot be used."""
        self.reload_wanted = False
        self.notify.reloading()
        try:
            config = configuration.load(self.paths.config_of("bus"), self.manifest.config, daemon="bus")
            catalogue = Catalogue.load([self.paths.contracts])
            registry = _registry(self.paths, catalogue, config)
            sockets.open_doors(self.paths, config["access"], self.log)
        except LigandError as error:
            self.log.error("reload_refused", error=error.message)
        else:
            self._go_by(config, catalogue, registry)
            self.log.info("reloaded", consumers=len(self.state.lanes))
        self.notify.ready()

    def _go_by(self, config: Mapping[str, Any], catalogue: Catalogue, registry: Registry) -> None:
        """From now on these hold, and are on disk as far as they have to be."""
        changed = configuration.changed_keys(self.config, config)
        self.config = config
        self.core.attaching.reroute(self.core.registration.changes(registry))
        self.core.registration.take_over(catalogue, registry, Access(config["access"], registry.daemons))
        self.state.admission.max_hops = config["max_hops"]
        self.state.quota.set(config["quota"]["roots_per_s"], config["quota"]["burst"])
        self.housekeeping.limits = Limits.of(config)
        self.log = logs.configure("bus", level=config["log_level"])
        self.core.journaling.own("Q_CONFIGURATION_RELOADED", {"daemon": "bus", "changed": changed}, [])
        self.core.commit()


def _registry(paths: Paths, catalogue: Catalogue, config: Mapping[str, Any]) -> Registry:
    manifests = load_all(paths.manifests)
    registry = Registry.build(manifests.values(), catalogue, config["disable"], config["instances"])
    if config["access"] == "system":
        check_users(registry.daemons)
    return registry


def _write_failed(journal: Path, error: Exception) -> str:
    return (
        f"The journal {journal} or its dead letters cannot be written ({type(error).__name__}: {error}). What was "
        "acknowledged is on disk, the rest was not answered and is sent again. Make room on the disk, or see to it; "
        "the bus starts again by itself."
    )


def _end(paths: Paths, error: Exception) -> NoReturn:
    """Say what is wrong with the journal or the disk, and end at once: nothing more is written, nobody is answered."""
    if isinstance(error, OSError) and error.errno not in DISK_ERRORS:
        raise error
    if is_damage(error) or isinstance(error, orjson.JSONDecodeError):
        error = DamagedError(paths.journal, words(error))
    damaged = isinstance(error, DamagedError)
    what = str(error) if damaged else _write_failed(paths.journal, error)
    print(f"bus: {what}", file=sys.stderr, flush=True)
    os._exit(EXIT_CONFIG if damaged else EXIT_JOURNAL)


def main() -> None:
    """Run the bus of this environment; exit 78 when configuration or manifests must be mended first."""
    paths = Paths.resolve()
    lock: TextIO | None = None
    try:
        paths.ensure_own()
        manifest = Manifest.load(Path(__file__).parent / "manifest.yaml")
        config = configuration.load(paths.config_of("bus"), manifest.config, daemon="bus")
        lock = sockets.claim(paths)
        server = Server(paths, config, manifest, lock)
    except LigandError as error:
        if lock is not None:
            sockets.leave(paths, lock)
        refuse("bus", error)
    except (apsw.Error, OSError, orjson.JSONDecodeError) as error:
        _end(paths, error)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        server.run()
    except (apsw.Error, OSError, DamagedError, orjson.JSONDecodeError) as error:
        _end(paths, error)
