"""Changes of a venue's JSON that must not fool an adapter: other spellings, strangers, gaps and nonsense."""

import json
import re
from collections.abc import Callable, Iterator, Set
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

import msgspec

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_ENCODER = msgspec.json.Encoder(decimal_format="number")

Visit = Callable[[str, Any], Any]
GONE = object()
"""What a visit returns to take a value out of its object."""


def bent(raw: bytes, visit: Visit, *, every_object: Callable[[str, dict[str, Any]], None] | None = None) -> bytes:
    """Return JSON with `visit(key, value)` in place of each value; entries of a list go by the list's key.

    `every_object` may change each object in place. What is no JSON stays.
    """
    try:
        value = json.loads(raw, parse_float=Decimal)
    except ValueError:
        return raw
    return _ENCODER.encode(_walk("", value, visit, every_object))


def _walk(key: str, value: Any, visit: Visit, every_object: Callable[[str, dict[str, Any]], None] | None) -> Any:
    if isinstance(value, dict):
        pairs = {name: _walk(name, visit(name, one), visit, every_object) for name, one in value.items()}
        kept = {name: one for name, one in pairs.items() if one is not GONE}
        if every_object is not None:
            every_object(key, kept)
        return kept
    if isinstance(value, list):
        return [
            _walk(key, one if isinstance(one, dict | list) else visit(key, one), visit, every_object) for one in value
        ]
    return value


def numbers_as_numbers(raw: bytes, words: Set[str]) -> bytes:
    """Return JSON whose numbers in text have become numbers, but for those under a key of `words`."""

    def visit(key: str, value: Any) -> Any:
        is_number = isinstance(value, str) and key not in words and _NUMBER.fullmatch(value)
        return Decimal(value) if is_number else value

    return bent(raw, visit)


def numbers_as_text(raw: bytes, words: Set[str]) -> bytes:
    """Return JSON whose numbers with a decimal point have become text, but for those under a key of `words`."""
    return bent(raw, lambda key, value: str(value) if isinstance(value, Decimal) and key not in words else value)


def with_strangers(raw: bytes, open_maps: Set[str]) -> bytes:
    """Return JSON with unknown members in every object, but for those whose members are named by data."""

    def add(key: str, found: dict[str, Any]) -> None:
        if key not in open_maps:
            found["fieldOfTomorrow"] = {"nested": ["1.5", None, {"deeper": True}]}

    return bent(raw, lambda _, value: value, every_object=add)


def without(raw: bytes, gone: str) -> bytes:
    """Return JSON that lacks every member called `gone`."""
    return bent(raw, lambda key, value: GONE if key == gone else value)


def with_nonsense(raw: bytes, where: str) -> bytes:
    """Return JSON with "NaN" in place of every number called `where`."""

    def visit(key: str, value: Any) -> Any:
        is_text_number = isinstance(value, str) and _NUMBER.fullmatch(value)
        is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
        return "NaN" if key == where and (is_number or is_text_number) else value

    return bent(raw, visit)


def keys_of(raw: bytes) -> set[str]:
    """Return the name of every member of every object."""
    found: set[str] = set()

    def visit(key: str, value: Any) -> Any:
        found.add(key)
        return value

    bent(raw, visit)
    return found - {""}


def numbers_in(value: object) -> Iterator[Decimal]:
    """Yield every `Decimal` in a record, however deep."""
    if isinstance(value, Decimal):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            yield from numbers_in(getattr(value, one.name))
    elif isinstance(value, dict):
        for one in value.values():
            yield from numbers_in(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from numbers_in(one)
