"""The cast's accounts at any simulated moment: interest and funding accrued, marks and oracles as they then stand.

A venue closes a perp account some seconds after its equity has fallen below maintenance: an isolated account is gone, a
cross account is left empty. Loans past their line stay, since who liquidates a loan is somebody's choice.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from math import exp

from engine.accounts import Account, Collateral, Debt, Kind, MarginMode, Position, VenueReport
from engine.prices import OraclePrice
from providers.simulated.cast import CAST, BrokerPlan, LoanPlan, PerpPlan
from providers.simulated.changes import Change, Changes, Deed
from providers.simulated.oracles import Oracles
from providers.simulated.path import PLACES, YEAR_S, Prices, decimal_of
from providers.simulated.scenarios import Scenario

_AMOUNT_PLACES = 6
_SHORT = {"morpho-blue": "morpho", "compound-v3": "compound"}
# A venue looks this often, and takes this long from the first look below maintenance to an account that is closed.
_LOOK_S, _CLOSING_S = 5.0, 8.0


class Closings:
    """When each perp account of the cast is closed by its venue, looked up as far as anybody asked."""

    def __init__(self, prices: Prices, changes: Changes) -> None:
        self._prices, self._changes = prices, changes
        self._looked: dict[str, int] = {}
        self._closed_s: dict[str, float] = {}

    def is_closed(self, name: str, plan: PerpPlan, at_s: float) -> bool:
        """Return whether the venue has closed the account by `at_s`."""
        until = int(at_s // _LOOK_S)
        for look in range(self._looked.get(name, 0), until + 1):
            if name in self._closed_s:
                break
            if self._is_below(name, plan, look * _LOOK_S):
                self._closed_s[name] = look * _LOOK_S + _CLOSING_S
        self._looked[name] = max(until, self._looked.get(name, 0))
        return name in self._closed_s and at_s >= self._closed_s[name]

    def _is_below(self, name: str, plan: PerpPlan, at_s: float) -> bool:
        room = float(plan.balance) + sum(float(change.amount) for change in self._changes.of(name, at_s))
        for held in plan.positions:
            size, mark = float(held.quantity), self._prices.at(held.asset, at_s)
            room += size * (mark - _float(held.entry_price))
            room -= abs(size) * mark * float(held.tiers[0].maintenance_rate)
        return room < 0


class Cast:
    """The accounts as their chains, venues and broker would show them at one simulated moment."""

    def __init__(self, prices: Prices, oracles: Oracles, scenario: Scenario, changes: Changes) -> None:
        self._prices, self._oracles, self._scenario, self._changes = prices, oracles, scenario, changes
        self._closings = Closings(prices, changes)

    def accounts(self, name: str, at_s: float) -> tuple[Account, ...]:
        """Return the account at `at_s` (at the latest block for a chain), nothing when its venue has closed it.

        Raises `KeyError` for a name that is not in the cast.
        """
        match plan := CAST[name]:
            case LoanPlan():
                return (self._loan(name, plan, plan.chain.block(at_s)[1]),)
            case BrokerPlan():
                return (self._broker(name, plan, at_s),)
            case PerpPlan():
                if not self._closings.is_closed(name, plan, at_s):
                    return (self._perp(name, plan, at_s),)
                if plan.mode is MarginMode.ISOLATED:
                    return ()
                return (self._perp(name, replace(plan, positions=(), balance="0", note="closed by the venue"), at_s),)

    def marks(self, name: str, at_s: float, at_ns: int) -> Mapping[str, OraclePrice]:
        """Return the marks that come with a perp or broker account, also a closed one, by asset; empty for loans."""
        plan = CAST[name]
        if isinstance(plan, LoanPlan):
            return {}
        return {
            held.asset: OraclePrice(self._mark(plan, held.asset, at_s), at_ns, at_ns, source=f"{plan.provider} mark")
            for held in plan.positions
        }

    def _loan(self, name: str, plan: LoanPlan, at_s: float) -> Account:
        scale = self._scenario.debt_scale.get(name, 1.0)
        collateral = tuple(replace(leg, amount=_grown(leg.amount, leg.supply_rate, at_s)) for leg in plan.collateral)
        debt = tuple(replace(leg, amount=_grown(leg.amount, leg.borrow_rate, at_s, scale)) for leg in plan.debt)
        for change in self._changes.of(name, at_s):
            collateral, debt = _supplied(collateral, change, at_s), _repaid(debt, change, at_s)
        assets = dict.fromkeys([*(leg.asset for leg in collateral), *(leg.asset for leg in debt)])
        return Account(
            name,
            Kind.LOAN,
            plan.provider,
            plan.chain.chain_id,
            collateral=collateral,
            debt=debt,
            oracles={asset: self._oracles.at(plan.chain, asset, at_s) for asset in assets},
            close_factor=Decimal(plan.close_factor) if plan.close_factor else None,
            venue=f"{_SHORT.get(plan.provider, plan.provider)} {plan.chain.label}",
            note=plan.note,
        )

    def _perp(self, name: str, plan: PerpPlan, at_s: float) -> Account:
        positions = tuple(replace(held, mark_price=self._mark(plan, held.asset, at_s)) for held in plan.positions)
        # Funding counts on the entry notional: close enough over days, and no path to remember.
        funding = sum(
            _float(held.quantity) * _float(held.entry_price) * _float(held.funding_rate) for held in positions
        )
        added = sum((change.amount for change in self._changes.of(name, at_s)), Decimal(0))
        balance = Decimal(plan.balance) + added - _signed(funding * at_s / YEAR_S)
        equity = balance + sum((_profit(held) for held in positions), Decimal(0))
        requirement = sum((_maintenance(held) for held in positions), Decimal(0))
        if plan.reports_liquidation:
            positions = tuple(
                replace(held, venue_liquidation_price=_venue_liquidation(held, equity - requirement))
                for held in positions
            )
        return Account(
            name,
            Kind.PERP,
            plan.provider,
            mode=plan.mode,
            quote=plan.quote,
            balance=balance,
            positions=positions,
            reported=VenueReport(equity=equity, maintenance_requirement=requirement),
            venue=plan.venue,
            note=plan.note,
        )

    def _broker(self, name: str, plan: BrokerPlan, at_s: float) -> Account:
        cash_rate = Decimal(plan.cash_rate)
        return Account(
            name,
            Kind.BROKER,
            plan.provider,
            balance=_grown(Decimal(plan.cash), cash_rate, at_s),
            cash_rate=cash_rate,
            positions=tuple(replace(held, mark_price=self._mark(plan, held.asset, at_s)) for held in plan.positions),
            venue=plan.venue,
            note=plan.note,
        )

    def _mark(self, plan: PerpPlan | BrokerPlan, asset: str, at_s: float) -> Decimal:
        basis_bps = plan.basis_bps if isinstance(plan, PerpPlan) else 0.0
        return decimal_of(self._prices.at(asset, at_s) * (1 + basis_bps / 10_000), PLACES[asset])


def _supplied(legs: tuple[Collateral, ...], change: Change, at_s: float) -> tuple[Collateral, ...]:
    """Return the legs with what was supplied, grown since then as the leg grows."""
    if change.deed is not Deed.SUPPLIED:
        return legs
    return tuple(
        replace(leg, amount=leg.amount + _grown(change.amount, leg.supply_rate, at_s - change.at_s))
        if leg.asset == change.asset
        else leg
        for leg in legs
    )


def _repaid(legs: tuple[Debt, ...], change: Change, at_s: float) -> tuple[Debt, ...]:
    """Return the legs without what was repaid, and without the interest that it no longer earns the lender."""
    if change.deed is not Deed.REPAID:
        return legs
    left = []
    for leg in legs:
        if leg.asset != change.asset:
            left.append(leg)
        elif not change.closes:
            repaid = _grown(change.amount, leg.borrow_rate, at_s - change.at_s)
            left.append(replace(leg, amount=max(leg.amount - repaid, Decimal(0))))
    return tuple(left)


def _signed(value: float) -> Decimal:
    """Return `value`, of either sign, rounded to the places that amounts carry."""
    return Decimal(round(value * 10**_AMOUNT_PLACES)).scaleb(-_AMOUNT_PLACES)


def _float(value: Decimal | None) -> float:
    return float(value) if value is not None else 0.0


def _grown(amount: Decimal, rate: Decimal | None, at_s: float, scale: float = 1.0) -> Decimal:
    return _signed(float(amount) * scale * exp(_float(rate) * at_s / YEAR_S))


def _profit(held: Position) -> Decimal:
    if held.mark_price is None or held.entry_price is None:
        return Decimal(0)
    return held.quantity * (held.mark_price - held.entry_price)


def _maintenance(held: Position) -> Decimal:
    notional = abs(held.quantity) * (held.mark_price or Decimal(0))
    tier = max((tier for tier in held.tiers if tier.notional_floor <= notional), key=lambda tier: tier.notional_floor)
    return notional * tier.maintenance_rate - tier.deduction


def _venue_liquidation(held: Position, available: Decimal) -> Decimal | None:
    """Return the price that a venue shows: mark - side x available / size / (1 - rate x side) within one tier."""
    side, size, mark = (1 if held.quantity > 0 else -1), abs(held.quantity), held.mark_price or Decimal(0)
    price = mark - side * available / size / (1 - held.tiers[0].maintenance_rate * side)
    return price.quantize(Decimal(1).scaleb(-PLACES[held.asset])) if price > 0 else None
