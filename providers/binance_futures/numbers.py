"""Numbers and names on Binance's wire: decimals in quotes, sometimes bare, sometimes "" or null for none."""

from decimal import Decimal
from typing import TypeVar

import msgspec

from providers import loose_numbers
from providers.errors import Malformed
from providers.loose_numbers import NO_NUMBER as ABSENT

__all__ = ["ABSENT", "VENUE", "finite", "name", "number", "price", "read", "required"]

T = TypeVar("T")
VENUE = "binance"


def read(place: str, raw: bytes, into: type[T]) -> T:
    """Return JSON `raw` as `into`, whole numbers and truth values in quotes or bare; raises `Malformed`."""
    try:
        return msgspec.json.decode(raw, type=into, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(VENUE, f"{place}: {str(error)[:160]}") from error


def number(raw: msgspec.Raw, what: str) -> Decimal | None:
    """Return the exact number in `raw`, `None` for null and ""; raises `Malformed` for what is none, or NaN."""
    return loose_numbers.number(VENUE, what, raw)


def price(raw: msgspec.Raw, what: str) -> Decimal | None:
    """Return a price, `None` where the venue writes 0, "" or null for none; raises `Malformed` below 0."""
    return loose_numbers.positive(VENUE, what, raw)


def required(raw: msgspec.Raw, what: str) -> Decimal:
    """Return a number that must be there; raises `Malformed`."""
    value = number(raw, what)
    if value is None:
        raise Malformed(VENUE, f"{what}: missing")
    return value


def finite(value: Decimal, what: str) -> Decimal:
    """Return `value`; raises `Malformed` for NaN, infinities and sizes that nothing has."""
    if not value.is_finite() or abs(value.adjusted()) > 40:
        raise Malformed(VENUE, f"{what}: not a finite number of sane size")
    return value


def name(text: str) -> str:
    """Return a symbol or coin as bounded printable ASCII without spaces: it is text of the venue."""
    return "".join(c for c in text if c.isascii() and c.isprintable() and not c.isspace())[:32] or "?"
