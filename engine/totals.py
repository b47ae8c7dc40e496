"""Sums over all accounts, in US dollars: a total with a missing part is `None` with a reason, never a partial sum."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from decimal import Decimal

from engine.accounts import Account, Kind, Position
from engine.assessment import Assessment, Severity
from engine.prices import AssetPrice
from engine.record import record
from engine.solvency import ZERO, Curve, face_maintenance, trigger_prices
from engine.triggers import coin_price, position_price

AT_PAR: frozenset[str] = frozenset({"USDC", "USDT"})
"""Quote currencies that count as one dollar where no price of them is known; they are then listed under `assumed`."""


@record
class FirstLiquidated:
    """The account that a common fall of all non-stable assets reaches first; 0 when it is liquidatable already."""

    account: str
    uniform_fall: Decimal


@record
class Totals:
    """What all accounts come to, in US dollars.

    `debt`: loans, borrowed coins, borrowed cash and short market value at brokers; margin is no debt. `cost_per_day`:
    interest, funding and fees, + is paid. `net_exposure`: by asset the signed value of all its legs (collateral and
    longs +, debt and shorts -); cash is none. `netting_saves`: the margin that legs which cancel out tie up.
    `missing` says by total why it is `None`; `first_liquidated` is also `None` when no common fall liquidates anything.
    """

    equity: Decimal | None = None
    debt: Decimal | None = None
    cost_per_day: Decimal | None = None
    net_exposure: Mapping[str, Decimal] | None = None
    first_liquidated: FirstLiquidated | None = None
    netting_saves: Decimal | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()


@record
class _Leg:
    """One leg's signed value and the margin its own account asks for it, in quote currency; `None` when unknown."""

    asset: str
    value: Decimal
    margin: Decimal | None


def totals(assessed: Sequence[tuple[Account, Assessment]], prices: Mapping[str, AssetPrice]) -> Totals:
    """Return the totals of `assessed`; values in another quote currency are converted at its oracle price."""
    missing: dict[str, str] = {}
    rates = {account.quote: dollars(account.quote, prices) for account, _ in assessed}
    assumed = tuple(sorted(quote for quote in rates if quote in AT_PAR and quote not in prices))

    def total(name: str, part: Callable[[Account, Assessment], Decimal | None]) -> Decimal | None:
        amount = ZERO
        for account, assessment in assessed:
            value, rate = part(account, assessment), rates[account.quote]
            if value is None or rate is None:
                why = (
                    assessment.missing.get(_SOURCE[name], "unknown")
                    if value is None
                    else f"no price of {account.quote}"
                )
                missing[name] = f"{account.name}: {why}"
                return None
            amount += value * rate
        return amount

    equity = total("equity", lambda _, assessment: assessment.equity)
    debt = total("debt", _debt)
    cost_per_day = total("cost_per_day", _cost_per_day)
    legs = _legs(assessed, prices, rates, missing)
    return Totals(
        equity,
        debt,
        cost_per_day,
        None if legs is None else _net_exposure(legs),
        _first_liquidated(assessed, missing),
        None if legs is None else _netting(legs, missing),
        missing,
        assumed,
    )


_SOURCE: Mapping[str, str] = {"equity": "equity", "debt": "debt_value", "cost_per_day": "cost_of_debt"}


def dollars(quote: str, prices: Mapping[str, AssetPrice]) -> Decimal | None:
    """Return US dollars per unit of a quote currency, `None` when no price of it is known."""
    if quote == "USD":
        return Decimal(1)
    entry = prices.get(quote)
    if entry is not None and entry.oracle is not None:
        return entry.oracle.price
    return Decimal(1) if quote in AT_PAR and entry is None else None


def _debt(account: Account, assessment: Assessment) -> Decimal | None:
    return ZERO if account.kind is Kind.PERP and not account.debt else assessment.debt_value


def _cost_per_day(account: Account, assessment: Assessment) -> Decimal | None:
    if assessment.cost_of_debt is not None:
        return assessment.cost_of_debt.per_day
    return None if "cost_of_debt" in assessment.missing else ZERO


def _legs(
    assessed: Sequence[tuple[Account, Assessment]],
    prices: Mapping[str, AssetPrice],
    rates: Mapping[str, Decimal | None],
    missing: dict[str, str],
) -> list[_Leg] | None:
    legs: list[_Leg] = []
    for account, _ in assessed:
        known, lacking = trigger_prices(account, prices)
        rate = rates[account.quote]
        why = next(iter(lacking.values()), "") or ("" if rate is not None else f"no price of {account.quote}")
        if why or rate is None:
            missing["net_exposure"] = missing["netting_saves"] = f"{account.name}: {why}"
            return None
        for held in account.collateral:
            value = held.amount * (coin_price(account, held.asset, known) * rate)
            legs.append(_Leg(held.asset, value, value * (1 - held.liquidation_threshold)))
        for owed in account.debt:
            legs.append(_Leg(owed.asset, -owed.amount * (coin_price(account, owed.asset, known) * rate), ZERO))
        for position in account.positions:
            price = position_price(account, position, known)
            margin = _maintenance(account, position, price)
            value = position.quantity * (price * rate)
            legs.append(_Leg(position.asset, value, None if margin is None else margin * rate))
    return legs


def _maintenance(account: Account, position: Position, price: Decimal) -> Decimal | None:
    if not position.tiers:
        return None
    if position.inverse or position.margin_at_entry:
        return face_maintenance(position) * account.liquidation_multiple if position.entry_price else None
    size, fee_rate = abs(position.quantity), position.fee_rate or ZERO
    return Curve(size, position.tiers, fee_rate, account.liquidation_multiple).requirement(price)


def _net_exposure(legs: Sequence[_Leg]) -> dict[str, Decimal]:
    net: dict[str, Decimal] = {}
    for leg in legs:
        net[leg.asset] = net.get(leg.asset, ZERO) + leg.value
    return net


def _netting(legs: Sequence[_Leg], missing: dict[str, str]) -> Decimal | None:
    """Return the margin that would fall away if every account's legs stood in one account.

    Each leg is asked for margin by its own account: a position its maintenance, collateral the part of its value that
    does not count (1 - liquidation_threshold), a debt none beyond itself. Of each asset the smaller of long and short
    value cancels; the saving is that share of the margin on both sides.
    """
    saved = ZERO
    for asset in dict.fromkeys(leg.asset for leg in legs):
        sides = [[leg for leg in legs if leg.asset == asset and sign * leg.value > 0] for sign in (1, -1)]
        values = [sum((abs(leg.value) for leg in side), ZERO) for side in sides]
        cancelled = min(values)
        if not cancelled:
            continue
        for side, value in zip(sides, values, strict=True):
            margins = [leg.margin for leg in side if leg.margin is not None]
            if len(margins) < len(side):
                missing["netting_saves"] = f"no maintenance rate of {asset}"
                return None
            saved += sum(margins, ZERO) * cancelled / value
    return saved


def _first_liquidated(
    assessed: Sequence[tuple[Account, Assessment]], missing: dict[str, str]
) -> FirstLiquidated | None:
    first: FirstLiquidated | None = None
    for account, assessment in assessed:
        why = assessment.missing.get("uniform_shock")
        if why and assessment.severity is not Severity.LIQUIDATABLE:
            missing["first_liquidated"] = f"{account.name}: {why}"
            return None
        shock = ZERO if assessment.severity is Severity.LIQUIDATABLE else assessment.uniform_shock
        if shock is not None and shock <= 0 and (first is None or -shock < first.uniform_fall):
            first = FirstLiquidated(account.name, -shock)
    return first
