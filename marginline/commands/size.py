"""`marginline size`: what can be borrowed or opened at a wanted health, distance or chance, and what leverage does."""

import time
from collections.abc import Sequence
from decimal import Decimal

from engine.accounts import Account, Kind
from engine.answers import envelope
from engine.record import record
from engine.rendering import rounded
from engine.shocks import parse_fraction
from engine.sizing import (
    LOOPS,
    Loan,
    Size,
    Wanted,
    debt_ratio,
    loan_sizes,
    more_debt,
    more_position,
    perp_notional,
    perp_size,
)
from marginline.commands.ground import Ground, held, say_all
from marginline.exits import Exit
from marginline.output import put, put_json, put_table
from providers.errors import ConfigError
from tui import numbers

SCHEMA = "marginline.size/1"
CLOSED_FORM = "the chance is the closed form's, which is too low in the tails: see forecast"
_HOURS = {"h": 1, "d": 24, "w": 168}
_YEAR_H = Decimal(8760)


@record
class Wish:
    """What the command line asked for, as it was written."""

    account: str | None = None
    collateral: str | None = None
    borrow: str | None = None
    open: str | None = None
    margin: str | None = None
    health: str | None = None
    distance: str | None = None
    probability: str | None = None
    within: str = "7d"
    price: str | None = None
    threshold: str | None = None
    max_ltv: str | None = None
    maintenance: str | None = None
    supply_rate: str | None = None
    borrow_rate: str | None = None
    funding: str | None = None
    volatility: str | None = None


def size(ground: Ground, wish: Wish, *, as_json: bool) -> Exit:
    """Print what fits; 0 when it answered. Raises `AppError`."""
    try:
        wanted = _wanted(wish)
        if wish.account is not None:
            return _of_account(ground, wish, wanted, as_json=as_json)
        if wish.open is not None:
            return _of_perp(wish, wanted, as_json=as_json)
        return _of_loan(wish, wanted, as_json=as_json)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _of_account(ground: Ground, wish: Wish, wanted: Wanted, *, as_json: bool) -> Exit:
    found = held(ground)
    document = found.portfolio
    account = next((each for each in document.accounts if each.name == wish.account), None)
    if account is None:
        known = ", ".join(each.name for each in document.accounts) or "none"
        raise ValueError(f"there is no account {str(wish.account)[:40]!r}; there are: {known}")
    asset = wish.borrow or wish.open or _main_asset(account)
    measure = more_debt if account.kind is Kind.LOAN else more_position
    amount = measure(account, document.prices, asset, wanted)
    what = "borrow" if account.kind is Kind.LOAN else "open"
    notes = [*found.degraded, *([CLOSED_FORM] if wanted.probability is not None else [])]
    if as_json:
        put_json(
            envelope(
                SCHEMA,
                document.as_of_ns,
                notes,
                account=account.name,
                wanted=_said(wanted),
                more={"what": what, "asset": asset, "amount": rounded(amount)},
            )
        )
    else:
        room = f"can {what} {numbers.amount(amount, None)} {asset} more" if amount else "has no room"
        put(f"{account.name} {room}")
    say_all(notes)
    return Exit.OK


def _main_asset(account: Account) -> str:
    """Return what the account owes most of, or its largest position, as it stands first; raises `ValueError`."""
    owed = [leg.asset for leg in account.debt if leg.amount]
    open_ = [each.asset for each in account.positions if each.quantity]
    if account.kind is Kind.LOAN and owed:
        return owed[0]
    if account.kind is not Kind.LOAN and open_:
        return open_[0]
    raise ValueError(f"{account.name} has nothing yet; say --borrow ASSET or --open ASSET")


def _of_loan(wish: Wish, wanted: Wanted, *, as_json: bool) -> Exit:
    if wish.collateral is None or wish.borrow is None:
        raise ValueError(
            "say what is put in and what is borrowed: --collateral ETH=10 --borrow USDC, or name an account"
        )
    asset, amount = _amount(wish.collateral, "--collateral")
    loan = Loan(
        _number(wish.price, "--price", "the price of the collateral"),
        _share(wish.threshold, "--threshold", "the liquidation threshold"),
        _optional(wish.max_ltv, "--max-ltv"),
        _optional(wish.supply_rate, "--supply-rate"),
        _optional(wish.borrow_rate, "--borrow-rate"),
    )
    equity = amount * loan.price
    ratio, capped = debt_ratio(loan, wanted, _optional(wish.volatility, "--volatility"))
    sizes = loan_sizes(loan, equity, ratio, (*LOOPS, None))
    notes = [CLOSED_FORM] if wanted.probability is not None else []
    if capped:
        notes.append("capped by max_ltv: the protocol lends no more than that, whatever is wanted")
    _answer(
        wanted,
        {"asset": wish.borrow, "amount": rounded(equity * ratio), "capped_by": capped or None},
        sizes,
        notes,
        as_json,
    )
    if not as_json:
        put(f"borrow {numbers.money(equity * ratio)} {wish.borrow} against {amount} {asset}")
        put()
        _put_sizes(sizes)
        say_all(notes)
    return Exit.OK


def _of_perp(wish: Wish, wanted: Wanted, *, as_json: bool) -> Exit:
    asset, _, side = (wish.open or "").partition("=")
    if side not in ("long", "short"):
        raise ValueError(f"--open {str(wish.open)[:24]!r}: write ASSET=long or ASSET=short")
    margin = _number(wish.margin, "--margin", "the margin that backs it")
    price = _number(wish.price, "--price", "the mark price")
    rate = _share(wish.maintenance, "--maintenance", "the maintenance rate")
    is_long = side == "long"
    notional = perp_notional(margin, rate, wanted, _optional(wish.volatility, "--volatility"), is_long=is_long)
    found = perp_size(price, margin, notional, rate, _optional(wish.funding, "--funding"), is_long=is_long)
    notes = [CLOSED_FORM] if wanted.probability is not None else []
    notes.append("one flat maintenance rate: a larger position may fall into a dearer tier")
    _answer(wanted, {"asset": asset, "amount": rounded(notional / price), "capped_by": None}, [found], notes, as_json)
    if not as_json:
        put(f"open {side} {numbers.amount(notional / price, price)} {asset} on {numbers.money(margin)} of margin")
        put()
        _put_sizes([found])
        say_all(notes)
    return Exit.OK


def _answer(
    wanted: Wanted, opens: dict[str, object], sizes: Sequence[Size], notes: Sequence[str], as_json: bool
) -> None:
    if as_json:
        rows = [_size_answer(each) for each in sizes]
        put_json(envelope(SCHEMA, time.time_ns(), notes, wanted=_said(wanted), opens=opens, sizes=rows))


def _size_answer(one: Size) -> dict[str, object]:
    return {
        "loops": one.loops,
        "collateral": rounded(one.collateral),
        "debt": rounded(one.debt),
        "leverage": rounded(one.leverage),
        "health_factor": rounded(one.health_factor),
        "liquidation_price": rounded(one.liquidation_price),
        "distance": rounded(one.distance),
        "carry": rounded(one.carry),
        "outcomes": [
            {"move": rounded(each.move), "equity_change": rounded(each.equity_change), "liquidated": each.liquidated}
            for each in one.outcomes
        ],
    }


def _put_sizes(sizes: Sequence[Size]) -> None:
    moves = [each.move for each in sizes[0].outcomes]
    headings = (
        "LOOPS",
        "LEVERAGE",
        "HEALTH",
        "LIQ AT",
        "DIST %",
        "CARRY %/Y",
        *(f"{move * 100:+.0f} %" for move in moves),
    )
    rows = [
        (
            "" if one.debt is None else "for ever" if one.loops is None else str(one.loops),
            numbers.multiple(one.leverage),
            numbers.health(one.health_factor),
            _line(one),
            "" if one.distance is None else numbers.distance(one.distance, falls=True).removeprefix("-"),
            "?" if one.carry is None else numbers.signed_percent(one.carry),
            *("GONE" if each.liquidated else numbers.signed_percent(each.equity_change) for each in one.outcomes),
        )
        for one in sizes
    ]
    put_table(headings, rows)


def _line(one: Size) -> str:
    line = one.liquidation_price
    return "none" if line is None else numbers.price(line, numbers.price_places(line))


def _wanted(wish: Wish) -> Wanted:
    if sum(each is not None for each in (wish.health, wish.distance, wish.probability)) != 1:
        raise ValueError("say one of --health 1.8, --distance 30% and --probability 5% (--within 7d)")
    years = _span(wish.within) / _YEAR_H
    return Wanted(
        None if wish.health is None else _decimal(wish.health, "--health"),
        None if wish.distance is None else parse_fraction(wish.distance, "--distance"),
        None if wish.probability is None else parse_fraction(wish.probability, "--probability"),
        years,
    )


def _said(wanted: Wanted) -> dict[str, object]:
    return {
        "health": rounded(wanted.health),
        "distance": rounded(wanted.distance),
        "probability": rounded(wanted.probability),
    }


def _span(text: str) -> Decimal:
    unit = _HOURS.get(text[-1:])
    if unit is None:
        raise ValueError(f"--within {text[:20]!r}: write 24h, 7d or 2w")
    hours = _decimal(text[:-1], "--within") * unit
    if not 0 < hours <= 24 * 3650:
        raise ValueError(f"--within {text[:20]!r}: between an hour and ten years")
    return hours


def _amount(text: str, flag: str) -> tuple[str, Decimal]:
    name, equals, value = text.partition("=")
    if not (equals and name):
        raise ValueError(f"{flag} {text[:24]!r}: write ASSET=AMOUNT, as in ETH=10")
    return name, _positive(_decimal(value, flag), flag)


def _number(text: str | None, flag: str, what: str) -> Decimal:
    if text is None:
        raise ValueError(f"{flag} is missing: {what}")
    return _positive(_decimal(text.partition("=")[2] or text, flag), flag)


def _share(text: str | None, flag: str, what: str) -> Decimal:
    if text is None:
        raise ValueError(f"{flag} is missing: {what}, as in 0.83 or 83%")
    share = parse_fraction(text, flag)
    if not 0 < share < 1:
        raise ValueError(f"{flag} {text[:20]!r} is not between 0 and 1; write 83 % as 0.83")
    return share


def _optional(text: str | None, flag: str) -> Decimal | None:
    return None if text is None else parse_fraction(text, flag)


def _decimal(text: str, flag: str) -> Decimal:
    try:
        value = Decimal(text)
    except ArithmeticError:
        value = Decimal("NaN")
    if not value.is_finite():
        raise ValueError(f"{flag}: {text[:20]!r} is not a number")
    return value


def _positive(value: Decimal, flag: str) -> Decimal:
    if value <= 0:
        raise ValueError(f"{flag}: {value} is not above 0")
    return value
