"""Numbers on Binance's wire: decimals as strings, sometimes as JSON numbers, sometimes "" or null for none."""

from decimal import Decimal, InvalidOperation

import msgspec

from providers.errors import Malformed

VENUE = "binance"
ABSENT = msgspec.Raw(b"null")


def number(raw: msgspec.Raw, what: str) -> Decimal | None:
    """Return the exact number in `raw`, `None` for null and ""; raises `Malformed` for what is none, or NaN."""
    text = bytes(raw).strip(b'" ').decode("ascii", "replace")
    if text in ("", "null", "-"):
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise Malformed(VENUE, f"{what}: not a number") from None
    return finite(value, what)


def finite(value: Decimal, what: str) -> Decimal:
    """Return `value`; raises `Malformed` for NaN, infinities and sizes that nothing has."""
    if not value.is_finite() or abs(value.adjusted()) > 40:
        raise Malformed(VENUE, f"{what}: not a finite number of sane size")
    return value


def price(raw: msgspec.Raw, what: str) -> Decimal | None:
    """Return a price, `None` where the venue writes 0, "" or null for none; raises `Malformed` below 0."""
    value = number(raw, what)
    if value is not None and value < 0:
        raise Malformed(VENUE, f"{what}: negative")
    return value or None


def required(raw: msgspec.Raw, what: str) -> Decimal:
    """Return a number that must be there; raises `Malformed`."""
    value = number(raw, what)
    if value is None:
        raise Malformed(VENUE, f"{what}: missing")
    return value


def name(text: str) -> str:
    """Return a symbol or coin as bounded printable ASCII without spaces: it is text of the venue."""
    return "".join(c for c in text if c.isascii() and c.isprintable() and not c.isspace())[:32] or "?"
