"""Redis Streams through redis-py: `python streams.py WHAT SOCKET COUNT WINDOW PAD`.

The server syncs before it answers.
"""

import json
import sys
import time

import redis

STREAM, GROUP = "bench", "group"


def add(client: redis.Redis, count: int, window: int, pad: str) -> dict[str, float]:
    """`count` entries, `window` commands on their way at once."""
    began = time.time()
    for first in range(0, count, window):
        pipe = client.pipeline(transaction=False)
        for n in range(first, min(first + window, count)):
            pipe.xadd(STREAM, {"n": n, "pad": pad})
        pipe.execute()
    return {"count": count, "began": began, "ended": time.time()}


def take(client: redis.Redis, count: int, window: int) -> dict[str, float]:
    """Read and acknowledge `count` waiting entries in a consumer group, `window` at a time."""
    client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    began, done = time.time(), 0
    while done < count:
        ((_, entries),) = client.xreadgroup(GROUP, "one", {STREAM: ">"}, count=window)
        client.xack(STREAM, GROUP, *(entry for entry, _ in entries))
        done += len(entries)
    return {"count": count, "began": began, "ended": time.time()}


def main(what: str, socket: str, count: str, window: str, pad: str) -> None:
    """Do one thing and print its result."""
    with redis.Redis(unix_socket_path=socket) as client:
        done = add(client, int(count), int(window), pad) if what == "add" else take(client, int(count), int(window))
    print(json.dumps(done), flush=True)


main(*sys.argv[1:])
