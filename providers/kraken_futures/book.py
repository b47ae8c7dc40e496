"""Kraken Futures keys as accounts: the multi-collateral wallet, its isolated positions, and single-collateral accounts.

Formulas: docs.kraken.com and support.kraken.com 360022635832 (read 2026-11). Margin equity is the collateral at its
haircuts plus what is unrealised; the account is liquidated when it falls below the maintenance margin. Margins of a
multi-collateral contract are asked of its entry price (checked on the documented PF_LTCUSD position); should the venue
ask them of the mark instead, its own figures show it and are followed. Where a feed tells of isolated wallets they are
taken off the whole; without it an isolated wallet counts as the initial margin at its leverage, and says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from decimal import Decimal

from engine.accounts import Account, Collateral, Debt, Kind, MarginCall, MarginMode, Position, VenueReport
from engine.prices import OraclePrice
from engine.record import record
from engine.solvency import face_maintenance
from providers.kraken_futures.markets import Market
from providers.kraken_futures.signing import VENUE
from providers.kraken_futures.wire import Coin, Held, Purse, Single, Wallets

USD = "USD"
ZERO, ONE = Decimal(0), Decimal(1)
_TOLERANCE = Decimal("0.02")


@record
class Picture:
    """All that is known of one key at one moment. `shares` are isolated wallets without profit, as the feed told them.

    `share` is what all of them hold together, `None` where no feed told it. `reckoned` are the marks by contract at
    which the venue last reckoned the wallets.
    """

    held: tuple[Held, ...] = ()
    wallets: Wallets = Wallets()
    markets: Mapping[str, Market] = field(default_factory=dict)
    share: Decimal | None = None
    shares: Mapping[str, Decimal] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()
    reckoned: Mapping[str, Decimal] = field(default_factory=dict)

    def market(self, contract: str) -> Market:
        """Return a contract's rules and prices; nothing known is an empty one."""
        return self.markets.get(contract, Market())

    def mark(self, held: Held) -> Decimal | None:
        """Return the newest mark price of a position."""
        told = self.market(held.contract).mark_price
        return held.mark_price if told is None else told

    def tolerance(self, held: Sequence[Held], equity: Decimal | None) -> Decimal:
        """Return how far our figures may be from the venue's: more while prices have moved on since it reckoned."""
        moved = ZERO
        for each in held:
            mark, before = self.mark(each), self.reckoned.get(each.contract)
            if mark is not None and before is not None:
                size = each.size / before if each.is_inverse else each.size
                moved += size * (mark - before)
        return _TOLERANCE + (abs(moved / equity) if equity else ZERO)


def accounts(name: str, picture: Picture) -> tuple[Account, ...]:
    """Return the accounts of one key: `name` for the multi-collateral wallet, always, then every other in use.

    `name:PF_...` is an isolated position, `name:FI_...` a single-collateral account.
    """
    flexible = [each for each in picture.held if not each.is_inverse]
    isolated = [each for each in flexible if each.leverage is not None]
    at_entry = asks_at_entry(picture, flexible)
    found = [_flex(name, picture, [each for each in flexible if each.leverage is None], isolated, at_entry=at_entry)]
    found += [_isolated(name, picture, each, isolated, at_entry=at_entry) for each in isolated]
    inverse = [each for each in picture.held if each.is_inverse]
    known = set()
    for single in picture.wallets.singles:
        held = [each for each in inverse if each.pair == pair_of(single)]
        known |= {each.contract for each in held}
        if held or single.purse.equity:
            found.append(_single(name, picture, single, held))
    found += [_orphan(name, picture, each) for each in inverse if each.contract not in known]
    return tuple(found)


def marks(found: Sequence[Account], at_ns: int) -> dict[str, OraclePrice]:
    """Return the mark price of every asset that a position is held in."""
    prices: dict[str, OraclePrice] = {}
    for account in found:
        for held in account.positions:
            if held.mark_price is not None:
                prices.setdefault(held.asset, OraclePrice(held.mark_price, at_ns, at_ns, source=f"{VENUE} mark"))
    return prices


def asks_at_entry(picture: Picture, held: Sequence[Held]) -> bool:
    """Return whether the venue's maintenance figures are those at entry prices rather than at marks; true in doubt."""
    off_entry = off_mark = ZERO
    told = [each for each in held if each.maintenance_margin is not None]
    for rows, total in [([each], each.maintenance_margin) for each in told] or [(list(held), _total(picture))]:
        if total is None:
            continue
        by_entry = [_asked(picture, each, each.entry_price) for each in rows]
        by_mark = [_asked(picture, each, picture.mark(each)) for each in rows]
        if None not in by_entry and None not in by_mark:
            off_entry += abs(total - sum((value or ZERO for value in by_entry), ZERO))
            off_mark += abs(total - sum((value or ZERO for value in by_mark), ZERO))
    return off_entry <= off_mark


def isolated_wallet(picture: Picture, held: Held, isolated: Sequence[Held]) -> tuple[Decimal | None, bool]:
    """Return what an isolated position has without its profit, and whether the venue told it."""
    told = picture.shares.get(held.contract)
    if told is None and len(isolated) == 1:
        told = picture.share
    if told is not None:
        return told, True
    if held.entry_price is None or held.leverage is None:
        return None, False
    return abs(held.size) * held.entry_price / held.leverage, False


def pair_of(single: Single) -> str:
    """Return what a single-collateral account trades ("XBTUSD")."""
    return single.name.partition("_")[2]


def _total(picture: Picture) -> Decimal | None:
    return None if picture.wallets.flex is None else picture.wallets.flex.maintenance


def _asked(picture: Picture, held: Held, price: Decimal | None) -> Decimal | None:
    """Return the maintenance that the tiers ask of a position at `price`."""
    tiers = picture.market(held.contract).tiers
    if not tiers or price is None:
        return None
    return face_maintenance(Position(held.coin, held.size, tiers, price))


def _flex(name: str, picture: Picture, held: Sequence[Held], isolated: Sequence[Held], *, at_entry: bool) -> Account:
    degraded = list(picture.degraded)
    purse = picture.wallets.flex or Purse()
    wallet, total = _wallet(purse), purse.maintenance
    wallets = [isolated_wallet(picture, each, isolated) for each in isolated]
    if isolated and picture.share is not None:
        wallet = None if wallet is None else wallet - picture.share
    elif isolated:
        degraded.append("isolated margin is not told by REST: counted at its leverage")
        wallet = None if wallet is None else wallet - sum((value or ZERO for value, _ in wallets), ZERO)
    apart = [_asked(picture, each, each.entry_price if at_entry else picture.mark(each)) for each in isolated]
    if total is not None:
        total -= sum((value or ZERO for value in apart), ZERO)
    positions = tuple(_position(picture, each, degraded, at_entry=at_entry) for each in held)
    if wallet is None and (held or picture.wallets.coins):
        degraded.append("margin equity or profit not reported: liquidation unknown")
    if total is None and held:
        degraded.append("maintenance margin not reported: liquidation unknown")
    knows = wallet is not None and (total is not None or not held)
    asked = [_asked(picture, each, each.entry_price if at_entry else picture.mark(each)) for each in held]
    explained = sum((value or ZERO for value in asked), ZERO)
    collateral, oracles = _collateral(picture.wallets.coins, degraded)
    counted = sum((leg.amount * leg.liquidation_threshold * oracles[leg.asset].price for leg in collateral), ZERO)
    report = VenueReport(
        health_factor=purse.equity / purse.maintenance if purse.equity and purse.maintenance and not isolated else None,
        equity=purse.gross if not isolated else None,
        maintenance_requirement=purse.maintenance if not isolated else None,
        tolerance=picture.tolerance(held, purse.equity),
    )
    orders = None
    if purse.initial_with_orders is not None and purse.initial is not None:
        orders = max(purse.initial_with_orders - purse.initial, ZERO)
    return Account(
        name,
        Kind.PERP,
        VENUE,
        mode=MarginMode.CROSS,
        quote=USD,
        collateral=collateral,
        balance=ZERO if wallet is None else wallet - counted,
        positions=positions if knows else tuple(_unknown(each) for each in positions),
        oracles=oracles,
        reported=report,
        degraded=tuple(dict.fromkeys(degraded)),
        venue=f"{VENUE} flex",
        extra_requirement=max((total or ZERO) - explained, ZERO) if knows else ZERO,
        order_margin=orders,
        initial_requirement=purse.initial if not isolated else None,
        trigger="mark",
    )


def _isolated(name: str, picture: Picture, held: Held, isolated: Sequence[Held], *, at_entry: bool) -> Account:
    degraded = list(picture.degraded)
    wallet, is_told = isolated_wallet(picture, held, isolated)
    position = _position(picture, held, degraded, at_entry=at_entry)
    if wallet is None:
        degraded.append(f"isolated margin of {held.contract} not told: liquidation unknown")
    elif not is_told:
        degraded.append(f"isolated margin of {held.contract} not told: counted at its leverage of {held.leverage}")
    return Account(
        f"{name}:{held.contract}",
        Kind.PERP,
        VENUE,
        mode=MarginMode.ISOLATED,
        quote=USD,
        balance=wallet or ZERO,
        positions=(position if wallet is not None else _unknown(position),),
        reported=VenueReport(maintenance_requirement=held.maintenance_margin, tolerance=_TOLERANCE),
        degraded=tuple(dict.fromkeys(degraded)),
        venue=f"{VENUE} iso",
        trigger="mark",
    )


def _single(name: str, picture: Picture, single: Single, held: Sequence[Held]) -> Account:
    """Build a single-collateral account: its coin moves, and what it must cover is asked of constant face values."""
    degraded, purse = list(picture.degraded), single.purse
    price = _coin_price(picture, single, held)
    wallet = _wallet(purse)
    if price is None:
        degraded.append(f"no price of {single.coin}: liquidation unknown")
    if wallet is None:
        degraded.append("portfolio value or profit not reported: liquidation unknown")
    if purse.maintenance is None and held:
        degraded.append("maintenance margin not reported: liquidation unknown")
    knows = wallet is not None and price is not None and (purse.maintenance is not None or not held)
    at = price or ONE
    positions = tuple(_inverse(picture, each, single, degraded) for each in held)
    explained = sum((face_maintenance(each) for each in positions if each.tiers and each.entry_price), ZERO)
    total = (purse.maintenance or ZERO) * at
    amount = wallet or ZERO
    return Account(
        f"{name}:{single.name}",
        Kind.PERP,
        VENUE,
        mode=MarginMode.CROSS,
        quote=USD,
        collateral=(Collateral(single.coin, amount, ONE),) if amount > 0 else (),
        debt=(Debt(single.coin, -amount),) if amount < 0 else (),
        balance=sum((_basis(each, at) for each in positions), ZERO),
        positions=positions if knows else tuple(_unknown(each) for each in positions),
        oracles={} if price is None else {single.coin: OraclePrice(price, source=f"{VENUE} mark")},
        reported=VenueReport(
            equity=None if purse.equity is None or price is None else purse.equity * price,
            maintenance_requirement=None if purse.maintenance is None or price is None else total,
            tolerance=picture.tolerance(held, None if purse.equity is None else purse.equity * at),
        ),
        degraded=tuple(dict.fromkeys(degraded)),
        venue=f"{VENUE} {single.coin}",
        extra_requirement=max(total - explained, ZERO) if knows else ZERO,
        liquidation_multiple=_multiple(single),
        initial_requirement=None if purse.initial is None or price is None else purse.initial * price,
        trigger="mark",
        margin_call=_call(single, at),
    )


def _orphan(name: str, picture: Picture, held: Held) -> Account:
    """Build the account of a position whose wallet the venue did not tell: known to exist, nothing more."""
    degraded = [*picture.degraded, f"no wallet of {held.contract}: liquidation unknown"]
    position = _inverse(picture, held, None, degraded)
    return Account(
        f"{name}:{held.contract}",
        Kind.PERP,
        VENUE,
        mode=MarginMode.CROSS,
        quote=USD,
        positions=(_unknown(position),),
        degraded=tuple(dict.fromkeys(degraded)),
        venue=VENUE,
        trigger="mark",
    )


def _multiple(single: Single) -> Decimal:
    """Return the share of the maintenance margin at which the venue liquidates: its threshold may be below it."""
    asked, threshold = single.purse.maintenance, single.liquidation_threshold
    return threshold / asked if asked and threshold is not None and threshold < asked else ONE


def _call(single: Single, price: Decimal) -> MarginCall | None:
    equity, asked = single.purse.equity, single.purse.maintenance
    if equity is None or not asked or equity >= asked:
        return None
    return MarginCall((asked - equity) * price, text="below the maintenance margin")


def _wallet(purse: Purse) -> Decimal | None:
    """Return what a wallet has without the profit that moves with prices."""
    return None if purse.equity is None or purse.profit is None else purse.equity - purse.profit


def _position(picture: Picture, held: Held, degraded: list[str], *, at_entry: bool) -> Position:
    market, mark = _known(picture, held, degraded)
    return Position(
        held.coin,
        held.size,
        market.tiers,
        held.entry_price if held.entry_price is not None else mark,
        mark,
        funding_rate=market.funding_rate,
        margin_used=held.initial_margin,
        venue_liquidation_price=held.liquidation_price,
        contract=held.contract,
        predicted_funding_rate=market.predicted_funding_rate,
        next_funding_ns=market.next_funding_ns,
        margin_at_entry=at_entry,
    )


def _inverse(picture: Picture, held: Held, single: Single | None, degraded: list[str]) -> Position:
    market, mark = _known(picture, held, degraded)
    entry = held.entry_price if held.entry_price is not None else mark
    told = None if single is None else single.liquidation_trigger or single.maintenance_trigger
    return Position(
        held.coin,
        held.size / (entry or ONE),
        market.tiers,
        entry,
        mark,
        funding_rate=market.funding_rate,
        venue_liquidation_price=held.liquidation_price or told,
        inverse=True,
        contract=held.contract,
        predicted_funding_rate=market.predicted_funding_rate,
        next_funding_ns=market.next_funding_ns,
    )


def _known(picture: Picture, held: Held, degraded: list[str]) -> tuple[Market, Decimal | None]:
    market, mark = picture.market(held.contract), picture.mark(held)
    if mark is None:
        degraded.append(f"no mark price of {held.contract}")
    if held.entry_price is None:
        degraded.append(f"no entry price of {held.contract}")
    if not market.tiers:
        degraded.append(f"margin levels of {held.contract} unknown")
    if market.is_suspended:
        degraded.append(f"{held.contract} is suspended")
    return market, mark


def _basis(position: Position, price: Decimal) -> Decimal:
    """Return the profit in coins at `price`, less what quantity x (mark - entry) counts it as."""
    mark, entry = position.mark_price, position.entry_price
    if mark is None or entry is None:
        return ZERO
    face = position.quantity * entry
    return (face / entry - face / mark) * price - position.quantity * (mark - entry)


def _coin_price(picture: Picture, single: Single, held: Sequence[Held]) -> Decimal | None:
    """Return dollars per coin: the mark of its largest position, else the perpetual's index."""
    marked = [each for each in held if picture.mark(each) is not None]
    if marked:
        return picture.mark(max(marked, key=lambda each: abs(each.size)))
    return picture.market(f"PI_{pair_of(single)}").index_price


def _collateral(
    coins: Mapping[str, Coin], degraded: list[str]
) -> tuple[tuple[Collateral, ...], dict[str, OraclePrice]]:
    """Return the currencies beside dollars, each with the weight and the price at which the venue counts it."""
    legs, oracles = [], {}
    for name, coin in coins.items():
        if name == USD or not coin.quantity:
            continue
        if coin.value is None or coin.counted is None or coin.value <= 0 or coin.quantity < 0:
            degraded.append(f"no value of {name}: what it is worth is held at today's amount")
            continue
        legs.append(Collateral(name, coin.quantity, coin.counted / coin.value))
        oracles[name] = OraclePrice(coin.value / coin.quantity, source=f"{VENUE} index")
    return tuple(legs), oracles


def _unknown(position: Position) -> Position:
    return replace(position, tiers=())
