"""An account's solvency as one piecewise-linear function of prices: every other question is asked of it.

    cover(p)       = fixed + sum(weight_k x p_k)
    requirement(p) = sum(owed_k x p_k) + sum(size_j x p_j x (rate + fee_rate) - deduction)

A loan covers its debt with collateral x liquidation_threshold; a perp account covers maintenance margin with
balance + sum(quantity x (price - entry_price)); a broker account covers its maintenance requirement with cash +
sum(quantity x price). The maintenance tier of a position is the one at the moved price, never the present one.
Formulas: DESIGN 2 and 6; Aave `GenericLogic`, Hyperliquid and Binance USD-M liquidation pages (read 2026-11).
"""

from collections.abc import Mapping
from decimal import Decimal

from engine.accounts import Account, Kind, Position, Tier
from engine.prices import AssetPrice, OraclePrice
from engine.record import record

ZERO = Decimal(0)


@record
class Curve:
    """The maintenance that one tiered position asks for, `size` being its absolute quantity."""

    size: Decimal
    tiers: tuple[Tier, ...]
    fee_rate: Decimal = ZERO

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
        return notional * (tier.maintenance_rate + self.fee_rate) - tier.deduction


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

    Prices map every asset of `exposures` to a positive quote-per-base price; a missing one is a `KeyError`.
    """

    fixed: Decimal
    exposures: tuple[Exposure, ...]

    def cover(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Return what the account has, weighted as its liquidator weights it."""
        total = self.fixed
        for exposure in self.exposures:
            total += exposure.weight * prices[exposure.asset]
        return total

    def requirement(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Return what the account must cover: its debt, or its maintenance margin."""
        total = ZERO
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


def solvency_of(account: Account) -> Solvency:
    """Return the solvency function of `account`; only assets that move it are among its exposures.

    Raises `ValueError` for a position without tiers, or a perp position without an entry price; `gap` tells beforehand.
    """
    if account.kind is Kind.LOAN:
        return Solvency(ZERO, _loan_exposures(account))
    fixed = account.balance
    weights: dict[str, Decimal] = {}
    owed: dict[str, Decimal] = {}
    curves: dict[str, tuple[Curve, ...]] = {}
    for position in account.positions:
        if position.quantity == 0:
            continue
        if account.kind is Kind.PERP:
            if position.entry_price is None:
                raise ValueError(_no_entry(position))
            fixed -= position.quantity * position.entry_price
        asset = position.asset
        weights[asset] = weights.get(asset, ZERO) + position.quantity
        linear, curve = _maintenance(position)
        owed[asset] = owed.get(asset, ZERO) + linear
        if curve is not None:
            curves[asset] = (*curves.get(asset, ()), curve)
    return Solvency(
        fixed, tuple(Exposure(asset, weights[asset], owed[asset], curves.get(asset, ())) for asset in weights)
    )


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


def _maintenance(position: Position) -> tuple[Decimal, Curve | None]:
    """Return the maintenance per unit of price of a flat rate, or a curve for real tiers."""
    if not position.tiers:
        raise ValueError(_no_tiers(position))
    size, fee_rate = abs(position.quantity), position.fee_rate or ZERO
    first = position.tiers[0]
    if len(position.tiers) == 1 and first.deduction == 0:
        return size * (first.maintenance_rate + fee_rate), None
    return ZERO, Curve(size, position.tiers, fee_rate)


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
        if account.kind is Kind.PERP and position.entry_price is None:
            return _no_entry(position)
    return ""


def oracle_of(account: Account, asset: str, prices: Mapping[str, AssetPrice]) -> OraclePrice | None:
    """Return the oracle that prices `asset` for this account: its own if it has one, else the shared one."""
    own = account.oracles.get(asset)
    if own is not None:
        return own
    shared = prices.get(asset)
    return None if shared is None else shared.oracle


def trigger_prices(account: Account, prices: Mapping[str, AssetPrice]) -> tuple[dict[str, Decimal], dict[str, str]]:
    """Return the prices that liquidate this account, and for every asset that lacks one the reason.

    Marks win for perp and broker positions; two positions of one asset must share one mark. A price that is not
    positive and finite counts as lacking.
    """
    known: dict[str, Decimal] = {}
    lacking: dict[str, str] = {}
    for position in account.positions:
        mark = position.mark_price
        if mark is None:
            continue
        if known.setdefault(position.asset, mark) != mark:
            lacking[position.asset] = f"two mark prices of {position.asset}"
    for asset in account.assets:
        if asset in known:
            continue
        oracle = oracle_of(account, asset, prices)
        if oracle is None:
            lacking[asset] = f"no price of {asset}"
        else:
            known[asset] = oracle.price
    for asset, price in known.items():
        if not (price.is_finite() and price > 0):
            lacking[asset] = f"price of {asset} is not positive"
    for asset in lacking:
        known.pop(asset, None)
    return known, lacking
