"""Numbers as venues send them: in quotes or bare, and as "", "-" or null where there is none."""

from decimal import Decimal, InvalidOperation

import msgspec

from providers.errors import Malformed
from providers.text import inert

NO_NUMBER = msgspec.Raw(b"null")
"""The default of a field that the venue may leave out."""

_NONE = frozenset({b"", b"null", b"-"})
_SANE_EXPONENT = 40


def is_left_out(raw: msgspec.Raw) -> bool:
    """Return whether the venue did not send the field at all; "" is its word for no value."""
    return bytes(raw) == b"null"


def number(venue: str, what: str, raw: msgspec.Raw) -> Decimal | None:
    """Return a number, `None` where the venue says that there is none; raises `Malformed` for anything else."""
    text = bytes(raw).strip().removeprefix(b'"').removesuffix(b'"').strip()
    if text in _NONE:
        return None
    try:
        value = Decimal(text.decode("ascii"))
    except (InvalidOperation, ValueError) as error:
        raise _malformed(venue, what, "not a number") from error
    if not value.is_finite() or abs(value.adjusted()) > _SANE_EXPONENT:
        raise _malformed(venue, what, "not a finite number of sane size")
    return value


def positive(venue: str, what: str, raw: msgspec.Raw) -> Decimal | None:
    """Return a number above 0; 0 says that there is none. Raises `Malformed` below 0."""
    value = not_negative(venue, what, raw)
    return value or None


def not_negative(venue: str, what: str, raw: msgspec.Raw) -> Decimal | None:
    """Return a number of at least 0; raises `Malformed` below."""
    value = number(venue, what, raw)
    if value is not None and value < 0:
        raise _malformed(venue, what, "negative")
    return value


def whole(venue: str, what: str, raw: msgspec.Raw) -> int | None:
    """Return a whole number; raises `Malformed` for a fraction."""
    value = number(venue, what, raw)
    if value is None:
        return None
    if value != int(value):
        raise _malformed(venue, what, "not a whole number")
    return int(value)


def _malformed(venue: str, what: str, why: str) -> Malformed:
    """Return the error; `what` may hold a name that the venue gave."""
    return Malformed(venue, f"{inert(what, 80)}: {why}")
