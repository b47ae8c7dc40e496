"""Deribit positions as legs of an account: futures one by one, options on one coin together as their delta.

Formulas: docs.deribit.com (API 2.1.1, read 2026-11). An inverse future pays face x (1/entry - 1/mark) of its coin. The
venue tells no margin tiers, and its rates were re-worked in 2026-08: the requirement of a position is the one that it
reports now, as a fraction of the position. An estimated liquidation ratio is the liquidation price over the mark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from decimal import Decimal

from engine.accounts import Position, Tier
from engine.record import record
from providers.deribit.wire import Held, Kind, MarginModel, Name, Summary, Tick

ZERO, ONE = Decimal(0), Decimal(1)
_FLAT = (Tier(ZERO, ZERO),)
DOLLARS = frozenset({"USDC", "USDT", "USDE", "USYC"})
"""Currencies that count as a dollar where the venue quotes no index of theirs."""


@record
class Picture:
    """All that is known of one login at one moment. `indexes` are prices in USD by currency, `ticks` by contract.

    The mark price in `held` is the one at which the venue reckoned the balances; ticks are newer.
    """

    summaries: Mapping[str, Summary]
    held: tuple[Held, ...] = ()
    ticks: Mapping[str, Tick] = field(default_factory=dict)
    indexes: Mapping[str, Decimal] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()

    @property
    def model(self) -> MarginModel:
        """Return the margin model of the login, which is the same in every currency."""
        return next((each.model for each in self.summaries.values()), MarginModel.UNKNOWN)

    def mark_of(self, held: Held) -> Decimal | None:
        """Return the newest mark price of a position's contract."""
        tick = self.ticks.get(held.contract)
        return held.mark_price if tick is None else tick.mark_price

    def tolerance(self, held: Sequence[Held], equity: Decimal | None, least: Decimal) -> Decimal:
        """Return how far our figures may be from the venue's: more while prices have moved on since it reckoned.

        `equity` is in the settlement currency.
        """
        return least + (abs(self.moved(held) / equity) if equity else ZERO)

    def moved(self, held: Sequence[Held]) -> Decimal:
        """Return what futures gained since the venue reckoned, in their settlement currency."""
        total = ZERO
        for each in held:
            mark = self.mark_of(each)
            if each.kind is Kind.FUTURE and mark is not None and each.mark_price is not None:
                total += _profit(each, each.mark_price, mark)
        return total

    def index_of(self, coin: str) -> Decimal | None:
        """Return the newest index price of a coin in USD."""
        for held in self.held:
            tick = self.ticks.get(held.contract)
            if held.name.coin == coin and tick is not None and tick.index_price is not None:
                return tick.index_price
        return self.indexes.get(coin, ONE if coin in DOLLARS else None)


@record
class Legs:
    """The positions of one currency's contracts, and what they did to its wallet.

    `profit` is unrealised, in the currency; `counted` the same in quote currency as quantity x (mark - entry) has it,
    which differs by the basis between two inverse contracts. `required` is what the venue asks of them, in the
    currency. `is_known` is false when something that would move the account was not told.
    """

    positions: tuple[Position, ...]
    profit: Decimal
    required: Decimal
    has_options: bool
    order_margin: Decimal | None
    is_known: bool = True
    counted: Decimal = ZERO


def legs_of(picture: Picture, model: MarginModel, held: Sequence[Held], price: Decimal, degraded: list[str]) -> Legs:
    positions, profit, required = [], ZERO, ZERO
    counted = ZERO
    for one in (each for each in held if each.kind is Kind.FUTURE):
        mark = one.mark_price
        if mark is None:
            degraded.append(f"no mark price of {one.contract}")
        entry = one.entry_price or mark
        position = _future(picture, one, entry, price)
        if entry is None:
            degraded.append(f"no entry price of {one.contract}: liquidation unknown")
        elif mark is not None:
            profit += _profit(one, entry, mark)
            counted += position.quantity * (mark - entry)
        required += one.maintenance_margin or ZERO
        positions.append(position)
    options = [each for each in held if each.kind is Kind.OPTION]
    for coin in dict.fromkeys(each.name.coin for each in options):
        deltas = _delta(picture, model, [each for each in options if each.name.coin == coin], degraded)
        if deltas is not None:
            positions.append(deltas)
    orders = [each.order_margin for each in held if each.order_margin is not None]
    return Legs(
        tuple(positions),
        profit,
        required,
        bool(options),
        sum(orders, ZERO) if orders else None,
        all(each.tiers for each in positions if each.contract not in {one.contract for one in held}),
        counted,
    )


def _profit(held: Held, entry: Decimal, mark: Decimal) -> Decimal:
    """Return the unrealised profit in the settlement currency; an inverse contract pays face x (1/entry - 1/mark)."""
    if held.name.inverse:
        return held.size / entry - held.size / mark
    return held.size * (mark - entry)


def _future(picture: Picture, held: Held, entry: Decimal | None, price: Decimal) -> Position:
    """Return a future. Its one tier is what the venue asked of it at `price`, USD per settlement currency."""
    mark = held.mark_price
    quantity = held.size if not held.name.inverse else held.size / (entry or mark or ONE)
    asked = None if held.maintenance_margin is None else held.maintenance_margin * price
    base = abs(held.size) if held.name.inverse else abs(held.size) * (mark or ZERO)
    rate = None if asked is None or not base else asked / base
    tick = picture.ticks.get(held.contract)
    return Position(
        held.name.coin,
        quantity,
        () if rate is None else (Tier(ZERO, rate),),
        entry,
        picture.mark_of(held),
        funding_rate=None if tick is None or not held.name.is_perpetual else tick.funding_rate,
        margin_used=times(held.initial_margin, price),
        venue_liquidation_price=_liquidation(picture, held),
        inverse=held.name.inverse,
        contract=held.contract,
    )


def _liquidation(picture: Picture, held: Held) -> Decimal | None:
    """Return the venue's own price: told with the position, or its ratio times the mark; `None` when it tells none."""
    mark = held.mark_price
    if held.liquidation_price is not None:
        return held.liquidation_price
    summary = picture.summaries.get(held.name.currency)
    if summary is None or mark is None or summary.model.is_portfolio:
        return None
    ratio = next((value for index, value in summary.ratios.items() if _coin_of(index) == held.name.coin), summary.ratio)
    return None if ratio is None else ratio * mark


def _delta(picture: Picture, model: MarginModel, options: Sequence[Held], degraded: list[str]) -> Position | None:
    """Return the options on one coin as what they gain per unit of it, from its price now; they ask nothing by size.

    In the standard model a bought option is worth nothing as margin, so only sold ones count.
    """
    coin, name = options[0].name.coin, options[0].name
    total, price = ZERO, next((each.index_price for each in options if each.index_price), picture.index_of(coin))
    for option in options:
        if option.size > 0 and not model.is_portfolio:
            continue
        if option.delta is None:
            degraded.append(f"no delta of {option.contract}: liquidation unknown")
            return Position(coin, option.size, (), price, price, contract=f"{_family(name)} options")
        total += option.delta
    if not total:
        return None
    if price is None:
        degraded.append(f"no price of {coin}")
    return Position(coin, total, _FLAT, price, price, contract=f"{_family(name)} options")


def _family(name: Name) -> str:
    return name.coin if name.inverse else f"{name.coin}_{name.currency}"


def with_requirement(
    legs: Legs, model: MarginModel, total: Decimal | None, price: Decimal, *, knows: bool
) -> tuple[tuple[Position, ...], Decimal]:
    """Return the positions with the requirement that they explain, and what none explains, in quote currency.

    A scan, and a total below the sum of its parts, belong to no position: then all of it is constant. Where a figure
    is lacking the positions lose their rates, so that nobody takes the account for safe.
    """
    if not knows or total is None:
        return tuple(_with_tiers(each, ()) for each in legs.positions), ZERO
    lacks = any(not each.tiers for each in legs.positions)
    if model.is_portfolio or total < legs.required or lacks:
        return tuple(_with_tiers(each, _FLAT) for each in legs.positions), total * price
    return legs.positions, (total - legs.required) * price


def _with_tiers(position: Position, tiers: tuple[Tier, ...]) -> Position:
    return replace(position, tiers=tiers)


def coin_price(picture: Picture, currency: str, held: Sequence[Held], *, now: bool) -> Decimal | None:
    """Return USD per unit of a currency: the mark of its largest inverse future, else its index.

    That future's mark makes its own liquidation price exact. Either `now`, or when the venue reckoned the balances.
    """
    futures = [each for each in held if each.kind is Kind.FUTURE and each.name.inverse and each.mark_price]
    if futures:
        largest = max(futures, key=lambda each: abs(each.size))
        return picture.mark_of(largest) if now else largest.mark_price
    of_options = (each.index_price for each in held if each.name.inverse and each.index_price)
    return next(of_options, picture.index_of(currency))


def at_marks(picture: Picture, currency: str) -> Picture:
    """Return the picture with balances of `currency` that the venue reckoned at the newest marks."""
    held = tuple(
        replace(each, mark_price=picture.mark_of(each)) if each.name.currency == currency else each
        for each in picture.held
    )
    return replace(picture, held=held)


def directions_of(summary: Summary) -> dict[str, Decimal]:
    """Return the moves at which the venue itself says that it liquidates: its ratio is the price left over mark."""
    if summary.model.is_portfolio:
        return {}
    if summary.ratios:
        return {_coin_of(index): ratio - ONE for index, ratio in summary.ratios.items()}
    return {} if summary.ratio is None else {summary.currency: summary.ratio - ONE}


def _coin_of(index: str) -> str:
    return index.partition("_")[0].upper()


def times(value: Decimal | None, price: Decimal | None) -> Decimal | None:
    return None if value is None or price is None else value * price
