"""Reading TOML with the line of every key, so that an error can say where."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

from providers.errors import ConfigError

Key: TypeAlias = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[|\[)\s*([^\[\]]+?)\s*(\]\]|\])\s*(#.*)?$")
_ASSIGNMENT = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def key_lines(text: str) -> dict[Key, int]:
    """Return the 1-based line of every table and key of a TOML text, by path; array tables count from 0."""
    lines: dict[Key, int] = {}
    counts: dict[Key, int] = {}
    table: Key = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _table_path(_parts(header.group(2)), header.group(1) == "[[", counts)
            lines.setdefault(table, number)
        elif assignment := _ASSIGNMENT.match(line):
            lines.setdefault((*table, *_parts(assignment.group(1))), number)
    return lines


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _table_path(parts: tuple[str, ...], is_array: bool, counts: dict[Key, int]) -> Key:
    path: Key = ()
    for index, part in enumerate(parts):
        path = (*path, part)
        is_last = index == len(parts) - 1
        if is_array and is_last:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def spelled(path: Key) -> str:
    """Return a path as its owner would write it: `account[0].rpc_url`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass
class Table:
    """One table of a config file; every read names the file, the line and the key when it fails."""

    file: Path
    data: Mapping[str, Any]
    lines: Mapping[Key, int]
    path: Key = ()
    title: str = ""
    used: set[str] = field(default_factory=set)

    def line(self, key: str) -> int | None:
        """Return the line on which `key` of this table stands."""
        return self.lines.get((*self.path, key)) or self.lines.get(self.path)

    def error(self, key: str, problem: str) -> ConfigError:
        """Return the error to raise for `key`: file, line, place, problem."""
        line = self.line(key)
        where = f"{self.file}:{line}" if line else str(self.file)
        place = spelled((*self.path, key)) if key else spelled(self.path) or "the file"
        title = f" ({self.title})" if self.title else ""
        return ConfigError(f"{where}: {place}{title}: {problem}")

    def raw(self, key: str) -> Any:
        """Return the value as TOML has it, `None` when absent."""
        self.used.add(key)
        return self.data.get(key)

    def text(self, key: str) -> str | None:
        """Return a non-empty string."""
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, f"must be a non-empty string, not {_shown(value)}")
        return value

    def required(self, key: str, example: str) -> str:
        """Return a string that must be there."""
        value = self.text(key)
        if value is None:
            raise self.error(key, f"is missing; add for example: {key} = {example}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a string or a list of strings as a tuple."""
        value = self.raw(key)
        if value is None:
            return ()
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) and item.strip() for item in items):
            raise self.error(key, f"must be a string or a list of strings, not {_shown(value)}")
        return tuple(items)

    def flag(self, key: str) -> bool | None:
        """Return true or false."""
        value = self.raw(key)
        if value is not None and not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {_shown(value)}")
        return value

    def whole(self, key: str, low: int, high: int) -> int | None:
        """Return an integer within bounds."""
        value = self.raw(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(key, f"must be a whole number from {low} to {high}, not {_shown(value)}")
        return value

    def number(self, key: str, low: Decimal | int = 0, high: Decimal | int = 10**15) -> Decimal | None:
        """Return a finite number within bounds."""
        value = self.raw(key)
        return None if value is None else self._number(key, value, low, high)

    def numbers(
        self, key: str, count: int, low: Decimal | int = 0, high: Decimal | int = 10**9
    ) -> tuple[Decimal, ...] | None:
        """Return a list of exactly `count` finite numbers."""
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != count:
            raise self.error(key, f"must be a list of {count} numbers, not {_shown(value)}")
        return tuple(self._number(key, item, low, high) for item in value)

    def _number(self, key: str, value: Any, low: Decimal | int, high: Decimal | int) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self.error(key, f"must be a number, not {_shown(value)}")
        number = Decimal(value)
        if not number.is_finite() or not low <= number <= high:
            raise self.error(key, f"must be from {low} to {high}, not {_shown(value)}")
        return number

    def table(self, key: str) -> "Table":
        """Return a sub-table, empty when absent."""
        value = self.raw(key)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.error(key, f"must be a table [{spelled((*self.path, key))}], not {_shown(value)}")
        return Table(self.file, value, self.lines, (*self.path, key), self.title)

    def tables(self, key: str) -> list["Table"]:
        """Return an array of tables, empty when absent."""
        value = self.raw(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.error(key, f"must be written as [[{key}]]")
        return [Table(self.file, item, self.lines, (*self.path, key, index)) for index, item in enumerate(value)]

    def children(self) -> Iterable[tuple[str, "Table"]]:
        """Return every sub-table by name."""
        return [(key, self.table(key)) for key in self.data]

    def finish(self, allowed: Iterable[str] = ()) -> None:
        """Raise for the first key that nobody read, with a suggestion."""
        known = sorted(self.used | set(allowed))
        for key in self.data:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                hint = f'did you mean "{close[0]}"?' if close else f"known keys: {', '.join(known)}"
                raise self.error(key, f"unknown key; {hint}")


def _shown(value: Any) -> str:
    """Return a short inert picture of a value; strings are not repeated, they could be secrets."""
    if isinstance(value, str):
        return f"a string of {len(value)} characters" if value else "an empty string"
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else f"a list of {len(value)}"
    return str(value)[:40]


def load_table(file: Path) -> Table:
    """Read a TOML file; raises `ConfigError` naming the file and line of a syntax error."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{file}: there is no such file; `marginline init` writes one") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: is not valid TOML: {error}") from error
    return Table(file, data, key_lines(text))
