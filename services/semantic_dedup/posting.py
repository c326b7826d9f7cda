"""One HTTP request and its whole answer. `h11` knows the protocol; the caller says how long all of it may take."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

import h11

PIECE = 1 << 16


class Answered(Exception):
    """The server answered with another status than 200."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")


async def post(url: str, body: bytes, headers: Mapping[str, str], most: int) -> bytes:
    """The body of the answer, at most `most` bytes. Follows no redirect: a key goes to the server that was named.

    Raises OSError, `Answered`, `h11.ProtocolError`, ValueError for an answer that is too long.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure or None)
    try:
        sent = {"Host": parts.netloc, "Connection": "close", "Content-Length": str(len(body)), **headers}
        request = h11.Request(method="POST", target=parts.path, headers=list(sent.items()))
        connection = h11.Connection(h11.CLIENT)
        for event in (request, h11.Data(data=body), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        return await _body(connection, reader, most)
    finally:
        writer.transport.abort()  # a polite end could take as long as the other side likes


async def _body(connection: h11.Connection, reader: asyncio.StreamReader, most: int) -> bytes:
    found = bytearray()
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(PIECE))
        elif isinstance(event, h11.Response) and event.status_code != 200:
            raise Answered(event.status_code)
        elif isinstance(event, h11.Data):
            found += event.data
            if len(found) > most:
                raise ValueError(f"the answer is longer than {most >> 20} MiB")
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionResetError("the connection ended before the answer did")
    return bytes(found)
