"""Strict reading of JSON that strangers wrote: exact numbers, bounded sizes, and errors that name the place.

Every value is wrapped in a `Node` that knows its path, so that an error says where ("accounts[1].positions[0].tiers"),
what stands there (bounded and inert) and what to do.
"""

import json
import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from decimal import Decimal

from engine.record import record

MAX_BYTES = 16_000_000
MAX_DIGITS = 80
MAX_EXPONENT = 40
MAX_NAME = 100
_SHOWN = 60
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?(?:[Zz]|[+-]00:00)",
    re.ASCII,
)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[{]+|[\]}]+")
_DAYS_TO_EPOCH = 719_163
MAX_DEPTH = 64
SECOND_NS = 1_000_000_000


class DocumentError(ValueError):
    """A document we cannot read: `path` is where, `problem` what is wrong and what to do."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem


class _Object(dict[str, object]):
    """A JSON object that remembers a key given twice."""

    repeated: str | None = None


@record
class _BadNumber:
    """A number that JSON allows to be written but that we refuse to hold."""

    text: str


def _object(pairs: list[tuple[str, object]]) -> _Object:
    found = _Object()
    for key, value in pairs:
        if key in found:
            found.repeated = key
        found[key] = value
    return found


def _number(text: str) -> Decimal | _BadNumber:
    if len(text) > MAX_DIGITS + 8 or not _NUMBER.fullmatch(text):
        return _BadNumber(text[:_SHOWN])
    value = Decimal(text)
    if value and not -MAX_EXPONENT <= value.adjusted() <= MAX_EXPONENT:
        return _BadNumber(text[:_SHOWN])
    return value


def shown(value: object) -> str:
    """Return `value` as text that is safe to print anywhere: ASCII, one line, bounded."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = ascii(value[: 2 * _SHOWN]) if isinstance(value, str) else _plain_text(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _plain_text(value: object) -> str:
    return value.text if isinstance(value, _BadNumber) else str(value)


def read_json(text: str | bytes) -> "Node":
    """Return the root of a JSON document; raises `DocumentError` when it is not JSON, too large or nested too deep."""
    if len(text) > MAX_BYTES:
        raise DocumentError("document", f"is larger than {MAX_BYTES // 1_000_000} MB; split it")
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DocumentError("document", f"is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    if _is_deeper(text, MAX_DEPTH):
        raise DocumentError("document", f"is nested deeper than {MAX_DEPTH} levels; no portfolio is")
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_float=_number, parse_int=_number, parse_constant=_BadNumber
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise DocumentError("document", f"is not JSON: {error.msg} at {where}") from error
    return Node("", value)


def _is_deeper(text: str, levels: int) -> bool:
    """Return whether brackets outside strings nest deeper; the parser itself would recurse until the stack ends."""
    if text.count("[") + text.count("{") <= levels:
        return False
    depth = 0
    for run in _BRACKETS.finditer(_STRING.sub("", text)):
        size = run.end() - run.start()
        depth += size if run.group()[0] in "[{" else -size
        if depth > levels:
            return True
    return False


@record
class Node:
    """One JSON value and its path; each reader returns the value or raises `DocumentError` naming the path."""

    path: str
    value: object

    def fail(self, problem: str) -> DocumentError:
        """Return the error that says `problem` of this place."""
        return DocumentError(self.path or "document", problem)

    def child(self, key: str) -> "Node | None":
        """Return the member `key` of an object, `None` when absent or null."""
        members = self.value
        if not isinstance(members, dict):
            raise self.fail(f"must be an object, not {shown(members)}")
        value = members.get(key)
        return None if value is None else Node(self._below(key), value)

    def required(self, key: str) -> "Node":
        """Return the member `key`, which must be there."""
        found = self.child(key)
        if found is None:
            raise DocumentError(self._below(key), "is required; add it")
        return found

    def _below(self, key: str) -> str:
        plain = re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", key)
        step = key if plain else f"[{shown(key)}]"
        return f"{self.path}.{step}" if self.path and plain else f"{self.path}{step}"

    def keys(self, allowed: Collection[str]) -> None:
        """Refuse keys outside `allowed`, and a key given twice."""
        members = self.value
        if not isinstance(members, dict):
            raise self.fail(f"must be an object, not {shown(members)}")
        if isinstance(members, _Object) and members.repeated is not None:
            raise self.fail(f"key {shown(members.repeated)} is given twice; keep one")
        for key in members:
            if key not in allowed:
                raise DocumentError(self._below(key), f"unknown key{_meant(key, allowed)}")

    def members(self, most: int) -> Iterator[tuple[str, "Node"]]:
        """Return name and value of each member of an object whose keys are names, at most `most` of them."""
        members = self.value
        if not isinstance(members, dict):
            raise self.fail(f"must be an object, not {shown(members)}")
        if isinstance(members, _Object) and members.repeated is not None:
            raise self.fail(f"key {shown(members.repeated)} is given twice; keep one")
        if len(members) > most:
            raise self.fail(f"holds {len(members)} entries, at most {most} are read")
        return ((Node(self._below(key), key).name(), Node(self._below(key), value)) for key, value in members.items())

    def items(self, most: int) -> list["Node"]:
        """Return the items of a list of at most `most`."""
        if not isinstance(self.value, list):
            raise self.fail(f"must be a list, not {shown(self.value)}")
        if len(self.value) > most:
            raise self.fail(f"holds {len(self.value)} items, at most {most} are read")
        return [Node(f"{self.path}[{index}]", value) for index, value in enumerate(self.value)]

    def text(self, limit: int = MAX_NAME) -> str:
        """Return a printable string of 1 to `limit` characters."""
        value = self.value
        if not isinstance(value, str):
            raise self.fail(f"must be a string, not {shown(value)}")
        if not value.strip():
            raise self.fail("is empty; give it a name")
        if len(value) > limit:
            raise self.fail(f"{shown(value)} has {len(value)} characters, at most {limit} are read")
        if not value.isprintable():
            raise self.fail(f"{shown(value)} holds control or invisible characters; remove them")
        return value

    def name(self) -> str:
        """Return a printable string without spaces around it."""
        value = self.text()
        if value != value.strip():
            raise self.fail(f"{shown(value)} has spaces around it; remove them")
        return value

    def number(self) -> Decimal:
        """Return an exact finite number given as a JSON number or a string."""
        value = _number(self.value) if isinstance(self.value, str) else self.value
        if isinstance(value, Decimal):
            return value
        if isinstance(value, _BadNumber):
            wanted = f"a plain number of at most {MAX_DIGITS} digits and a size of 1e{MAX_EXPONENT}"
            raise self.fail(f"{shown(self.value)} is not a number we can hold; write {wanted}")
        raise self.fail(f"must be a number, not {shown(value)}")

    def at_least(self, low: Decimal) -> Decimal:
        """Return a number not below `low`."""
        value = self.number()
        if value < low:
            raise self.fail(f"{shown(value)} is below {low}")
        return value

    def positive(self) -> Decimal:
        """Return a number above 0."""
        value = self.number()
        if value <= 0:
            raise self.fail(f"{shown(value)} must be above 0")
        return value

    def within(self, low: Decimal, high: Decimal, hint: str = "") -> Decimal:
        """Return a number from `low` to `high`; `hint` is added to the error."""
        value = self.number()
        if not low <= value <= high:
            raise self.fail(f"{shown(value)} is outside {low} to {high}" + (f"; {hint}" if hint else ""))
        return value

    def whole(self) -> int:
        """Return a whole number not below 0."""
        value = self.number()
        if value != value.to_integral_value() or value < 0:
            raise self.fail(f"{shown(value)} must be a whole number")
        return int(value)

    def boolean(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            raise self.fail(f"must be true or false, not {shown(self.value)}")
        return self.value

    def choice(self, allowed: Collection[str]) -> str:
        """Return one of `allowed`."""
        value = self.value
        if not isinstance(value, str) or value not in allowed:
            meant = _meant(value, allowed) if isinstance(value, str) else ""
            raise self.fail(f"{shown(value)} is not one of {', '.join(sorted(allowed))}{meant}")
        return value

    def moment_ns(self) -> int:
        """Return an RFC 3339 time in UTC as epoch nanoseconds."""
        value = self.value
        found = _MOMENT.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise self.fail(f"{shown(value)} is not an RFC 3339 time in UTC such as 2026-11-22T10:00:00Z")
        try:
            return _epoch_ns(*(int(part) for part in found.groups()[:6]), fraction=found[7] or "")
        except ValueError as error:
            raise self.fail(f"{shown(value)} is not a real moment") from error


def _epoch_ns(year: int, month: int, day: int, hour: int, minute: int, second: int, *, fraction: str) -> int:
    days = datetime(year, month, day, hour, minute, second, tzinfo=UTC).toordinal() - _DAYS_TO_EPOCH
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    return seconds * SECOND_NS + int(fraction.ljust(9, "0"))


def _meant(key: str, allowed: Collection[str]) -> str:
    from difflib import get_close_matches  # only an error needs it

    close = get_close_matches(key[:MAX_NAME], list(allowed), n=1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(sorted(allowed))}" if allowed else ""
