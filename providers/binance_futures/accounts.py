"""USD-M futures as accounts: a cross account per margin asset (or one over all of them), and every isolated position.

Formulas: binance.com FAQ, "How to calculate liquidation price of USD-M futures contracts" and "Multi-assets mode"
(read 2026-11): liquidated when wallet balance + profits <= sum(notional x rate - cum); no fee is in it. With several
assets as margin every coin and profit counts at its index x (1 - bid buffer), a debt and the maintenance asked in that
coin at index x (1 + ask buffer): a recorded account's own totals are so to the last digit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from decimal import Decimal

from engine.accounts import Account, Collateral, Debt, Kind, MarginMode, Position, Tier, VenueReport
from engine.prices import OraclePrice
from engine.record import record
from providers.binance_futures.wire import BOTH, AssetIndex, Funding, Held, Modes, Place, Purse, State, annual

PROVIDER = "binance-usdm"
MAIN_ASSET = "USDT"
MARGIN_CALL = "MARGIN_CALL"
_ZERO, _ONE = Decimal(0), Decimal(1)


@record
class Picture:
    """All that is known of one futures account at one moment.

    `isolated` says by symbol how it is set, `funding` and `hours` are by symbol, `indexes` by coin. `marks` are pushed
    prices that are newer than those in `held`. `called` are places that the venue has warned of.
    """

    held: tuple[Held, ...]
    state: State
    modes: Modes | None = None
    isolated: Mapping[str, bool] = field(default_factory=dict)
    tiers: Mapping[str, tuple[Tier, ...]] = field(default_factory=dict)
    funding: Mapping[str, Funding] = field(default_factory=dict)
    hours: Mapping[str, int] = field(default_factory=dict)
    indexes: Mapping[str, AssetIndex] | None = None
    marks: Mapping[str, Decimal] = field(default_factory=dict)
    called: frozenset[Place] = frozenset()
    degraded: tuple[str, ...] = ()


@record
class Rate:
    """What a margin asset is worth in its account's quote, and how much more its maintenance costs than its profits."""

    worth: Decimal = _ONE
    strain: Decimal = _ONE


def is_isolated(picture: Picture, held: Held) -> bool:
    """Return whether a position stands on its own margin: what it has tells, else how its symbol is set."""
    if held.isolated_wallet or held.isolated_margin:
        return True
    if held.isolated_wallet is None and held.isolated_margin is None:
        return picture.isolated.get(held.symbol, False)
    return False


def accounts(name: str, picture: Picture, now_ns: int) -> tuple[Account, ...]:
    """Return the accounts of one futures wallet: `name` always (USDT, or all assets), `name:COIN` for another margin
    asset with positions, `name:SYMBOL` for an isolated position (`name:SYMBOL:LONG` where both sides are held apart).
    """
    cross = [held for held in picture.held if not is_isolated(picture, held)]
    alone = [held for held in picture.held if is_isolated(picture, held)]
    found: list[Account] = []
    if picture.modes is not None and picture.modes.is_multi_asset:
        found.append(_multi_asset(name, picture, cross, now_ns))
    else:
        others = sorted({held.margin_asset for held in cross} - {MAIN_ASSET})
        found += [_single_asset(name, picture, asset, cross, alone) for asset in (MAIN_ASSET, *others)]
    found += [_isolated(name, picture, held) for held in alone]
    return tuple(found)


def account_name(name: str, held: Held) -> str:
    """Return what the account of an isolated position is called."""
    return f"{name}:{held.symbol}" if held.side == BOTH else f"{name}:{held.symbol}:{held.side}"


def marks(found: Sequence[Account], at_ns: int) -> dict[str, OraclePrice]:
    """Return the mark price of every asset held, of its largest position where contracts differ."""
    largest: dict[str, Position] = {}
    for account in found:
        for each in account.positions:
            if each.mark_price is not None:
                known = largest.get(each.asset)
                if known is None or abs(each.quantity) > abs(known.quantity):
                    largest[each.asset] = each
    return {
        asset: OraclePrice(each.mark_price, at_ns, at_ns, source=f"{PROVIDER} mark")
        for asset, each in largest.items()
        if each.mark_price is not None
    }


def _single_asset(name: str, picture: Picture, asset: str, cross: Sequence[Held], alone: Sequence[Held]) -> Account:
    own = [held for held in cross if held.margin_asset == asset]
    purse = picture.state.purses.get(asset, Purse(asset, _ZERO, _ZERO, _ZERO, _ZERO))
    degraded = list(picture.degraded)
    if picture.modes is None and own:
        degraded.append("asset mode unread: taken as one margin asset per contract")
    # The venue's maintenance of a coin counts isolated positions in, which have accounts of their own.
    apart = sum((held.maintenance or _ZERO for held in alone if held.margin_asset == asset), _ZERO)
    maintenance = None if purse.maintenance is None else purse.maintenance - apart
    apart_initial = sum((held.margin_used or _ZERO for held in alone if held.margin_asset == asset), _ZERO)
    return _cross(
        name if asset == MAIN_ASSET else f"{name}:{asset}",
        picture,
        own,
        asset,
        degraded,
        balance=purse.cross_wallet,
        reported=_report(picture, own, purse, maintenance),
        order_margin=purse.order_margin,
        initial=None if purse.initial is None else purse.initial - apart_initial,
    )


def _multi_asset(name: str, picture: Picture, cross: Sequence[Held], now_ns: int) -> Account:
    """Build the one account that all coins back. Its quote is the margin asset in which most is held."""
    size: dict[str, Decimal] = {}
    for held in cross:
        size[held.margin_asset] = size.get(held.margin_asset, _ZERO) + abs(held.amount) * (held.mark_price or _ZERO)
    quote = max(size, key=lambda asset: size[asset]) if size else MAIN_ASSET
    degraded, state = list(picture.degraded), picture.state
    indexes = picture.indexes
    if indexes is None or quote not in indexes:
        degraded.append(f"what coins count for unread: only {quote} is counted as margin")
        indexes = {}
    unit = indexes[quote].price * (_ONE - indexes[quote].bid_buffer) if quote in indexes else _ONE
    balance: Decimal | None = state.purses.get(quote, Purse(quote, cross_wallet=_ZERO)).cross_wallet
    coins: list[Collateral] = []
    owed: list[Debt] = []
    oracles: dict[str, OraclePrice] = {}
    for asset, purse in state.purses.items():
        amount = purse.cross_wallet
        if asset == quote or not amount:
            continue
        index = indexes.get(asset)
        if index is None:
            if indexes:
                degraded.append(f"{asset} is not counted: no index price")
            continue
        value = index.price / unit
        oracles[asset] = OraclePrice(value, now_ns, now_ns, source="binance asset index")
        if amount > 0:
            coins.append(Collateral(asset, amount, _ONE - index.bid_buffer))
        else:
            owed.append(Debt(asset, -amount))
            balance = None if balance is None else balance + amount * value * index.ask_buffer
    total = state.total
    equity = (
        None if total.cross_wallet is None or total.cross_profit is None else total.cross_wallet + total.cross_profit
    )
    health = equity / total.maintenance if equity is not None and total.maintenance else None
    report = VenueReport(
        health_factor=None if picture.marks else health,
        maintenance_requirement=None
        if total.maintenance is None
        else total.maintenance / unit * _growth(picture, cross),
        status=_status(picture, cross),
    )
    rates = {
        asset: Rate(each.price * (_ONE - each.bid_buffer) / unit, (_ONE + each.ask_buffer) / (_ONE - each.bid_buffer))
        for asset, each in indexes.items()
    }
    return _cross(
        name,
        picture,
        cross,
        quote,
        degraded,
        balance=balance,
        reported=report,
        order_margin=None if total.order_margin is None else total.order_margin / unit,
        initial=None if total.initial is None else total.initial / unit,
        rates=rates,
        collateral=tuple(coins),
        debt=tuple(owed),
        oracles=oracles,
        note="multi-assets mode: every coin of the wallet is margin",
    )


def _cross(
    name: str,
    picture: Picture,
    held: Sequence[Held],
    quote: str,
    degraded: list[str],
    *,
    balance: Decimal | None,
    reported: VenueReport,
    order_margin: Decimal | None,
    initial: Decimal | None,
    rates: Mapping[str, Rate] | None = None,
    collateral: tuple[Collateral, ...] = (),
    debt: tuple[Debt, ...] = (),
    oracles: Mapping[str, OraclePrice] | None = None,
    note: str = "",
) -> Account:
    if balance is None:
        degraded.append(f"wallet balance of {quote} not reported: liquidation unknown")
    by_size = sorted(held, key=lambda each: -abs(each.amount) * (each.mark_price or _ZERO))
    positions = tuple(
        position(
            picture,
            each,
            degraded,
            knows_balance=balance is not None,
            rate=(rates or {}).get(each.margin_asset, Rate()),
        )
        for each in by_size
    )
    return Account(
        name,
        Kind.PERP,
        PROVIDER,
        mode=MarginMode.CROSS,
        quote=quote,
        balance=balance or _ZERO,
        positions=positions,
        collateral=collateral,
        debt=debt,
        oracles=oracles or {},
        reported=reported,
        degraded=tuple(dict.fromkeys(degraded)),
        order_margin=order_margin,
        initial_requirement=initial,
        venue=PROVIDER,
        note=note,
    )


def _isolated(name: str, picture: Picture, held: Held) -> Account:
    degraded = list(picture.degraded)
    balance = held.isolated_wallet
    if (
        not balance
        and held.isolated_margin is not None
        and held.entry_price is not None
        and held.mark_price is not None
    ):
        balance = held.isolated_margin - held.amount * (held.mark_price - held.entry_price)
    if balance is None:
        degraded.append("isolated margin not reported: liquidation unknown")
    equity, maintenance, mark = held.isolated_margin, held.maintenance, mark_of(picture, held)
    if held.mark_price is not None and mark is not None:
        equity = None if equity is None else equity + held.amount * (mark - held.mark_price)
        maintenance = None if maintenance is None else maintenance * mark / held.mark_price
    return Account(
        account_name(name, held),
        Kind.PERP,
        PROVIDER,
        mode=MarginMode.ISOLATED,
        quote=held.margin_asset,
        balance=balance or _ZERO,
        positions=(position(picture, held, degraded, knows_balance=balance is not None, rate=Rate()),),
        reported=VenueReport(equity=equity, maintenance_requirement=maintenance, status=_status(picture, (held,))),
        degraded=tuple(dict.fromkeys(degraded)),
        venue=f"{PROVIDER} iso",
    )


def mark_of(picture: Picture, held: Held) -> Decimal | None:
    """Return the newest mark price of a position, `None` when nobody told one."""
    return picture.marks.get(held.symbol, held.mark_price)


def position(picture: Picture, held: Held, degraded: list[str], *, knows_balance: bool, rate: Rate) -> Position:
    """Return one position; `rate` converts its own margin asset into the quote of its account."""
    mark, tiers = mark_of(picture, held), picture.tiers.get(held.symbol, ())
    if not tiers:
        degraded.append(f"leverage brackets of {held.symbol} unread")
    if mark is None:
        degraded.append(f"no mark price of {held.symbol}")
    if held.entry_price is None:
        degraded.append(f"no entry price of {held.symbol}")
    funding = picture.funding.get(held.symbol, Funding())
    yearly = annual(funding.rate, picture.hours.get(held.symbol))
    unit = rate.worth
    return Position(
        held.asset,
        held.amount,
        _scaled(tiers, rate) if knows_balance else (),
        _times(held.entry_price, unit),
        _times(mark, unit),
        funding_rate=yearly,
        margin_used=_times(held.margin_used, unit),
        venue_liquidation_price=_times(held.liquidation_price, unit),
        contract=held.symbol,
        adl_rank=None if held.adl is None else held.adl + 1,
        predicted_funding_rate=yearly,
        next_funding_ns=funding.next_ns,
    )


def _report(picture: Picture, own: Sequence[Held], purse: Purse, maintenance: Decimal | None) -> VenueReport:
    """Return what the venue says of one coin's cross account, moved along with marks that are newer."""
    equity = None
    if purse.cross_wallet is not None and purse.cross_profit is not None:
        equity = purse.cross_wallet + purse.cross_profit
        for held in own:
            then, now = picture.state.marks.get(held.place), mark_of(picture, held)
            if then is not None and now is not None:
                equity += held.amount * (now - then)
    if maintenance is not None:
        maintenance *= _growth(picture, own)
    return VenueReport(equity=equity, maintenance_requirement=maintenance, status=_status(picture, own))


def _status(picture: Picture, held: Sequence[Held]) -> str:
    return MARGIN_CALL if any(each.place in picture.called for each in held) else ""


def _times(value: Decimal | None, unit: Decimal) -> Decimal | None:
    return value if value is None or unit == _ONE else value * unit


def _scaled(tiers: tuple[Tier, ...], rate: Rate) -> tuple[Tier, ...]:
    if rate.worth == rate.strain == _ONE:
        return tiers
    return tuple(
        Tier(t.notional_floor * rate.worth, t.maintenance_rate * rate.strain, t.deduction * rate.worth * rate.strain)
        for t in tiers
    )


def _growth(picture: Picture, own: Sequence[Held]) -> Decimal:
    """Return by which factor the value of positions changed since the venue reported their maintenance."""
    then = now = _ZERO
    for held in own:
        at, mark = picture.state.marks.get(held.place, held.mark_price), mark_of(picture, held)
        if at is not None and mark is not None:
            then += abs(held.amount) * at
            now += abs(held.amount) * mark
    return now / then if then else _ONE
