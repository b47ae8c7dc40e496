"""Options that hold an account to a protected price: of a chain, the cheapest first, or theoretical ones."""

from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from engine.accounts import Account
from engine.black_scholes import option_price
from engine.hedge_case import SECOND_NS, Hedge, Part, Protection, volatility_of, years
from engine.hedge_words import day, figure, line_of, option_cannot, span
from engine.options import OptionQuote
from engine.solvency import ONE, ZERO
from engine.threat import Threat

MOST_OPTIONS = 5
DOLLARS = frozenset({"USD", "USDC", "USDT", "DAI", "USDS", "USDE", "USDH", "FDUSD", "USDT0"})
THEORY = "theory"
_STEPS = (0, 1, 3, 7)
_NICE = tuple(Decimal(digit).scaleb(power) for power in range(-30, 12) for digit in (1, 2, 5))


def options(part: Part, account: Account, wish: Protection, now_ns: int) -> list[Hedge]:
    """Return the cheapest options that hold, those that somebody offers first; else one row that says why not."""
    threat, source = part.threat, ""
    chain: Sequence[OptionQuote]
    if part.listed is not None:
        chain = part.listed
    else:
        if part.volatility is None:
            because = (
                f"no volatility of {threat.underlying} is known for a theoretical premium; write --volatility 0.62"
            )
            return [_no_option(part, because)]
        source, chain = THEORY, theoretical(threat, part.protected, part.volatility, wish, now_ns)
    fits, why = _fitting(threat, part.protected, wish, now_ns, chain)
    rows = []
    for option in fits:
        price = option.ask or option.mark
        if price is not None:
            paid = source or ("mark" if option.ask is None else "ask")
            rows.append(_option(part, account, option, price, paid, now_ns))
    if not rows:
        return [_no_option(part, why or "nobody quotes an option that fits")]
    rows.sort(key=lambda row: (row.premium_from == "mark", row.premium, row.instrument))
    return rows[: MOST_OPTIONS if part.share == 1 else 1]


def _no_option(part: Part, because: str) -> Hedge:
    return Hedge(part.threat.right.value, "", part.threat.underlying, None, because=because, share=part.share)


def _fitting(
    threat: Threat, protected: Decimal, wish: Protection, now_ns: int, chain: Sequence[OptionQuote]
) -> tuple[list[OptionQuote], str]:
    """Return the options that pay in time, last as long and are paid in dollars, and what the last sieve took."""
    sieves: tuple[tuple[Callable[[OptionQuote], bool], str], ...] = (
        (lambda one: one.right is threat.right, f"no {threat.right} on {threat.underlying} is in the chain"),
        (lambda one: one.quote in DOLLARS, f"no {threat.right} on {threat.underlying} is priced in dollars"),
        (lambda one: one.expires_ns >= now_ns + wish.horizon_s * SECOND_NS, _too_short(chain, threat, wish)),
        (
            lambda one: threat.pays_in_time(one.strike) and (one.strike > protected) is threat.falls,
            f"no strike {'at or above' if threat.falls else 'at or below'} {line_of(threat)}: any other pays only "
            "after the liquidation",
        ),
        (lambda one: one.ask is not None or one.mark is not None, "nobody quotes an option that fits"),
    )
    left = list(chain)
    for keeps, why in sieves:
        left = [one for one in left if keeps(one)]
        if not left:
            return [], why
    return left, ""


def _too_short(chain: Sequence[OptionQuote], threat: Threat, wish: Protection) -> str:
    last = max((one.expires_ns for one in chain if one.right is threat.right), default=None)
    said = "" if last is None else f"; the last ends on {day(last)}"
    return f"no {threat.right} lasts the {span(wish.horizon_s)} asked for{said}; write a shorter --horizon"


def _option(part: Part, account: Account, option: OptionQuote, price: Decimal, source: str, now_ns: int) -> Hedge:
    threat, protected = part.threat, part.protected
    quantity = lots(threat.quantity(option.strike, protected) * part.share, option.lot)
    full = threat.quantity(option.strike, ZERO) * part.share if threat.falls else None
    premium = quantity * price
    volatility = volatility_of(option, price, now_ns)
    left = years((option.expires_ns - now_ns) // SECOND_NS)
    return Hedge(
        threat.right.value,
        option.name,
        option.underlying,
        quantity,
        money=premium,
        protected_to=protected,
        cost_per_year=premium / left if left > 0 else None,
        cannot=option_cannot(account, threat, protected, option, source, is_sane=volatility is not None),
        option=option,
        premium=premium,
        premium_from=source,
        premium_in_coin=premium / option.underlying_price if option.is_inverse else None,
        volatility=volatility,
        full_quantity=None if full is None else lots(full, option.lot),
        share=part.share,
    )


def lots(quantity: Decimal, lot: Decimal) -> Decimal:
    """Return `quantity` rounded up to whole lots; a lot of 0 leaves it as it is."""
    return (quantity / lot).to_integral_value(ROUND_CEILING) * lot if lot else quantity


def theoretical(
    threat: Threat, protected: Decimal, volatility: Decimal, wish: Protection, now_ns: int
) -> list[OptionQuote]:
    """Return options that no venue lists: round strikes from the line on, ending with the horizon, at one volatility.

    Their mark is the closed form's at a rate of 0.
    """
    step = max((each for each in _NICE if each <= threat.price / 50), default=_NICE[0])
    side = ONE if threat.falls else -ONE
    rounding = ROUND_CEILING if threat.falls else ROUND_FLOOR
    first = (threat.line / step).to_integral_value(rounding) * step
    found = []
    for steps in _STEPS:
        strike = first + side * steps * step
        if strike <= 0 or (strike > protected) is not threat.falls:
            continue
        price = option_price(
            threat.right, float(threat.price), float(strike), float(years(wish.horizon_s)), float(volatility)
        )
        name = f"{threat.underlying} {threat.right} {figure(strike)}, {span(wish.horizon_s)}"
        found.append(
            OptionQuote(
                THEORY,
                name,
                threat.underlying,
                threat.right,
                strike,
                now_ns + wish.horizon_s * SECOND_NS,
                ZERO,
                threat.price,
                now_ns,
                mark=Decimal(f"{price:.12e}"),
                mark_volatility=volatility,
            )
        )
    return found
