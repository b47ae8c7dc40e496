"""An account's solvency as one piecewise-linear function of prices: every other question is asked of it.

    cover(p)       = fixed + sum(weight_k x p_k)
    requirement(p) = required + sum(owed_k x p_k) + sum(multiple x (size_j x p_j x (rate + fee_rate) - deduction))

A loan covers its debt with collateral x liquidation_threshold. A perp account covers maintenance margin with balance +
sum(coin x weight x price) - sum(borrowed coin x price) + sum(quantity x (price - entry_price)); a broker account
covers its maintenance requirement with cash + sum(quantity x price). Both must cover liquidation_multiple x (sum of
maintenance + extra_requirement). The maintenance tier of a position is the one at the moved price, never the present
one; that of an inverse contract is asked of its constant face value, as is that of `margin_at_entry`.

Each asset has one reference price p: the mark of its position with the largest quantity x mark. Another contract on
the asset, and the coin itself where the venue prices it apart, move with it in proportion to what they are worth now.
Formulas: DESIGN 2 and 6; Aave `GenericLogic`, Hyperliquid and Binance USD-M liquidation pages, OKX and Bybit inverse
liquidation prices, dYdX v4 margin page, Binance unified margin ratio (read 2026-11).
"""

from collections.abc import Mapping
from decimal import Decimal

from engine.accounts import Account, Kind, Position, Tier
from engine.record import record
from engine.triggers import ONE, is_price, oracle_of, own_mark, reference_marks, trigger_prices

__all__ = [
    "ONE",
    "ZERO",
    "Curve",
    "Exposure",
    "Solvency",
    "face_maintenance",
    "gap",
    "oracle_of",
    "solvency_of",
    "trigger_prices",
]

ZERO = Decimal(0)


@record
class Curve:
    """The maintenance that one tiered position asks for, `size` being its absolute quantity per reference price.

    `multiple` is the cover over maintenance at which the venue takes over; the requirement has it in it.
    """

    size: Decimal
    tiers: tuple[Tier, ...]
    fee_rate: Decimal = ZERO
    multiple: Decimal = ONE

    def tier_index(self, notional: Decimal) -> int:
        """Return the index of the tier that holds at `notional` (at a floor: the tier that starts there)."""
        index = 0
        for position, tier in enumerate(self.tiers):
            if tier.notional_floor > notional:
                break
            index = position
        return index

    def requirement(self, price: Decimal) -> Decimal:
        """Return the maintenance at `price`, in quote currency."""
        notional = self.size * price
        tier = self.tiers[self.tier_index(notional)]
        maintenance = notional * (tier.maintenance_rate + self.fee_rate) - tier.deduction
        return maintenance if self.multiple == ONE else maintenance * self.multiple


@record
class Exposure:
    """How one asset enters solvency: per unit of price `weight` adds to cover and `owed` to the requirement."""

    asset: str
    weight: Decimal = ZERO
    owed: Decimal = ZERO
    curves: tuple[Curve, ...] = ()

    def margin(self, price: Decimal) -> Decimal:
        """Return this asset's cover less its requirement at `price`."""
        margin = (self.weight - self.owed) * price
        for curve in self.curves:
            margin -= curve.requirement(price)
        return margin


@record
class Solvency:
    """What an account has and what it must cover, as functions of prices; liquidatable when cover < requirement.

    Prices map every asset of `exposures` to a positive quote-per-base price; a missing one is a `KeyError`. `fixed` is
    the cover, `required` the requirement that no price moves.
    """

    fixed: Decimal
    exposures: tuple[Exposure, ...]
    required: Decimal = ZERO

    @property
    def rest(self) -> Decimal:
        """Return the cover less requirement that no price moves."""
        return self.fixed - self.required if self.required else self.fixed

    def cover(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Return what the account has, weighted as its liquidator weights it."""
        total = self.fixed
        for exposure in self.exposures:
            total += exposure.weight * prices[exposure.asset]
        return total

    def requirement(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Return what the account must cover: its debt, or its maintenance margin."""
        total = self.required
        for exposure in self.exposures:
            price = prices[exposure.asset]
            total += exposure.owed * price
            for curve in exposure.curves:
                total += curve.requirement(price)
        return total

    def health_factor(self, prices: Mapping[str, Decimal]) -> Decimal | None:
        """Return cover over requirement, liquidatable below 1; `None` when nothing is required."""
        requirement = self.requirement(prices)
        return None if requirement == 0 else self.cover(prices) / requirement


def solvency_of(account: Account, references: Mapping[str, Decimal] | None = None) -> Solvency:
    """Return the solvency function of `account`; only assets that move it are among its exposures.

    It is a function of `references`, the prices that `trigger_prices` gives (of this account, or of the state before
    a change to it); by default those of the account itself. Raises `ValueError` for a position without tiers, or a
    perp position without an entry price; `gap` tells beforehand.
    """
    if account.kind is Kind.LOAN:
        return Solvency(ZERO, _loan_exposures(account))
    marks = reference_marks(account) if references is None else references
    multiple = account.liquidation_multiple
    fixed, required = account.balance, account.extra_requirement
    weights: dict[str, Decimal] = {}
    owed: dict[str, Decimal] = {}
    curves: dict[str, tuple[Curve, ...]] = {}
    for position in account.positions:
        quantity = position.quantity
        if quantity == 0:
            continue
        asset = position.asset
        if account.kind is Kind.PERP:
            if position.entry_price is None:
                raise ValueError(_no_entry(position))
            fixed -= quantity * position.entry_price
        ratio = _ratio(own_mark(account, position), marks.get(asset))
        if ratio is not ONE:
            quantity *= ratio
        weights[asset] = weights.get(asset, ZERO) + quantity
        if position.inverse or position.margin_at_entry:
            required += face_maintenance(position)
            continue
        linear, curve = _maintenance(position, abs(quantity), multiple)
        owed[asset] = owed.get(asset, ZERO) + linear
        if curve is not None:
            curves[asset] = (*curves.get(asset, ()), curve)
    if account.kind is Kind.PERP and (account.collateral or account.debt):
        fixed += _add_coins(account, marks, weights)
    if multiple != ONE:
        required *= multiple
    exposures = tuple(
        Exposure(asset, weight, owed.get(asset, ZERO), curves.get(asset, ())) for asset, weight in weights.items()
    )
    return Solvency(fixed, exposures, required)


def _add_coins(account: Account, marks: Mapping[str, Decimal], weights: dict[str, Decimal]) -> Decimal:
    """Add what coins that back or are owed weigh per reference price; return the part in quote currency itself."""
    fixed = ZERO
    counted = [(leg.asset, leg.amount * leg.liquidation_threshold) for leg in account.collateral]
    for asset, amount in (*counted, *((leg.asset, -leg.amount) for leg in account.debt)):
        if not amount:
            continue
        if asset == account.quote:
            fixed += amount
            continue
        oracle = account.oracles.get(asset)
        ratio = _ratio(None if oracle is None else oracle.price, marks.get(asset))
        weights[asset] = weights.get(asset, ZERO) + (amount if ratio is ONE else amount * ratio)
    return fixed


def _ratio(own: Decimal | None, reference: Decimal | None) -> Decimal:
    """Return an own price over its asset's reference; 1 where either is unknown, or no price to divide by."""
    if own is None or reference is None or own == reference or not (is_price(own) and is_price(reference)):
        return ONE
    return own / reference


def _loan_exposures(account: Account) -> tuple[Exposure, ...]:
    weights: dict[str, Decimal] = {}
    owed: dict[str, Decimal] = {}
    for leg in account.collateral:
        if leg.amount and leg.liquidation_threshold:
            weights[leg.asset] = weights.get(leg.asset, ZERO) + leg.amount * leg.liquidation_threshold
    for debt in account.debt:
        if debt.amount:
            owed[debt.asset] = owed.get(debt.asset, ZERO) + debt.amount
    return tuple(Exposure(asset, weights.get(asset, ZERO), owed.get(asset, ZERO)) for asset in {**weights, **owed})


def _maintenance(position: Position, size: Decimal, multiple: Decimal) -> tuple[Decimal, Curve | None]:
    """Return the maintenance per unit of price of a flat rate, or a curve for real tiers."""
    if not position.tiers:
        raise ValueError(_no_tiers(position))
    fee_rate = position.fee_rate or ZERO
    first = position.tiers[0]
    if len(position.tiers) == 1 and first.deduction == 0:
        linear = size * (first.maintenance_rate + fee_rate)
        return (linear if multiple == ONE else linear * multiple), None
    return ZERO, Curve(size, position.tiers, fee_rate, multiple)


def face_maintenance(position: Position) -> Decimal:
    """Return the maintenance that is asked of quantity x entry_price at any price, as of an inverse contract's face.

    In quote currency, before `liquidation_multiple`. Raises `ValueError` without tiers or entry price.
    """
    if not position.tiers:
        raise ValueError(_no_tiers(position))
    if position.entry_price is None:
        raise ValueError(_no_entry(position))
    return Curve(abs(position.quantity), position.tiers, position.fee_rate or ZERO).requirement(position.entry_price)


def _no_entry(position: Position) -> str:
    return f"no entry price of {position.asset}"


def _no_tiers(position: Position) -> str:
    return f"no maintenance rate of {position.asset}"


def gap(account: Account) -> str:
    """Return why the solvency function cannot be built, or an empty string."""
    for position in account.positions:
        if position.quantity == 0:
            continue
        if not position.tiers:
            return _no_tiers(position)
        if position.entry_price is None and (account.kind is Kind.PERP or position.inverse or position.margin_at_entry):
            return _no_entry(position)
    return ""
