"""What is sent to a model: the conversation, with the same beginning each time so that servers can keep it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

Messages = list[dict[str, str]]

CHARS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
LEAST_ANSWER = 16
SHOWN_CHARS = 4000


def conversation(facts: Mapping[str, Any], system_prompt: str) -> Messages:
    """The messages of a request. One system message at most, since some models' templates refuse a second.

    Results of tools become the user's words: without the call they answer, servers refuse them.
    """
    given = facts.get("messages") or [{"role": "user", "content": facts["prompt"]}]
    systems = [system_prompt] if system_prompt else []
    rest: Messages = []
    for message in given:
        role, content = message["role"], message["content"]
        if role == "system" and not rest:
            systems.append(content)
        else:
            rest.append(_plain(role, content))
    return [{"role": "system", "content": "\n\n".join(systems)}, *rest] if systems else rest


def _plain(role: str, content: str) -> dict[str, str]:
    return {"role": "user", "content": f"Result of a tool:\n{content}"} if role == "tool" else _message(role, content)


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def with_schema(messages: Messages, schema: Mapping[str, Any]) -> Messages:
    """The conversation with the schema at its end, where it leaves the beginning as it was."""
    text = "Answer with one JSON object that fits this JSON Schema, and with nothing else:\n" + _compact(schema)
    last = messages[-1]
    if last["role"] != "user":
        return [*messages, _message("user", text)]
    return [*messages[:-1], _message("user", f"{last['content']}\n\n{text}")]


def mended(messages: Messages, answer: str, problem: str) -> Messages:
    """The conversation with an answer that did not fit, and the wish for one that does."""
    wish = f"That cannot be used: {problem} Give the whole answer again, as JSON only, with that mended."
    return [*messages, _message("assistant", answer[:SHOWN_CHARS] or "(nothing)"), _message("user", wish)]


def _compact(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def least_tokens(messages: Sequence[Mapping[str, str]]) -> int:
    """Roughly how many tokens a conversation has: a low figure, since only what is surely too long is refused here."""
    return sum(TOKENS_PER_MESSAGE + ceil(len(message["content"]) / CHARS_PER_TOKEN) for message in messages)


def room(messages: Messages, max_tokens: int, context_tokens: int | None) -> int:
    """How many tokens the answer may have; below `LEAST_ANSWER` the question is too long."""
    if context_tokens is None:
        return max_tokens
    return min(max_tokens, context_tokens - least_tokens(messages))
