"""What liquidates an account, as one move of one underlying: where its line is, and how much is missing beyond it.

Assets that stand for the same underlying (a staked token, a wrapped one) move with it in proportion; all others rest.
Along that move the margin, cover less requirement, is piecewise linear in the underlying's price
(`engine.solvency`). With options of strike K and payoff q x (K - S) paid in, an account stands on [floor, now] exactly
when q >= -margin(S) / (K - S) for every S of it. On a linear piece that fraction is monotone, so that the floor and the
prices where a maintenance tier begins decide; where the requirement is convex (a loan, any usual tier table) the floor
alone does: q = (debt - weighted collateral at the floor) / (K - floor). A strike on the far side of the line pays too
late whatever the quantity. A rise is the mirror image, with calls.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_CEILING, Context, Decimal

from engine.accounts import Account
from engine.assessment import Assessment
from engine.liquidation import uniform_shock
from engine.options import Right
from engine.prices import AssetPrice
from engine.record import record
from engine.shocks import FOLLOWS
from engine.solvency import ONE, ZERO, Solvency, gap, oracle_of, solvency_of, trigger_prices

_DUST = Decimal("1e-8")
_WIDE = Context(prec=120)
_WRAPPED = frozenset({"WETH", "WSOL"})


class NoHedge(ValueError):
    """There is nothing that options or a perp could protect here; the message says why."""


@record
class Threat:
    """The move of `underlying` from `price` through `line` that liquidates an account, `right` being what pays on it.

    Prices are of the underlying in quote currency. `moving` assets go with it in proportion, every other stays at
    `known`. `kinks` are the prices between 0 and any height where a maintenance tier begins.
    """

    underlying: str
    right: Right
    price: Decimal
    line: Decimal
    moving: tuple[str, ...]
    solvency: Solvency
    known: Mapping[str, Decimal]
    kinks: tuple[Decimal, ...] = ()

    @property
    def falls(self) -> bool:
        """Return whether a fall liquidates; else a rise."""
        return self.right is Right.PUT

    def told_by(self, underlying: str, price: Decimal) -> "Threat":
        """Return the same move told in the price of another underlying that goes with it in proportion."""
        factor = price / self.price
        kinks = tuple(kink * factor for kink in self.kinks)
        return replace(self, underlying=underlying, price=price, line=self.line * factor, kinks=kinks)

    def prices_at(self, price: Decimal) -> dict[str, Decimal]:
        """Return the price of every asset when the underlying is at `price`."""
        factor = price / self.price
        return {asset: each * factor if asset in self.moving else each for asset, each in self.known.items()}

    def margin(self, price: Decimal) -> Decimal:
        """Return cover less requirement when the underlying is at `price`."""
        prices = self.prices_at(price)
        return self.solvency.cover(prices) - self.solvency.requirement(prices)

    def corners(self, protected: Decimal, until: Decimal) -> list[Decimal]:
        """Return `protected` and the kinks between it and `until`: where a linear piece of the margin ends."""
        low, high = sorted((protected, until))
        return [protected, *(kink for kink in self.kinks if low < kink < high)]

    def after(self, account: Account) -> "Threat":
        """Return the same move of an account that was changed in the meantime; its line is left as it was."""
        solvency = solvency_of(account, self.known)
        return replace(self, solvency=solvency, kinks=_kinks(solvency, self.moving, self.known, self.price))

    def missing(self, protected: Decimal) -> Decimal:
        """Return what the account lacks at worst between now and `protected`, in quote currency; 0 if it stands."""
        return max(ZERO, max(-self.margin(at) for at in self.corners(protected, self.price)))

    def pays_in_time(self, strike: Decimal) -> bool:
        """Return whether an option of `strike` pays before the line is crossed."""
        return strike >= self.line if self.falls else strike <= self.line

    def quantity(self, strike: Decimal, protected: Decimal) -> Decimal:
        """Return the least quantity of the underlying whose payoff from `strike` holds the account to `protected`.

        Rounded up to 1e-8; 0 when it stands there anyway. Raises `ValueError` for a strike that pays too late, or does
        not pay at all at `protected`.
        """
        pays = strike > protected if self.falls else strike < protected
        if not (pays and self.pays_in_time(strike)):
            raise ValueError(f"a strike of {strike} pays too late for a line at {self.line}")
        until = min(strike, self.price) if self.falls else max(strike, self.price)
        needed = max(-self.margin(at) / abs(strike - at) for at in self.corners(protected, until))
        return max(needed, ZERO).quantize(_DUST, ROUND_CEILING, _WIDE)


def threat_of(
    account: Account,
    assessment: Assessment,
    prices: Mapping[str, AssetPrice],
    underlying_price: Mapping[str, Decimal] | None = None,
    *,
    together: bool = False,
) -> Threat:
    """Return the move that liquidates `account`: that of its nearest asset and of all that stand for the same.

    `together` moves every asset that is not stable, in proportion.
    `underlying_price` tells the price of an underlying that neither the account nor `prices` has. Raises `NoHedge`.
    """
    known, lacking = trigger_prices(account, prices)
    why = gap(account) or next(iter(lacking.values()), "")
    if why:
        raise NoHedge(f"cannot be judged: {why}")
    if not assessment.has_debt:
        raise NoHedge("owes nothing: nothing can liquidate it")
    if assessment.health_factor is not None and assessment.health_factor < 1:
        raise NoHedge("is liquidatable already: no hedge pays in time; repay or add collateral")
    nearest = assessment.nearest
    if nearest is None:
        raise NoHedge("no move of one asset alone liquidates it")
    base = FOLLOWS.get(nearest, nearest)
    if is_stable(nearest, prices) or is_stable(base, prices):
        raise NoHedge(f"only {nearest} leaving its peg liquidates it, and no option on that is read")
    solvency = solvency_of(account, known)
    moving = tuple(
        each.asset
        for each in solvency.exposures
        if (not is_stable(each.asset, prices) if together else FOLLOWS.get(each.asset, each.asset) == base)
    )
    shock = uniform_shock(solvency, known, frozenset(moving))
    if shock is None:
        both = f"{' and '.join(moving)} both go with {base}"
        raise NoHedge(
            "no common move of its assets liquidates it"
            if together
            else f"{both}: their ratio liquidates, and no option on {base} pays for it"
        )
    if shock == 0:
        raise NoHedge("is liquidated by its own interest within the horizon, without any move; repay or add collateral")
    price = underlying_price_of(nearest, account, prices, known, underlying_price or {})
    line = price * (ONE + shock)
    point = assessment.liquidation.get(nearest)
    if len(moving) == 1 and point is not None and point.price is not None:
        told = price * point.price / known[nearest]
        line = max(line, told) if shock < 0 else min(line, told)
    right = Right.PUT if shock < 0 else Right.CALL
    return Threat(base, right, price, line, moving, solvency, known, _kinks(solvency, moving, known, price))


def underlying_price_of(
    asset: str,
    account: Account,
    prices: Mapping[str, AssetPrice],
    known: Mapping[str, Decimal],
    told: Mapping[str, Decimal],
) -> Decimal:
    """Return the price of what `asset` stands for: the account's, the shared one, a leg of its oracle, else as `told`.

    Raises `NoHedge` where nothing tells it.
    """
    base = FOLLOWS.get(asset, asset)
    entry, oracle = prices.get(base), oracle_of(account, asset, prices)
    legs = () if oracle is None else oracle.legs
    found = [
        known.get(base),
        None if entry is None or entry.oracle is None else entry.oracle.price,
        *(leg.price for leg in legs if leg.asset == base),
        known[asset] if asset in _WRAPPED else None,
        told.get(base),
    ]
    price = next((each for each in found if each is not None), None)
    if price is None:
        raise NoHedge(f"no price of {base}, which {asset} stands for; add it to the prices, or give a chain")
    return price


def is_stable(asset: str, prices: Mapping[str, AssetPrice]) -> bool:
    """Return whether `asset` is taken as stable."""
    return asset in prices and prices[asset].stable


def _kinks(
    solvency: Solvency, moving: tuple[str, ...], known: Mapping[str, Decimal], price: Decimal
) -> tuple[Decimal, ...]:
    """Return the underlying's prices at which a position of a moving asset enters another tier, rising."""
    found = {
        price * tier.notional_floor / (curve.size * known[each.asset])
        for each in solvency.exposures
        if each.asset in moving
        for curve in each.curves
        for tier in curve.tiers
        if tier.notional_floor > 0 and curve.size > 0
    }
    return tuple(sorted(found))
