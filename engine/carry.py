"""What debt costs and how long interest alone may run: carry of a loan, funding of perps, financing at a broker.

Rates are annual fractions on a 365-day year. Days are estimated in float: they feed no plan, severity or limit.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from engine.accounts import Account, Kind, Position
from engine.assessment import CostOfDebt
from engine.record import record
from engine.solvency import ZERO
from engine.triggers import coin_price, face_or_market_value, position_price

DAYS = 365
HORIZON_YEARS = 10_000.0


@record
class Carry:
    """Cost of debt and days of interest until health 1, with the reasons of what could not be told by field."""

    cost: CostOfDebt | None
    interest_only_days: int | None
    missing: Mapping[str, str]


@record
class Growth:
    """A value in quote currency that compounds continuously at an annual `rate`."""

    value: Decimal
    rate: Decimal


def carry(account: Account, prices: Mapping[str, Decimal], equity: Decimal | None, buffer: Decimal) -> Carry:
    """Return the carry of `account` at `prices`; `buffer` is cover less requirement, and every owed leg has a price.

    Loan: sum(debt x borrow_rate) against sum(collateral x supply_rate). Perp: sum(quantity x price x funding_rate),
    which a long pays, + sum(borrowed coins x borrow_rate); what its coins earn counts in `net_carry` alone. Broker:
    borrowed cash x cash_rate + short value x borrow fee; credit balances earn nothing here.
    """
    match account.kind:
        case Kind.LOAN:
            return _loan(account, prices, equity)
        case Kind.PERP:
            return _perp(account, prices, equity, buffer)
        case Kind.BROKER:
            return _broker(account, prices, equity, buffer)


def _cost(paid: Decimal, base: Decimal, net: Decimal | None, equity: Decimal | None) -> CostOfDebt:
    net_carry = None if net is None or equity is None or equity <= 0 else net / equity
    return CostOfDebt(paid / base if base else None, paid / DAYS, net_carry)


def _loan(account: Account, prices: Mapping[str, Decimal], equity: Decimal | None) -> Carry:
    debts = [leg for leg in account.debt if leg.amount]
    if not debts:
        return Carry(None, None, {})
    unknown = [leg.asset for leg in debts if leg.borrow_rate is None]
    if unknown:
        reason = f"borrow rate of {', '.join(unknown)} unknown"
        return Carry(None, None, {"cost_of_debt": reason, "interest_only_days": reason})
    owed = [Growth(leg.amount * prices[leg.asset], leg.borrow_rate) for leg in debts if leg.borrow_rate is not None]
    missing: dict[str, str] = {}
    cover: list[Growth] = []
    earned: Decimal | None = ZERO
    for leg in account.collateral:
        if not leg.amount:
            continue
        price = prices.get(leg.asset)
        if leg.supply_rate is None or price is None:
            earned = None
            reason = f"supply rate of {leg.asset} unknown" if leg.supply_rate is None else f"no price of {leg.asset}"
            missing["net_carry"] = reason
            if leg.liquidation_threshold:
                missing["interest_only_days"] = reason
            continue
        value = leg.amount * price
        if earned is not None:
            earned += value * leg.supply_rate
        if leg.liquidation_threshold:
            cover.append(Growth(value * leg.liquidation_threshold, leg.supply_rate))
    paid = sum((debt.value * debt.rate for debt in owed), ZERO)
    cost = _cost(paid, sum((debt.value for debt in owed), ZERO), None if earned is None else earned - paid, equity)
    if cost.net_carry is None and "net_carry" not in missing:
        missing["net_carry"] = "equity is not positive"
    days = None if "interest_only_days" in missing else interest_only_days(cover, owed)
    return Carry(cost, days, missing)


def _perp(account: Account, prices: Mapping[str, Decimal], equity: Decimal | None, buffer: Decimal) -> Carry:
    positions = [position for position in account.positions if position.quantity]
    debts = [leg for leg in account.debt if leg.amount]
    if not positions and not debts:
        return Carry(None, None, {})
    funding = notional = borrowed = interest = earned = ZERO
    predicted: Decimal | None = None
    for position in positions:
        if position.funding_rate is None:
            return _unpriced(f"funding rate of {position.asset} unknown")
        value = face_or_market_value(position, position_price(account, position, prices))
        paid = value * position.funding_rate
        funding += paid
        notional += abs(value)
        if position.predicted_funding_rate is not None:
            predicted = (predicted or ZERO) + value * position.predicted_funding_rate - paid
    for debt in debts:
        if debt.borrow_rate is None:
            return _unpriced(f"borrow rate of {debt.asset} unknown")
        value = debt.amount * coin_price(account, debt.asset, prices)
        borrowed += value
        interest += value * debt.borrow_rate
    missing = _net_missing(equity)
    for leg in account.collateral:
        if leg.amount and leg.supply_rate:
            if leg.asset not in prices:
                equity, missing = None, {"net_carry": f"no price of {leg.asset}"}
                break
            earned += leg.amount * coin_price(account, leg.asset, prices) * leg.supply_rate
    total = funding + interest if debts else funding
    cost = _cost(total, notional + borrowed, earned - total if earned else -total, equity)
    cost = replace(
        cost,
        predicted_per_day=None if predicted is None else (total + predicted) / DAYS,
        next_funding_ns=min((each.next_funding_ns for each in positions if each.next_funding_ns), default=None),
        funding_paid=_funding_paid(positions, missing),
    )
    if not borrowed:
        return Carry(cost, _linear_days(buffer, total), missing)
    return Carry(cost, _compound_days(buffer, Growth(borrowed, interest / borrowed), funding), missing)


def _unpriced(reason: str) -> Carry:
    return Carry(None, None, {"cost_of_debt": reason, "interest_only_days": reason})


def _funding_paid(positions: Sequence[Position], missing: dict[str, str]) -> Decimal | None:
    """Return what all positions have paid; `None` where the venue tells it of none, or not of all."""
    told = [each.funding_paid for each in positions if each.funding_paid is not None]
    if len(told) == len(positions):
        return sum(told, ZERO) if told else None
    if told:
        silent = next(each.asset for each in positions if each.funding_paid is None)
        missing["funding_paid"] = f"funding paid by {silent} unknown"
    return None


def _broker(account: Account, prices: Mapping[str, Decimal], equity: Decimal | None, buffer: Decimal) -> Carry:
    borrowed = max(-account.balance, ZERO)
    shorts = [position for position in account.positions if position.quantity < 0]
    if not borrowed and not shorts:
        return Carry(None, None, {})
    unknown = [f"borrow fee of {position.asset}" for position in shorts if position.funding_rate is None]
    if borrowed and account.cash_rate is None:
        unknown.insert(0, "rate on borrowed cash")
    if unknown:
        reason = f"{', '.join(unknown)} unknown"
        return Carry(None, None, {"cost_of_debt": reason, "interest_only_days": reason})
    base = borrowed
    interest = borrowed * (account.cash_rate or ZERO)
    fees = ZERO
    for position in shorts:
        value = -position.quantity * prices[position.asset]
        base += value
        fees += value * (position.funding_rate or ZERO)
    paid = interest + fees
    days = _compound_days(buffer, Growth(borrowed, account.cash_rate or ZERO), fees)
    return Carry(_cost(paid, base, -paid, equity), days, _net_missing(equity))


def _net_missing(equity: Decimal | None) -> dict[str, str]:
    return {} if equity is not None and equity > 0 else {"net_carry": "equity is not positive"}


def _linear_days(buffer: Decimal, paid_per_year: Decimal) -> int | None:
    if buffer < 0:
        return 0
    if paid_per_year <= 0:
        return None
    return _within_horizon(buffer / paid_per_year * DAYS)


def _within_horizon(days: Decimal | float) -> int | None:
    return int(days) if days <= HORIZON_YEARS * DAYS else None


def _compound_days(buffer: Decimal, borrowed: Growth, fees_per_year: Decimal) -> int | None:
    """Return whole days until borrowed x (e^(rate t) - 1) + fees x t reaches the buffer."""
    if borrowed.rate <= 0 or not borrowed.value:
        return _linear_days(buffer, borrowed.value * borrowed.rate + fees_per_year)
    if buffer < 0:
        return 0
    room, principal, rate = float(buffer), float(borrowed.value), float(borrowed.rate)
    fees = float(fees_per_year)
    high = math.log1p(room / principal) / rate
    if fees == 0:
        return _within_horizon(high * DAYS)
    if fees < 0:
        high = min(HORIZON_YEARS, 600 / rate)
    low = 0.0
    for _ in range(100):
        middle = (low + high) / 2
        if principal * math.expm1(rate * middle) + fees * middle > room:
            high = middle
        else:
            low = middle
    return _within_horizon(high * DAYS)


def interest_only_days(cover: Sequence[Growth], owed: Sequence[Growth]) -> int | None:
    """Return whole days until sum(cover x e^(rate t)) falls to sum(owed x e^(rate t)); `None` if never.

    The log of health falls at most by (highest owed rate - present growth of the cover) per year, since the growth
    of a sum of exponentials only rises with time; stepping by that bound can't pass the first crossing. Never also
    means: not within 10,000 years.
    """
    years = 0.0
    fastest = max(float(debt.rate) for debt in owed)
    for _ in range(10_000):
        log_cover, growth = _log_sum(cover, years)
        log_owed, _ = _log_sum(owed, years)
        room, speed = log_cover - log_owed, fastest - growth
        if room <= 0:
            break
        if speed <= 0 or years > HORIZON_YEARS:
            return None
        step = room / speed
        years += step
        if step < 1e-7:
            break
    return _within_horizon(years * DAYS)


def _log_sum(terms: Sequence[Growth], years: float) -> tuple[float, float]:
    """Return the logarithm of a sum of growing values after `years`, and its growth rate then."""
    live = [term for term in terms if term.value]
    if not live:
        return -math.inf, 0.0
    logs = [math.log(float(term.value)) + float(term.rate) * years for term in live]
    top = max(logs)
    weights = [math.exp(log - top) for log in logs]
    total = sum(weights)
    growth = sum(weight * float(term.rate) for weight, term in zip(weights, live, strict=True)) / total
    return top + math.log(total), growth
