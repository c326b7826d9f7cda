"""What can go wrong with a model server, and what follows from it."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.model_worker.output import writable

DETAIL_CHARS = 400
LONGEST_PAUSE_S = 3600.0
"""A server that asked for more may be well long before, and nobody would notice."""
BUSY = frozenset({408, 409, 425, 429, 503})
_TOO_LONG = re.compile(
    r"context[ _-]?(length|window|size)|maximum context|too many tokens|(prompt|input) is too long", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of failure: the reason it is told as, and what may help.

    `counts`: it speaks against the server. `again`: the same server may do better in a moment.
    `retryable`: the same request may succeed later.
    """

    reason: str
    counts: bool = False
    again: bool = False
    retryable: bool = False


UNREACHABLE = Kind("unavailable", counts=True, again=True, retryable=True)
LOADING = Kind("unavailable", again=True, retryable=True)
BROKEN = Kind("unavailable", counts=True, again=True, retryable=True)
CUT = Kind("unavailable", counts=True, again=True, retryable=True)
STALLED = Kind("timeout", counts=True, again=True, retryable=True)
LATE = Kind("timeout", retryable=True)
OPEN = Kind("circuit_open", retryable=True)
SPENT = Kind("unavailable", retryable=True)
NO_KEY = Kind("refused", counts=True)
REFUSED = Kind("refused")
TOO_LONG = Kind("context_too_long")
EMPTY = Kind("invalid_output", retryable=True)
TRUNCATED = Kind("invalid_output")
TOO_LARGE = Kind("invalid_output")
UNFIT = Kind("invalid_output", retryable=True)


class Failure(Exception):
    """A model server gave no usable answer.

    `retry_after_s` is what the server asked for; `evidence` what it said instead of an answer.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        evidence: Mapping[str, str] | None = None,
        model: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.status = status
        self.retry_after_s = retry_after_s
        self.evidence = evidence
        self.model = model
        self.server: str | None = None


def of_status(status: int, message: str, retry_after: str | None = None) -> Failure:
    """The failure that an HTTP status means. `message` is what the server said."""
    detail = f"HTTP {status}: {message}" if message else f"HTTP {status}"
    if status in (401, 403):
        return Failure(NO_KEY, f"{detail}. Check its `credential`.", status=status)
    if status in BUSY:
        return Failure(LOADING, detail, status=status, retry_after_s=seconds(retry_after))
    if _TOO_LONG.search(message):
        return Failure(TOO_LONG, detail, status=status)
    if status >= 500:
        return Failure(BROKEN, detail, status=status, retry_after_s=seconds(retry_after))
    return Failure(REFUSED, detail, status=status)


def in_stream(message: str) -> Failure:
    """The failure that an error in the middle of a stream means."""
    return Failure(TOO_LONG if _TOO_LONG.search(message) else BROKEN, message[:DETAIL_CHARS])


def of_connection(error: BaseException, key: str | None = None) -> Failure:
    """The failure that a broken or impossible connection means, told by its innermost cause."""
    cause = innermost(error)
    words = without(str(cause), key) or type(cause).__name__
    if isinstance(cause, OSError) and cause.errno in (errno.EPERM, errno.EACCES):
        words += ". The unit may reach only this machine: `systemctl edit` it and add IPAddressAllow="
    return Failure(UNREACHABLE, f"cannot be reached: {words}"[:DETAIL_CHARS])


def innermost(error: BaseException) -> BaseException:
    """The cause of the cause of it."""
    seen = {id(error)}
    while (cause := error.__cause__ or error.__context__) is not None and id(cause) not in seen:
        error = cause
        seen.add(id(error))
    return error


def seconds(text: str | None) -> float | None:
    """A `Retry-After` in seconds (RFC 9110, 10.2.3), at most an hour; dates and nonsense are None."""
    if text is None or not re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text.strip(), re.ASCII):
        return None
    return min(float(text), LONGEST_PAUSE_S)


def said(body: Any, key: str | None) -> str:
    """What a server's error body says, bounded, without the key that some servers repeat."""
    found = body.get("error", body) if isinstance(body, Mapping) else body
    found = found.get("message", found) if isinstance(found, Mapping) else found
    text = found if isinstance(found, str) else ("" if found is None else json.dumps(found, default=str))
    return without(text, key)[:DETAIL_CHARS]


def without(text: str, key: str | None) -> str:
    """The text with the key masked, and without lone surrogates, which no signal can carry."""
    text = writable(text)
    return text.replace(key, "***") if key else text


def summary(failures: Sequence[Failure]) -> Failure:
    """One failure for all: what may still change is told first, since then asking again makes sense."""
    if not failures:
        return Failure(UNREACHABLE, "There is no model server. List one under `servers`.")
    latest = {failure.server: failure for failure in failures}
    chosen = next((one for one in latest.values() if one.kind.retryable), next(iter(latest.values())))
    words = "; ".join(f"{server}: {failure.detail}" for server, failure in latest.items())
    whole = Failure(chosen.kind, words, status=chosen.status, evidence=chosen.evidence, model=chosen.model)
    whole.server = chosen.server
    return whole
