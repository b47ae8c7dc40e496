"""What each way of hedging cannot do, in words: said with the figures of the case, never left out."""

from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

from engine.accounts import Account, Kind
from engine.options import OptionQuote
from engine.shocks import FOLLOWS
from engine.threat import Threat

_SIGNIFICANT = 5
_WIDE = Context(prec=120)


def figure(value: Decimal) -> str:
    """Return a price or amount with about five significant digits and thousands commas."""
    places = max(0, _SIGNIFICANT - 1 - value.adjusted()) if value else 0
    text = f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN, _WIDE):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(fraction: Decimal) -> str:
    """Return a fraction in percent with one decimal."""
    return f"{fraction * 100:.1f} %"


def span(seconds: int) -> str:
    """Return a length of time in days, below one in hours, below that in minutes."""
    for unit, size in (("d", 86_400), ("h", 3_600)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds / 60:g} min"


def day(moment_ns: int) -> str:
    """Return the UTC date of a moment."""
    return datetime.fromtimestamp(moment_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d")


def line_of(threat: Threat) -> str:
    """Return where the account is liquidated, rounded toward the market."""
    places = max(0, _SIGNIFICANT - 1 - threat.line.adjusted())
    rounding = ROUND_CEILING if threat.falls else ROUND_FLOOR
    return f"{threat.line.quantize(Decimal(1).scaleb(-places), rounding, _WIDE):,f}"


def beyond(threat: Threat, protected: Decimal) -> str:
    """Return that a hedge sized to `protected` ends there."""
    return f"{'below' if threat.falls else 'above'} {figure(protected)} it no longer suffices"


def in_time(account: Account, threat: Threat, where: str) -> str:
    """Return that money elsewhere does not count until it is moved."""
    act = "repay" if account.kind is Kind.LOAN else "pay in"
    return (
        f"its gain sits at {where}: the account does not count it; sell or close and {act} before "
        f"{threat.underlying} is at {line_of(threat)}, days of transfer and settlement included"
    )


def basis(threat: Threat) -> list[str]:
    """Return that tokens which stand for the underlying can part from it."""
    others = [asset for asset in threat.moving if FOLLOWS.get(asset) == threat.underlying]
    return [f"it pays on {threat.underlying}: {', '.join(others)} parting from it is not covered"] if others else []


def option_cannot(
    account: Account, threat: Threat, protected: Decimal, option: OptionQuote, paid: str, *, is_sane: bool = True
) -> tuple[str, ...]:
    """Return what an option cannot do. `paid` is where its premium is from: "ask", "mark" or "theory".

    A price that no volatility implies is not sane.
    """
    venue = "the venue" if paid == "theory" else option.venue
    found = [in_time(account, threat, venue)]
    if option.is_inverse:
        move = f"({figure(option.strike)} - price)" if threat.falls else f"(price - {figure(option.strike)})"
        found.append(
            f"it pays {move} / price in {option.underlying}, worth its dollars only at that price; premium and any "
            f"margin are in {option.underlying} too"
        )
    found.append(f"it ends on {day(option.expires_ns)}: to stay protected buy the next at what it then costs")
    found.append("before its end it is sold at the market's bid, which can be below what it would pay at the end")
    if paid == "mark":
        found.append("nobody offers it now: the premium is the venue's mark, and what a seller asks can be far more")
    elif paid == "ask":
        found.append("how much is offered at this ask is not known: a large order pays more")
    else:
        found.append(
            "the premium is a formula's at one volatility for all strikes: the market asks more for low strikes"
        )
    if not is_sane:
        found.append(
            "no volatility gives this price, so that it is likely old: nobody sells below what it pays at once"
        )
    return (*found, *basis(threat), beyond(threat, protected))


def perp_cannot(account: Account, threat: Threat, protected: Decimal, funding: str) -> tuple[str, ...]:
    """Return what an opposite perp cannot do."""
    gain, rise = ("rise", "up") if threat.falls else ("fall", "down")
    return (
        in_time(account, threat, "another venue"),
        f"it can be liquidated itself on the way {rise}: what it then lost stays lost when the price turns back",
        f"it gives up the {gain}: what this account gains on that part, the perp loses",
        funding,
        "its maintenance rate is taken as 1 %, without fees; its venue may deleverage it in a crash",
        *basis(threat),
        beyond(threat, protected),
    )
