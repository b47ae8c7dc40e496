"""`AaveLedger`: the exact answers of one Aave v3 account to price moves, by its own contract's integer arithmetic."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Context, Decimal

from engine.aave import NO_DEBT, AaveLeg, AaveReserve, AaveUser, account_data_at, legs
from engine.aave_liquidation import pairs, worst_call
from engine.aave_math import BPS, WAD, AaveVersion
from engine.crossing import nearest

WIDE = Context(prec=78)
SHOCK_DIGITS = 15
SHOCK_UNIT = 10**SHOCK_DIGITS
_DOUBLINGS = 40

PriceAt = Callable[[int], list[int]]


@dataclass(frozen=True, slots=True)
class AaveLedger:
    """An Aave v3 user at one block, asked what happens when oracle prices move; satisfies `engine.accounts.Ledger`.

    `reported_health_wad` is what the contract itself answered at that block; it wins over our own figure at the
    prices that were read (equal unless the pool is of a revision that we do not know).
    """

    user: AaveUser
    reported_health_wad: int | None = None
    legs: tuple[AaveLeg, ...] = field(init=False, compare=False, repr=False)
    _known: dict[object, Decimal | None] = field(init=False, default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "legs", legs(self.user))

    def health_factor_wad(self, moved: Mapping[str, Decimal] | None = None) -> int | None:
        """Return the contract's health factor, 1e18 = 1, with `moved` oracle prices; `None` without debt.

        A moved price is rounded down to the oracle's unit; raises `ValueError` for one that is not a finite number
        of at least 0.
        """
        if not moved and self.reported_health_wad is not None:
            return None if self.reported_health_wad == NO_DEBT else self.reported_health_wad
        raw = {asset: self.price_units(price) for asset, price in (moved or {}).items()}
        prices = [raw.get(leg.reserve.asset, leg.price) for leg in self.legs]
        health = account_data_at(self.user.version, self.legs, prices).health_factor_wad
        return None if health == NO_DEBT else health

    def liquidation_price(self, asset: str) -> Decimal | None:
        """Return the nearest price of `asset` alone, on either side, at which the contract liquidates, or `None`.

        One unit of the oracle nearer to the price that was read it still refuses. Of an account that is liquidatable
        already, the last price before it is safe again; `None` when no price of this asset alone saves it.
        """
        if asset not in self._known:
            moving = self._moving(asset)
            found = None
            if any(moving):
                start = next(leg.price for leg, moves in zip(self.legs, moving, strict=True) if moves)
                prices = [leg.price for leg in self.legs]

                def at(x: int) -> list[int]:
                    return [x if moves else price for price, moves in zip(prices, moving, strict=True)]

                found = self._edge(at, start)
            self._known[asset] = None if found is None else self._price(found)
        return self._known[asset]

    def uniform_shock(self, assets: frozenset[str]) -> Decimal | None:
        """Return the nearest common fraction by which `assets` move to liquidation (negative = fall), or `None`.

        Prices move to price x (1 + shock), rounded down to the oracle's unit; resolution 1e-15. Of an account that is
        liquidatable already, the last shock before it is safe again.
        """
        if assets not in self._known:
            moving = [_matters(leg) and leg.reserve.asset in assets for leg in self.legs]
            found = None
            if any(moving):
                prices = [leg.price for leg in self.legs]

                def at(x: int) -> list[int]:
                    return [
                        price * x // SHOCK_UNIT if moves else price for price, moves in zip(prices, moving, strict=True)
                    ]

                found = self._edge(at, SHOCK_UNIT, floored=True)
            self._known[assets] = None if found is None else WIDE.scaleb(Decimal(found - SHOCK_UNIT), -SHOCK_DIGITS)
        return self._known[assets]

    def loss_at_liquidation(self) -> Decimal | None:
        """Return what the owner loses, in quote currency, when the first liquidation takes all it may.

        Collateral seized (the liquidator's and the protocol's part) less debt repaid, at the prices of the nearest
        liquidation of one asset alone (at those that were read, when liquidatable already), for the pair of
        collateral and debt that costs most. `None` when nothing can liquidate.
        """
        worst = self._worst_call()
        return None if worst is None else self._price(worst[0])

    def close_factor(self) -> Decimal | None:
        """Return the fraction of all debt that the first liquidation may repay; `None` when nothing can liquidate."""
        worst = self._worst_call()
        return None if worst is None else worst[1]

    def changed(
        self,
        *,
        supplied: Mapping[str, int] | None = None,
        repaid: Mapping[str, int] | None = None,
        later_s: int = 0,
        withdrawn: Mapping[str, int] | None = None,
        enabled: Collection[str] = (),
        listed: Collection[AaveReserve] = (),
    ) -> "AaveLedger":
        """Return the account `later_s` after its block, amounts (smallest units, by asset) having moved at that moment.

        Per-revision rounding and the rest: `engine.aave_change.changed_user`, which also says when it raises.
        """
        from engine.aave_change import changed_user  # only a rescue needs it

        user = changed_user(
            self.user,
            supplied=supplied or {},
            repaid=repaid or {},
            withdrawn=withdrawn or {},
            later_s=later_s,
            enabled=enabled,
            listed=listed,
        )
        return AaveLedger(user)

    def price_units(self, price: Decimal) -> int:
        """Return a price in the oracle's base units, rounded down; raises `ValueError` unless finite and at least 0."""
        if not (price.is_finite() and price >= 0):
            raise ValueError(f"a price must be a finite number of at least 0, not {price}")
        scaled = WIDE.multiply(price, Decimal(self.user.base_unit))
        return int(scaled.to_integral_value(ROUND_FLOOR, WIDE))

    def _price(self, units: int) -> Decimal:
        return WIDE.divide(Decimal(units), Decimal(self.user.base_unit))

    def _moving(self, asset: str) -> list[bool]:
        """Return which legs with a value follow `asset`: its own, and those that share its eMode price source."""
        shared = any(leg.shares_emode_price for leg in self.legs if leg.reserve.asset == asset)
        return [
            _matters(leg) and (leg.reserve.asset == asset or (shared and leg.shares_emode_price)) for leg in self.legs
        ]

    def _edge(self, at: PriceAt, start: int, *, floored: bool = False) -> int | None:
        """Return the liquidatable point nearest to where safe turns to liquidatable, seen from `start`.

        `at` gives the prices of a point, linear in it but for rounding down where `floored`.
        """
        health = account_data_at(self.user.version, self.legs, at(start)).health_factor_wad
        if health == NO_DEBT:
            return None
        is_liquidatable = health < WAD
        moving = [low != high for low, high in zip(at(start), at(start * 2), strict=True)]

        def verdict(lower: int, upper: int) -> bool | None:
            safe = self._is_safe(at(lower), at(upper), moving, floored=floored)
            return None if safe is None else safe is is_liquidatable

        below = nearest(verdict, start - 1, 1) if start > 1 else None
        # Above, only what is nearer than the answer below can still win.
        reach = start << _DOUBLINGS if below is None else min(start << _DOUBLINGS, 2 * start - below)
        above, near = None, start + 1
        while above is None and near <= reach:
            far = min(max(2 * near, near), reach)
            above, near = nearest(verdict, near, far), far + 1
        if above is not None and (below is None or above - start <= start - below):
            return above - 1 if is_liquidatable else above
        if below is None:
            return None
        return below + 1 if is_liquidatable else below

    def _is_safe(self, low: list[int], high: list[int], moving: list[bool], *, floored: bool) -> bool | None:
        """Return whether health is at least 1 at every point between two; `None` when bounds cannot tell.

        Collateral weighted by a fixed threshold less debt is linear in the point, so between two points it cannot
        leave the range of its ends by more than the rounding of what moves (`_rounding`). Up to 3.4 the threshold is
        itself a truncated average; its least and greatest value between the points bound it.
        """
        version = self.user.version
        ends = [account_data_at(version, self.legs, prices) for prices in ((low, high) if low != high else (low,))]
        sums = [(end.total_collateral_base, end.total_debt_base) for end in ends]
        if sums[0] == sums[-1]:
            # No value falls as its price rises, so equal sums mean that nothing changes in between.
            return ends[0].health_factor_wad >= WAD
        debts = [end.total_debt_base for end in ends]
        if version >= AaveVersion.V3_5:
            weights = [sum(self._weighted(prices)) for prices in (low, high)]
            least = greatest = [weighted - BPS * debt for weighted, debt in zip(weights, debts, strict=True)]
            threshold = None
        else:
            values = sorted(
                (
                    leg.liquidation_threshold_bps,
                    leg.supplied * p // leg.reserve.unit,
                    leg.supplied * q // leg.reserve.unit,
                )
                for leg, p, q in zip(self.legs, low, high, strict=True)
                if leg.counts
            )
            floor, threshold = _least_average(values), _greatest_average(values)
            totals = [end.total_collateral_base for end in ends]
            least = [total * floor - BPS * debt for total, debt in zip(totals, debts, strict=True)]
            greatest = [total * threshold - BPS * debt for total, debt in zip(totals, debts, strict=True)]
        slack = self._rounding(moving, threshold, floored=floored)
        if min(least) >= slack:
            return True
        # Rounding half up in the divisions can lift a sum that is short by this much.
        lift = 1 + max(debts) // WAD if version >= AaveVersion.V3_5 else BPS * (1 + max(debts) // WAD)
        return False if max(greatest) + slack + lift < 0 else None

    def _weighted(self, prices: list[int]) -> Iterator[int]:
        for leg, price in zip(self.legs, prices, strict=True):
            if leg.counts:
                yield leg.supplied * price // leg.reserve.unit * leg.liquidation_threshold_bps

    def _rounding(self, moving: list[bool], threshold: int | None, *, floored: bool) -> int:
        """Return the most by which rounding bends weighted collateral less debt (x 1e4) off its straight line.

        One base unit per moving value; where the prices themselves are rounded, one price unit of each balance more.
        """
        slack = 0
        for leg, moves in zip(self.legs, moving, strict=True):
            if moves and leg.counts:
                weight = leg.liquidation_threshold_bps if threshold is None else threshold
                slack += weight * (1 + (leg.supplied // leg.reserve.unit + 1 if floored else 0))
            if moves and leg.owed:
                slack += BPS * (1 + (leg.owed // leg.reserve.unit + 1 if floored else 0))
        return slack

    def _worst_call(self) -> tuple[int, Decimal] | None:
        """Return the greatest loss of one call in base units, and the fraction of all debt that it repays."""
        prices = self._trigger_prices()
        if prices is None:
            return None
        version = self.user.version
        data = account_data_at(version, self.legs, prices)
        found: tuple[int, Decimal] | None = None
        for terms in pairs(version, self.legs, prices, data.total_debt_base, data.health_factor_wad):
            split = worst_call(terms)
            if split is None:
                continue
            repaid = terms.debt_base(split.debt_repaid)
            seized = split.collateral_seized * terms.collateral_price // terms.collateral_unit
            share = min(Decimal(repaid) / Decimal(data.total_debt_base), Decimal(1))
            if found is None or (seized - repaid, share) > found:
                found = (seized - repaid, share)
        return found

    def _trigger_prices(self) -> list[int] | None:
        prices = [leg.price for leg in self.legs]
        health = account_data_at(self.user.version, self.legs, prices).health_factor_wad
        if health == NO_DEBT:
            return None
        if health < WAD:
            return prices
        nearest_move: tuple[Decimal, str, Decimal] | None = None
        for leg in self.legs:
            asset, point = leg.reserve.asset, self.liquidation_price(leg.reserve.asset)
            if point is not None and leg.price:
                now = self._price(leg.price)
                move = (abs(point - now) / now, asset, point)
                nearest_move = move if nearest_move is None else min(nearest_move, move)
        if nearest_move is None:
            return None
        moving, units = self._moving(nearest_move[1]), self.price_units(nearest_move[2])
        return [units if moves else price for price, moves in zip(prices, moving, strict=True)]


def _matters(leg: AaveLeg) -> bool:
    return bool(leg.owed or (leg.counts and leg.supplied))


def _least_average(values: Sequence[tuple[int, int, int]]) -> int:
    """Return the least truncated average threshold over all values between (threshold, low, high); sorted input.

    A weighted mean over a box is least where the low thresholds weigh most, so it is enough to try every split.
    """
    return min((_average(values, split) for split in range(len(values) + 1)), default=0)


def _greatest_average(values: Sequence[tuple[int, int, int]]) -> int:
    """Return the greatest truncated average threshold over all values between (threshold, low, high); sorted input."""
    turned = [(threshold, high, low) for threshold, low, high in values]
    return max((_average(turned, split) for split in range(len(turned) + 1)), default=0)


def _average(values: Sequence[tuple[int, int, int]], split: int) -> int:
    """Return the truncated average with the third figure up to `split` and the second from there on."""
    total = weighted = 0
    for index, (threshold, second, third) in enumerate(values):
        value = third if index < split else second
        total += value
        weighted += threshold * value
    return weighted // total if total else 0
