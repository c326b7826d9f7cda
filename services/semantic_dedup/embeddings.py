"""Embeddings of a model server, where one is configured: `POST /v1/embeddings`, as OpenAI's interface has it.

While the server does not answer, n-grams take its place; it is tried again from time to time.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import h11
import orjson

from services.semantic_dedup.posting import Answered, post

MAX_BYTES = 16 * 1024 * 1024
AGAIN_S = 30.0
KEPT = 4096
MOST_TEXTS = 33
TEXT_CHARS = 2000
Vector = tuple[float, ...]


@dataclass(slots=True)
class Server:
    """One server and model. `near` is the cosine from which two texts are neighbours; `clock` is monotonic seconds.

    `timeout_s` bounds all that one comparison asks of it, whatever comes meanwhile.
    """

    base_url: str
    model: str
    near: float
    timeout_s: float
    key: str | None = None
    clock: Callable[[], float] = time.monotonic
    trouble: str = ""
    """Why it is not asked just now; empty while it answers."""
    _again_at: float = 0.0
    _kept: OrderedDict[str, Vector] = field(default_factory=OrderedDict)

    async def similarities(self, text: str, others: Sequence[str]) -> list[float] | None:
        """The cosine of a text to each of the others; None while the server does not answer."""
        if self.trouble and self.clock() < self._again_at:
            return None
        try:
            async with asyncio.timeout(self.timeout_s):
                found = await self._compared(text[:TEXT_CHARS], [one[:TEXT_CHARS] for one in others])
        except TimeoutError:
            self._failed(f"no whole answer within {self.timeout_s:g} s")
            return None
        except (OSError, Answered, h11.ProtocolError, ValueError, KeyError, TypeError) as error:
            self._failed(_words(error))
            return None
        self.trouble = ""
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found

    def _failed(self, why: str) -> None:
        self.trouble, self._again_at = why, self.clock() + AGAIN_S

    async def _compared(self, text: str, others: Sequence[str]) -> list[float]:
        missing = [one for one in dict.fromkeys((text, *others)) if one not in self._kept]
        for start in range(0, len(missing), MOST_TEXTS):
            await self._fetch(missing[start : start + MOST_TEXTS])
        return [_cosine(self._kept[text], self._kept[one]) for one in others]

    async def _fetch(self, texts: Sequence[str]) -> None:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= {"Authorization": f"Bearer {self.key}"} if self.key else {}
        body = orjson.dumps({"model": self.model, "input": list(texts)})
        said = orjson.loads(await post(f"{self.base_url}/embeddings", body, headers, MAX_BYTES))
        rows = sorted(said["data"], key=lambda row: row["index"])
        vectors = [_unit(row["embedding"]) for row in rows]
        if len(vectors) != len(texts) or len({len(one) for one in vectors}) > 1:
            raise ValueError(f"{len(vectors)} embeddings came for {len(texts)} texts")
        self._kept.update(zip(texts, vectors, strict=True))


def _unit(numbers: Sequence[float]) -> Vector:
    values = [float(number) for number in numbers]
    length = math.sqrt(sum(value * value for value in values))
    if not length or not math.isfinite(length):
        raise ValueError("an embedding is no vector")
    return tuple(value / length for value in values)


def _cosine(one: Vector, other: Vector) -> float:
    if len(one) != len(other):
        raise ValueError("the embeddings are of different lengths")
    return math.sumprod(one, other) if hasattr(math, "sumprod") else sum(a * b for a, b in zip(one, other, strict=True))


def _words(error: Exception) -> str:
    if isinstance(error, Answered):
        return str(error)
    if isinstance(error, h11.LocalProtocolError):  # its words quote what was to be sent, and so the key
        return "its address, or the key, has characters that HTTP cannot carry"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return f"{type(error).__name__}: {error}"[:200]
