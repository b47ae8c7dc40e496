"""Numbers and times as our JSON writes them: plain decimal strings, RFC 3339 in UTC."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal

PORTFOLIO_SCHEMA = "marginline.portfolio/1"
RISK_SCHEMA = "marginline.risk/1"
STATUS_SCHEMA = "marginline.status/1"
DECIMALS = Decimal(1).scaleb(-18)
SECOND_NS = 1_000_000_000
_WIDE = Context(prec=400, rounding=ROUND_HALF_EVEN)


def plain(value: Decimal) -> str:
    """Return `value` exactly, without exponent and without trailing zeros ("0" for any zero)."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def rounded(value: Decimal | None) -> str | None:
    """Return `value` plainly with at most 18 decimals, rounded half to even; `None` stays `None`."""
    return None if value is None else plain(value.quantize(DECIMALS, context=_WIDE))


def timestamp(moment_ns: int) -> str:
    """Return epoch nanoseconds as RFC 3339 in UTC, with a fraction only where there is one."""
    seconds, fraction = divmod(moment_ns, SECOND_NS)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (f".{fraction:09d}".rstrip("0") if fraction else "") + "Z"
