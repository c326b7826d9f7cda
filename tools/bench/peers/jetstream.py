"""NATS JetStream through nats-py: `python jetstream.py WHAT PORT [ARGUMENT…]`. The stream is kept in files.

The server acknowledges what it has written; it syncs its files only every two minutes.
"""

import asyncio
import json
import sys
import time
from array import array
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StorageType

STREAM = "bench"
FETCHED = 250


async def publish(client: Client, count: int, subject: str, window: int, payload: bytes) -> dict[str, float]:
    """`count` messages with `window` on their way, until the server has acknowledged the last."""
    stream = await stream_of(client, window)
    await stream.publish(subject, payload)
    began = time.time()
    for _ in range(count):
        await stream.publish_async(subject, payload, wait_stall=60.0)
    await stream.publish_async_completed()
    return {"count": count, "began": began, "ended": time.time()}


async def stream_of(client: Client, window: int = 4000) -> JetStreamContext:
    """The stream, made where it is not there yet."""
    stream = client.jetstream(publish_async_max_pending=window, timeout=30)
    await stream.add_stream(name=STREAM, subjects=[f"{STREAM}.>"], storage=StorageType.FILE)
    return stream


async def pull(client: Client, count: int, subject: str) -> dict[str, float]:
    """Fetch and acknowledge `count` waiting messages, the last with an answer from the server."""
    stream = await stream_of(client)
    subscription = await stream.pull_subscribe(subject, "puller")
    began, done = time.time(), 0
    while done < count:
        for message in await subscription.fetch(FETCHED, timeout=30):
            done += 1
            await (message.ack_sync(timeout=30) if done == count else message.ack())
    return {"count": count, "began": began, "ended": time.time()}


async def link(client: Client, takes: str, gives: str, count: int) -> dict[str, float]:
    """Publish each message on, and acknowledge it when that one is safe; as many in hand as our own links have."""
    stream = await stream_of(client)
    done = asyncio.Event()
    seen = 0

    async def finish(message: Msg, published: Awaitable[Any]) -> None:
        nonlocal seen
        await published
        await message.ack()
        seen += 1
        if seen == count:
            done.set()

    tasks: set[asyncio.Task[None]] = set()

    async def hand_on(message: Msg) -> None:
        published = await stream.publish_async(gives, message.data, wait_stall=60.0)
        task = asyncio.create_task(finish(message, published))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    await _push(stream, takes, hand_on)
    print("ready", flush=True)
    await done.wait()
    return {"count": count, "ended": time.time()}


async def listen(client: Client, subject: str, count: int, notes: str, *, to_end: bool) -> dict[str, float]:
    """Note how many nanoseconds each message took: its text begins with the monotonic clock at which it left."""
    stream = await stream_of(client)
    took = array("q")
    done = asyncio.Event()

    async def hear(message: Msg) -> None:
        took.append(time.monotonic_ns() - int(message.data.split(b" ", 1)[0]))
        await message.ack()
        if len(took) == count:
            done.set()

    await _push(stream, subject, hear)
    print("ready", flush=True)
    try:
        async with asyncio.timeout(120):
            await done.wait()
    finally:
        Path(notes).write_bytes(took.tobytes())
    return {"count": len(took), "ended": time.time() if to_end else 0.0}


async def _push(stream: JetStreamContext, subject: str, heard: Callable[[Msg], Awaitable[None]]) -> None:
    config = ConsumerConfig(
        ack_policy=AckPolicy.EXPLICIT, max_ack_pending=FETCHED, deliver_policy=DeliverPolicy.NEW, ack_wait=300
    )
    await stream.subscribe(subject, cb=heard, manual_ack=True, config=config)


async def pace(client: Client, subject: str, per_s: float, seconds: float, pad: str) -> dict[str, float]:
    """Publish at a steady rate, each with the time at which it left."""
    stream = await stream_of(client)
    due = time.monotonic()
    for _ in range(int(per_s * seconds)):
        due += 1 / per_s
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        await stream.publish_async(subject, f"{time.monotonic_ns()} {pad}".encode(), wait_stall=60.0)
    await stream.publish_async_completed()
    return {"count": int(per_s * seconds)}


async def main(what: str, port: str, *given: str) -> None:
    """Do one thing and print its result."""
    client = await nats.connect(f"nats://127.0.0.1:{port}", max_reconnect_attempts=0)
    jobs: dict[str, Callable[[], Awaitable[dict[str, float]]]] = {
        "publish": lambda: publish(client, int(given[0]), given[1], int(given[2]), given[3].encode()),
        "pull": lambda: pull(client, int(given[0]), given[1]),
        "link": lambda: link(client, given[0], given[1], int(given[2])),
        "listen": lambda: listen(client, given[0], int(given[1]), given[2], to_end=True),
        "pace": lambda: pace(client, given[0], float(given[1]), float(given[2]), given[3]),
    }
    print(json.dumps(await jobs[what]()), flush=True)
    await client.close()


asyncio.run(main(*sys.argv[1:]))
