"""How much can be borrowed, or opened, at a wanted health, distance or chance; what leverage does to return and loss.

With r = debt over collateral, health = threshold / r and the price may fall by 1 - r / threshold. Borrowing and buying
more of the same n times over multiplies the equity by (1 - r^(n+1)) / (1 - r), for ever by 1 / (1 - r). A perp of
margin M at maintenance rate m stands a move d against it with quantity M / (price x (d + (1 -+ d) x m)), the sign being
the position's (Hyperliquid, "Liquidations"; Binance, "Liquidation price"; solved for the quantity).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Context, Decimal
from statistics import NormalDist

from engine.accounts import Account, Debt, Kind
from engine.assess import assess
from engine.assessment import Direction
from engine.prices import AssetPrice
from engine.record import record
from engine.solvency import ONE, ZERO, oracle_of, solvency_of, trigger_prices

LOOPS = (0, 1, 2, 3, 5, 10)
MOVES = tuple(Decimal(percent) / 100 for percent in (-30, -20, -10, 10, 20, 30))
_WIDE = Context(prec=50)


@record
class Wanted:
    """The least health, the least distance (fraction), or the highest chance to be gone within `years`: one of them."""

    health: Decimal | None = None
    distance: Decimal | None = None
    probability: Decimal | None = None
    years: Decimal = ZERO

    def __post_init__(self) -> None:
        if sum(each is not None for each in (self.health, self.distance, self.probability)) != 1:
            raise ValueError("want one of health, distance and probability")
        if self.health is not None and not (self.health.is_finite() and self.health > 1):
            raise ValueError(f"health {self.health} is not above 1: at 1 it is liquidated")
        if self.distance is not None and not 0 < self.distance < 1:
            raise ValueError(f"distance {self.distance} is not between 0 and 1; write 30 % as 30% or 0.3")
        if self.probability is not None and not (0 < self.probability < 1 and self.years > 0):
            raise ValueError(f"probability {self.probability} is not between 0 and 1, or has no time to happen in")

    def distance_of(self, volatility: Decimal | None, *, rises: bool) -> Decimal | None:
        """Return the distance that is asked for, `None` for a wanted health.

        A chance becomes a distance by the closed form 2 Phi(-b / (volatility x sqrt(years))), without drift: the
        baseline of `forecast`, which is too low in the tails. Raises `ValueError` without a volatility.
        """
        if self.probability is None:
            return self.distance
        if volatility is None or not volatility > 0:
            raise ValueError("a chance needs a volatility; write --volatility 0.62, or ask for health or distance")
        quantile = Decimal(str(NormalDist().inv_cdf(1 - float(self.probability) / 2)))
        barrier = quantile * volatility * self.years.sqrt(_WIDE)
        return _WIDE.exp(barrier) - ONE if rises else ONE - _WIDE.exp(-barrier)


@record
class Loan:
    """What a loan would be: prices in quote currency, rates annual fractions (`None`: not known)."""

    price: Decimal
    threshold: Decimal
    max_ltv: Decimal | None = None
    supply_rate: Decimal | None = None
    borrow_rate: Decimal | None = None
    debt_price: Decimal = ONE


@record
class Outcome:
    """What a price move leaves: `equity_change` as a fraction of equity; liquidated somewhere on the way, or not."""

    move: Decimal
    equity_change: Decimal
    liquidated: bool


@record
class Size:
    """One size of a position on an equity of 1 in the quote currency (times what is put in).

    `collateral` and `debt` are values (perps: `collateral` is the notional, `debt` is `None`). `carry` is what it earns
    a year as a fraction of equity, `None` when a rate is unknown. `loops` is how often it was borrowed and bought.
    """

    loops: int | None
    collateral: Decimal
    debt: Decimal | None
    leverage: Decimal
    health_factor: Decimal | None
    liquidation_price: Decimal | None
    distance: Decimal | None
    carry: Decimal | None
    outcomes: tuple[Outcome, ...] = ()


def debt_ratio(loan: Loan, wanted: Wanted, volatility: Decimal | None) -> tuple[Decimal, str]:
    """Return the largest debt over collateral that is wanted, and what caps it ("" or "max_ltv")."""
    if wanted.health is not None:
        ratio = loan.threshold / wanted.health
    else:
        ratio = loan.threshold * (ONE - (wanted.distance_of(volatility, rises=False) or ZERO))
    if loan.max_ltv is not None and ratio > loan.max_ltv:
        return loan.max_ltv, "max_ltv"
    return ratio, ""


def loan_size(loan: Loan, equity: Decimal, ratio: Decimal, loops: int | None) -> Size:
    """Return the loan of `loops` rounds of borrowing and buying (0: borrowed once and kept; `None`: for ever).

    With 0 the collateral is the equity put in and the debt is cash in hand, which then counts as equity again.
    """
    if loops == 0:
        collateral, debt = equity, equity * ratio
        leverage = ONE
        cash = debt
    else:
        factor = ONE / (ONE - ratio) if loops is None else (ONE - ratio ** (loops + 1)) / (ONE - ratio)
        collateral = equity * factor
        debt, cash, leverage = collateral - equity, ZERO, factor
    health = collateral * loan.threshold / debt if debt else None
    line = loan.price * debt / (collateral * loan.threshold) if debt else None
    distance = None if line is None else ONE - line / loan.price
    carry = None
    if loan.supply_rate is not None and loan.borrow_rate is not None:
        carry = (collateral * loan.supply_rate - debt * loan.borrow_rate) / equity
    outcomes = []
    for move in MOVES:
        gone = distance is not None and move <= -distance
        change = (collateral * (ONE + move) + cash - debt - equity) / equity
        outcomes.append(Outcome(move, change, gone))
    return Size(loops, collateral, debt, leverage, health, line, distance, carry, tuple(outcomes))


def perp_notional(
    margin: Decimal, rate: Decimal, wanted: Wanted, volatility: Decimal | None, *, is_long: bool
) -> Decimal:
    """Return the largest notional on `margin` at a flat maintenance `rate`."""
    if wanted.health is not None:
        return margin / (wanted.health * rate)
    distance = wanted.distance_of(volatility, rises=not is_long) or ZERO
    return margin / (distance + (ONE - distance if is_long else ONE + distance) * rate)


def perp_size(
    price: Decimal, margin: Decimal, notional: Decimal, rate: Decimal, funding: Decimal | None, *, is_long: bool
) -> Size:
    """Return the perp of `notional` on `margin`."""
    side = ONE if is_long else -ONE
    # margin + side x notional x d = notional x (1 + d) x rate, d being the price's signed move.
    slope = side - rate
    move = (rate * notional - margin) / (slope * notional)
    line = price * (ONE + move)
    has_line = line > 0 and (move < 0) is is_long
    outcomes = tuple(
        Outcome(each, side * notional * each / margin, has_line and (each <= move if is_long else each >= move))
        for each in MOVES
    )
    return Size(
        None,
        notional,
        None,
        notional / margin,
        margin / (notional * rate),
        line if has_line else None,
        abs(move) if has_line else None,
        None if funding is None else -side * funding * notional / margin,
        outcomes,
    )


def loan_sizes(loan: Loan, equity: Decimal, ratio: Decimal, loops: Sequence[int | None]) -> list[Size]:
    """Return one size per number of loops."""
    return [loan_size(loan, equity, ratio, each) for each in loops]


def more_debt(account: Account, prices: Mapping[str, AssetPrice], asset: str, wanted: Wanted) -> Decimal:
    """Return how much more of `asset` the loan can owe and still be where it is wanted, in tokens; 0 when it is not.

    Exact on the account's own formula. `max_ltv` caps it as the protocol would, where every collateral tells one.
    Raises `ValueError` when a price is lacking.
    """
    known, lacking = trigger_prices(account, prices)
    oracle = oracle_of(account, asset, prices)
    if lacking or oracle is None:
        raise ValueError(next(iter(lacking.values()), f"no price of {asset}"))
    price = known.get(asset, oracle.price)

    def owing(tokens: Decimal) -> Account:
        legs, left = [], tokens
        for leg in account.debt:
            mine = left if leg.asset == asset else ZERO
            left -= mine
            legs.append(replace(leg, amount=leg.amount + mine))
        extra = (Debt(asset, left),) if left else ()
        return replace(account, debt=(*legs, *extra), ledger=None)

    solvency = solvency_of(account, known)
    most = max(solvency.cover(known) - solvency.requirement(known), ZERO) / price
    counted = [leg for leg in account.collateral if leg.liquidation_threshold]
    if all(leg.max_ltv is not None for leg in counted):
        allowed = sum((leg.amount * known[leg.asset] * (leg.max_ltv or ZERO) for leg in counted), ZERO)
        owed = sum((leg.amount * known[leg.asset] for leg in account.debt), ZERO)
        most = min(most, max(allowed - owed, ZERO) / price)
    return _largest(lambda tokens: _is_there(owing(tokens), prices, wanted), most)


def more_position(account: Account, prices: Mapping[str, AssetPrice], asset: str, wanted: Wanted) -> Decimal:
    """Return by how much the position in `asset` can grow, in its own direction, and still be where it is wanted.

    Its new part is opened at the mark. Raises `ValueError` without such a position, or when a price is lacking.
    """
    known, lacking = trigger_prices(account, prices)
    index = next((at for at, each in enumerate(account.positions) if each.asset == asset and each.quantity), None)
    if index is None or lacking:
        raise ValueError(next(iter(lacking.values()), f"{account.name} has no position in {asset}"))
    position, price = account.positions[index], known[asset]
    side = ONE if position.quantity > 0 else -ONE

    def grown(quantity: Decimal) -> Account:
        size = position.quantity + side * quantity
        entry = position.entry_price
        if entry is not None:
            entry = (entry * position.quantity + price * side * quantity) / size
        balance = account.balance - side * quantity * price if account.kind is Kind.BROKER else account.balance
        held = (*account.positions[:index], replace(position, quantity=size, entry_price=entry))
        return replace(account, positions=(*held, *account.positions[index + 1 :]), balance=balance)

    solvency = solvency_of(account, known)
    rate = position.tiers[0].maintenance_rate if position.tiers else ZERO
    most = max(solvency.cover(known) - solvency.requirement(known), ZERO) / (price * (rate or ONE))
    return _largest(lambda quantity: _is_there(grown(quantity), prices, wanted), most)


def _is_there(account: Account, prices: Mapping[str, AssetPrice], wanted: Wanted) -> bool:
    """Return whether `account` is at or beyond what is wanted at its trigger prices."""
    found = assess(account, prices, 0, consensus_of={})
    if found.health_factor is None:
        return not found.has_debt
    if wanted.health is not None:
        return found.health_factor >= wanted.health
    nearest = found.nearest or ""
    point = found.liquidation.get(nearest)
    if found.health_factor < 1 or point is None or point.distance is None:
        return found.health_factor >= 1
    volatility = prices[nearest].volatility if nearest in prices else None
    least = wanted.distance_of(volatility, rises=point.direction is Direction.UP)
    return point.distance >= (least or ZERO)


def _largest(holds: Callable[[Decimal], bool], most: Decimal) -> Decimal:
    """Return the largest amount up to `most` that holds, to a billionth of it, rounded down; 0 when none does."""
    if not holds(ZERO) or not most:
        return ZERO
    if holds(most):
        return most
    low, high = ZERO, most
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
