"""A person's own commands: one a line, with (choices|…) and [what may be left out]. Pure.

turn (on|off) the [kitchen] light
what time is it            # a comment
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from signals.errors import ConfigError

FILE = "voice-commands.txt"
MOST_LINES = 2000
MOST_BYTES = 1 << 20
MOST_DEPTH = 20
MOST_TOKENS = 20_000
"""Words and signs of all commands together: they are read while nobody is heard, some thousand in half a second."""
MOST_PROBLEMS, MOST_QUOTED = 100, 40
"""How many slips are told, and how many characters of a word: a file that is no list of commands has a million."""
_TOKEN = re.compile(r"\s*([()\[\]|]|[^\s()\[\]|]+)")
_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*\.?$")
_CLOSES = {"(": ")", "[": "]"}


@dataclass(frozen=True, slots=True)
class Command:
    """One line: as JSGF wants it, as a pattern that whole sentences match, and its words."""

    line: int
    jsgf: str
    pattern: re.Pattern[str]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grammar:
    """All commands of a file."""

    commands: tuple[Command, ...] = ()

    @property
    def jsgf(self) -> str:
        """The grammar in the Java Speech Grammar Format, whose one public rule is a command."""
        choices = " | ".join(f"( {one.jsgf} )" for one in self.commands)
        return f"#JSGF V1.0;\ngrammar commands;\npublic <command> = {choices};\n"

    def is_complete(self, sentence: str) -> bool:
        """Whether a sentence is a whole command: a recogniser may also give the beginning of one."""
        return any(one.pattern.fullmatch(sentence) for one in self.commands)


def parse(text: str, file: str, known: Callable[[str], bool] = lambda _: True) -> Grammar:
    """The commands in a text. Raises `ConfigError` with `file`, `line` and all `problems`.

    `known` tells whether the recogniser has a word in its dictionary.
    """
    problems: list[tuple[int, str]] = []
    found: list[Command] = []
    tokens = 0
    if len(text.encode()) > MOST_BYTES:
        raise ConfigError(f"audio_sensor: {file} has more than {MOST_BYTES} bytes", file=file, line=0)
    for line, raw in enumerate(text.splitlines(), 1):
        if len(found) > MOST_LINES or len(problems) == MOST_PROBLEMS:
            break
        body = raw.partition("#")[0].strip()
        if not body:
            continue
        reader = _Reader(body.lower(), line)
        tokens += reader.size
        if tokens > MOST_TOKENS:
            problems.append((line, f"more than {MOST_TOKENS} words and signs in all commands"))
            break
        try:
            command = reader.command()
            missing = [word for word in command.words if not known(word)]
            if missing:
                raise ValueError(f"the recogniser does not know the word {_quoted(missing[0])}; say it in other words")
            found.append(command)
        except ValueError as error:
            problems.append((line, str(error)))
    if len(found) > MOST_LINES:
        problems.append((found[MOST_LINES].line, f"more than {MOST_LINES} commands"))
    if problems:
        words = [f"{file}:{line}: {problem}" for line, problem in problems]
        lines = [line for line, _ in problems]
        raise ConfigError(f"audio_sensor: {words[0]}", file=file, line=lines[0], problems=words, lines=lines)
    return Grammar(tuple(found))


def _quoted(word: str) -> str:
    return repr(word if len(word) <= MOST_QUOTED else f"{word[:MOST_QUOTED]}…")


class _Reader:
    """Reads one line."""

    def __init__(self, body: str, line: int) -> None:
        self._tokens = _TOKEN.findall(body)
        self._at = 0
        self._line = line
        self._words: list[str] = []
        self._depth = 0

    @property
    def size(self) -> int:
        """How many words and signs there are."""
        return len(self._tokens)

    def command(self) -> Command:
        """Raises `ValueError` with the reason."""
        jsgf, pattern = self._choices("")
        if self._at < len(self._tokens):
            raise ValueError(f"{_quoted(self._tokens[self._at])} closes what was not opened")
        compiled = re.compile(rf"(?:{pattern})")
        if compiled.fullmatch(""):
            raise ValueError("nothing need be said for this; leave one word outside the brackets")
        return Command(self._line, jsgf, compiled, tuple(dict.fromkeys(self._words)))

    def _choices(self, closing: str) -> tuple[str, str]:
        parts = [self._sequence(closing)]
        while self._peek() == "|":
            self._at += 1
            parts.append(self._sequence(closing))
        return " | ".join(jsgf for jsgf, _ in parts), "|".join(pattern for _, pattern in parts)

    def _sequence(self, closing: str) -> tuple[str, str]:
        items = list(self._items())
        if not items:
            raise ValueError("a choice is empty; put a word there, or [brackets] around what may be left out")
        if closing and self._peek() is None:
            raise ValueError(f"{closing!r} is missing at the end")
        return " ".join(jsgf for jsgf, _ in items), "".join(pattern for _, pattern in items)

    def _items(self) -> Iterator[tuple[str, str]]:
        while (token := self._peek()) is not None and token not in ("|", ")", "]"):
            self._at += 1
            yield self._group(token) if token in _CLOSES else self._word(token)

    def _group(self, token: str) -> tuple[str, str]:
        closing = _CLOSES[token]
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise ValueError(f"more than {MOST_DEPTH} choices within each other")
        jsgf, pattern = self._choices(closing)
        self._depth -= 1
        if self._peek() != closing:
            raise ValueError(f"{closing!r} is missing, where {self._peek()!r} stands")
        self._at += 1
        return f"{token} {jsgf} {closing}", f"(?:{pattern}){'?' if token == '[' else ''}"

    def _word(self, token: str) -> tuple[str, str]:
        if not _WORD.match(token):
            raise ValueError(f"{_quoted(token)} is no word; write numbers and signs as they are spoken")
        self._words.append(token)
        return token, rf"(?:(?:^|(?<=\s)){re.escape(token)}(?:\s|$))"

    def _peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None
