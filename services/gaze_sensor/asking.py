"""A child that a command starts, asks once and hears for a while, and that is gone afterwards."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any, BinaryIO

import orjson

from services.gaze_sensor import cameras
from services.gaze_sensor.cameras import Target, Trouble
from services.gaze_sensor.session import command, environment
from services.runtime.commands import Failure

PATIENCE_S = 60.0
"""To load the engine and open the camera."""
CAMERAS = "video"
"""The group whose members may use cameras."""
HANGS = "the engine that finds faces hangs. See that no other program uses the camera, and try again."


def frames(target: Target, asked: bytes, seconds: float, user: str | None = None) -> Iterator[dict[str, Any]]:
    """What is told of each frame for so long, by the frames' clock. Raises `Failure` as `told` does."""
    first: float | None = None
    with closing(told(target, asked, seconds, user, end_is_well=True)) as lines:
        for one in lines:
            if "t" in one:
                first = one["t"] if first is None else first
                yield one
                if one["t"] - first >= seconds:
                    return


def told(
    target: Target, asked: bytes, seconds: float = 0.0, user: str | None = None, *, end_is_well: bool = False
) -> Generator[dict[str, Any]]:
    """What a child tells that looks for so long, as `user` where one is given. Raises `Failure` for a camera or an
    engine that cannot be used.
    """
    with (
        open(os.memfd_create("said"), "w+b", buffering=0) as said,
        subprocess.Popen(
            command(target),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=environment(),
            **_as(user),
        ) as child,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(asked)
        child.stdin.flush()
        hangs = threading.Event()
        late = threading.Timer(PATIENCE_S + seconds, _give_up, [child, hangs])
        late.start()
        try:
            for line in child.stdout:
                one = orjson.loads(line)
                if "ended" not in one:
                    yield one
                elif end_is_well and one["ended"] == "ended":
                    return
                else:
                    raise failure(cameras.ended(one, target.sources))
            code = child.wait()
            if hangs.is_set():
                raise Failure(HANGS)
            raise failure(cameras.crashed(code, _last_line(said), target.seeing.model))
        finally:
            late.cancel()
            child.kill()


def _as(user: str | None) -> dict[str, Any]:
    """How a child is started as another user, with the group that may use cameras where there is one."""
    if user is None:
        return {}
    try:
        found = pwd.getpwnam(user)
    except KeyError as error:
        raise Failure(f"There is no user {user} to look as. `ligand install --system` makes it.") from error
    groups = [one.gr_gid for one in grp.getgrall() if one.gr_name == CAMERAS]
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": groups}


def failure(trouble: Trouble) -> Failure:
    """A trouble as a command tells it."""
    return Failure(f"{trouble.reason}: {trouble.hint}")


def _give_up(child: subprocess.Popen[bytes], hangs: threading.Event) -> None:
    hangs.set()
    child.kill()


def _last_line(said: BinaryIO) -> str:
    said.seek(0)
    return " ".join(said.read().decode(errors="replace").strip().splitlines()[-1:])[-200:]
