"""Embeddings of a model server, where one is configured: `POST /v1/embeddings`, as OpenAI's interface has it.

While the server does not answer, n-grams take its place; it is tried again from time to time.
"""

from __future__ import annotations

import http.client
import math
import time
import urllib.error
import urllib.request
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

MAX_BYTES = 16 * 1024 * 1024
AGAIN_S = 30.0
KEPT = 4096
MOST_TEXTS = 33
TEXT_CHARS = 2000
Vector = tuple[float, ...]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A key goes to the server that was named, to no other."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(slots=True)
class Server:
    """One server and model. `near` is the cosine from which two texts are neighbours; `clock` is monotonic seconds."""

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

    def similarities(self, text: str, others: Sequence[str]) -> list[float] | None:
        """The cosine of a text to each of the others; None while the server does not answer."""
        if self.trouble and self.clock() < self._again_at:
            return None
        wanted = list(dict.fromkeys(one[:TEXT_CHARS] for one in (text, *others)))
        missing = [one for one in wanted if one not in self._kept]
        try:
            for start in range(0, len(missing), MOST_TEXTS):
                self._fetch(missing[start : start + MOST_TEXTS])
            mine = self._kept[text[:TEXT_CHARS]]
            found = [_cosine(mine, self._kept[one[:TEXT_CHARS]]) for one in others]
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            self.trouble = _words(error)
            self._again_at = self.clock() + AGAIN_S
            return None
        self.trouble = ""
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found

    def _fetch(self, texts: Sequence[str]) -> None:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= {"Authorization": f"Bearer {self.key}"} if self.key else {}
        body = orjson.dumps({"model": self.model, "input": list(texts)})
        request = urllib.request.Request(f"{self.base_url}/embeddings", body, headers)
        opener = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=self.timeout_s) as answer:
            said = orjson.loads(self._whole(answer))
        rows = sorted(said["data"], key=lambda row: row["index"])
        vectors = [_unit(row["embedding"]) for row in rows]
        if len(vectors) != len(texts) or len({len(one) for one in vectors}) > 1:
            raise ValueError(f"{len(vectors)} embeddings came for {len(texts)} texts")
        self._kept.update(zip(texts, vectors, strict=True))

    def _whole(self, answer: Any) -> bytes:
        """The body, in the time that a request may take: `timeout` alone counts anew with each byte that comes."""
        until, pieces, size = self.clock() + self.timeout_s, [], 0
        while piece := answer.read1(1 << 16):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_BYTES or self.clock() > until:
                raise ValueError(f"the answer did not end within {self.timeout_s:g} s and {MAX_BYTES >> 20} MiB")
        return b"".join(pieces)


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
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    reason = getattr(error, "reason", None)
    return f"{type(error).__name__}: {reason or error}"[:200]
