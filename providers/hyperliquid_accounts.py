"""Hyperliquid users as accounts: the cross account, other dexes beside it, and every isolated position on its own.

Formulas: hyperliquid.gitbook.io, "Liquidations", "Margin tiers", "Account abstraction modes" and "Portfolio margin"
(read 2026-11). In a unified account the states of the dexes tell positions and requirements, while the collateral is
the spot balance. A portfolio-margin account is liquidated above a ratio that the venue computes: its health is told
from that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from decimal import Decimal

from engine.accounts import Account, Kind, MarginMode, Position, VenueReport
from engine.prices import OraclePrice
from engine.record import record
from engine.solvency import Curve
from providers.hyperliquid_wire import (
    VENUE,
    AccountMode,
    DexState,
    Held,
    Market,
    MarketPush,
    Universe,
    dex_of,
    flat_tier,
)

COLLATERAL = "USDC"
# Between a push and the reply of a poll, whichever was sent first, lies at most what a request may take.
_OVERTAKEN_MS = 60_000
LIQUIDATED_AT = Decimal("0.95")
"""The portfolio margin ratio above which the venue liquidates."""
_PORTFOLIO = "the venue's ratio moved by the perps alone: coins that are collateral or owed are taken at rest"
_HOUR_NS = 3_600_000_000_000
_ZERO = Decimal(0)


@record
class Picture:
    """All that is known of one user at one moment, by dex ("" is the main one). `spot` is total balance by coin.

    `quotes` are the currencies of dexes whose collateral is not USDC, `order_margin` is what resting orders hold at
    most. `ratio` is the portfolio margin ratio.
    """

    states: Mapping[str, DexState]
    mode: AccountMode = AccountMode.STANDARD
    markets: Mapping[str, Market] = field(default_factory=dict)
    spot: Mapping[str, Decimal] | None = None
    foreign_collateral: frozenset[str] = frozenset()
    quotes: Mapping[str, str] = field(default_factory=dict)
    order_margin: Mapping[str, Decimal] = field(default_factory=dict)
    ratio: Decimal | None = None
    degraded: tuple[str, ...] = ()

    def quote(self, dex: str) -> str:
        """Return the currency of a dex's collateral; one whose name is unknown is told by the dex."""
        return self.quotes.get(dex, f"collateral of {dex}") if dex in self.foreign_collateral else COLLATERAL


def accounts(name: str, picture: Picture) -> tuple[Account, ...]:
    """Return the accounts of one user: the cross account, always, then one per other dex and isolated position.

    `name` is the main cross account, `name:DEX` another dex's, `name:COIN` an isolated position.
    """
    main = picture.states[""]
    others = {dex: state for dex, state in picture.states.items() if dex and not state.is_empty}
    shares = picture.mode in (AccountMode.UNIFIED, AccountMode.PORTFOLIO)
    shared = [dex for dex in others if shares and dex not in picture.foreign_collateral]
    found = [_cross(name, picture, ["", *shared])]
    found += [_cross(f"{name}:{dex}", picture, [dex]) for dex in others if dex not in shared]
    for state in (main, *others.values()):
        found += [_isolated(name, picture, held) for held in state.held if held.is_isolated]
    return tuple(found)


def at_time(found: Sequence[Account], now_ns: int) -> tuple[Account, ...]:
    """Return the accounts with the next payment of funding, which is due at every full hour."""
    due_ns = (now_ns // _HOUR_NS + 1) * _HOUR_NS
    return tuple(
        replace(each, positions=tuple(replace(held, next_funding_ns=due_ns) for held in each.positions))
        for each in found
    )


def marks(found: Sequence[Account], at_ns: int) -> dict[str, OraclePrice]:
    """Return the mark prices of every position held, by coin."""
    prices = {held.asset: held.mark_price for account in found for held in account.positions}
    return {
        asset: OraclePrice(price, at_ns, at_ns, source=f"{VENUE} mark")
        for asset, price in prices.items()
        if price is not None
    }


def with_state(picture: Picture, dex: str, state: DexState) -> Picture:
    """Return the picture with a newer state of one dex; the marks in it are newer, too.

    A state that was overtaken by the one before stays out, unless it is so old that the venue's time must have changed.
    """
    before = picture.states.get(dex)
    if before is not None and 0 < (before.time_ms or 0) - (state.time_ms or before.time_ms or 0) <= _OVERTAKEN_MS:
        return picture
    markets = dict(picture.markets)
    for held in state.held:
        if held.mark_price is not None:
            markets[held.coin] = replace(markets.get(held.coin, Market()), mark_price=held.mark_price)
    return replace(picture, states={**picture.states, dex: state}, markets=markets)


def with_universe(picture: Picture, dex: str, universe: Universe) -> Picture:
    """Return the picture with the newer rules and prices of one dex's markets; a missing price leaves the old one."""
    markets = dict(picture.markets)
    for coin, market in universe.markets.items():
        old = markets.get(coin)
        markets[coin] = market if old is None or market.mark_price else replace(market, mark_price=old.mark_price)
    foreign = picture.foreign_collateral - {dex}
    is_usdc = universe.collateral_token == 0
    return replace(picture, markets=markets, foreign_collateral=foreign if is_usdc else foreign | {dex})


def with_market(picture: Picture, push: MarketPush) -> Picture:
    """Return the picture after one coin's prices changed; what the push does not tell stays."""
    old = picture.markets.get(push.coin, Market())
    market = replace(
        old,
        mark_price=push.mark_price,
        oracle_price=old.oracle_price if push.oracle_price is None else push.oracle_price,
        funding_rate=old.funding_rate if push.funding_rate is None else push.funding_rate,
    )
    return replace(picture, markets={**picture.markets, push.coin: market})


def _cross(name: str, picture: Picture, dexes: Sequence[str]) -> Account:
    """Build a cross account over the first of `dexes` and those that share its collateral.

    Its balance is what makes equity at the venue's own marks equal the reported value.
    """
    degraded = list(picture.degraded)
    states = tuple(picture.states[dex] for dex in dexes)
    held = [one for each in states for one in each.held if not one.is_isolated]
    quote = picture.quote(dexes[0])
    balance, knows_balance = _balance(picture, states, quote, degraded)
    positions = tuple(_position(one, picture, degraded, knows_maintenance=knows_balance) for one in held)
    # Where collateral lives elsewhere, what a dex says of value and liquidation means nothing.
    is_told = picture.mode in (AccountMode.STANDARD, AccountMode.DEX_ABSTRACTION)
    is_told = is_told or (picture.mode is AccountMode.UNREAD and knows_balance)
    if not (is_told or knows_balance):
        positions = tuple(replace(one, venue_liquidation_price=None) for one in positions)
    maintenance = [each.cross_maintenance for each in states if each.cross_maintenance is not None]
    initial = [each.cross_initial for each in states if each.cross_initial is not None]
    resting = [picture.order_margin[dex] for dex in dexes if dex in picture.order_margin]
    account = Account(
        name,
        Kind.PERP,
        VENUE,
        mode=MarginMode.CROSS,
        quote=quote,
        balance=balance,
        positions=positions,
        reported=VenueReport(
            equity=states[0].cross_value if is_told else None,
            maintenance_requirement=sum(maintenance, _ZERO) if maintenance and (is_told or knows_balance) else None,
        ),
        degraded=tuple(dict.fromkeys(degraded)),
        venue=VENUE,
        note="; ".join(filter(None, (_NOTES.get(picture.mode, ""), _rules(held, picture)))),
        order_margin=sum(resting, _ZERO) if resting else None,
        initial_requirement=sum(initial, _ZERO) if initial else None,
    )
    return _by_ratio(account, picture.ratio) if picture.mode is AccountMode.PORTFOLIO else account


_NOTES = {
    AccountMode.UNIFIED: "unified account: spot USDC is the collateral",
    AccountMode.PORTFOLIO: "portfolio margin: liquidation by a ratio that only the venue computes",
}
_RULES = {
    "strictIsolated": "isolated only, and margin leaves only by closing",
    "noCross": "isolated only",
    "onlyIsolated": "isolated only",
}


def _rules(held: Sequence[Held], picture: Picture) -> str:
    """Return what the venue restricts about the margin of the positions held, in words."""
    told = ((one.coin, picture.markets.get(one.coin, Market()).rule) for one in held)
    return "; ".join(f"{coin}: {_RULES.get(rule, rule)}" for coin, rule in told if rule)


def _by_ratio(account: Account, ratio: Decimal | None) -> Account:
    """Return a portfolio-margin account whose health is the venue's: 0.95 / ratio, liquidated below 1.

    Its equity is taken as the requirement of the perps / ratio, so that our own arithmetic begins at the venue's
    figure and moves with the perps; where it cannot, the venue's figure stands alone.
    """
    account = replace(account, mode=MarginMode.PORTFOLIO)
    if ratio is None:
        return account
    account = replace(
        account,
        reported=VenueReport(health_factor=LIQUIDATED_AT / ratio if ratio else None),
        liquidation_multiple=1 / LIQUIDATED_AT,
        estimated=_PORTFOLIO,
        note="; ".join(filter(None, (f"portfolio margin ratio {ratio:f}, liquidated above 0.95", account.note))),
    )
    required = profit = _ZERO
    for one in account.positions:
        if not one.tiers or one.mark_price is None or one.entry_price is None:
            return replace(account, positions=tuple(replace(each, tiers=()) for each in account.positions))
        required += Curve(abs(one.quantity), one.tiers).requirement(one.mark_price)
        profit += one.quantity * (one.mark_price - one.entry_price)
    if required and not ratio:
        lacking = "portfolio margin ratio 0 beside open positions: liquidation unknown"
        return replace(
            account,
            positions=tuple(replace(each, tiers=()) for each in account.positions),
            degraded=(*account.degraded, lacking),
        )
    return replace(account, balance=required / ratio - profit) if required else account


def _balance(picture: Picture, states: Sequence[DexState], quote: str, degraded: list[str]) -> tuple[Decimal, bool]:
    """Return the cross wallet without unrealised profit, and whether the account's liquidation follows from it."""
    state = states[0]
    profit = sum((_profit(one) for one in state.held if not one.is_isolated), _ZERO)
    perp_balance = None if state.cross_value is None else state.cross_value - profit
    spot = None if picture.spot is None else picture.spot.get(quote)
    match picture.mode:
        case AccountMode.UNIFIED if spot is not None:
            isolated = [one.margin_used for each in states for one in each.held if one.is_isolated]
            if isolated:
                # The venue does not say whether the spot total still holds them: the smaller balance is the safe one.
                degraded.append("isolated margin is taken off the unified balance")
            return spot - sum((margin or _ZERO for margin in isolated), _ZERO), True
        case AccountMode.UNIFIED:
            degraded.append(f"unified account, but its spot {quote} balance was not read: liquidation unknown")
            return perp_balance or _ZERO, False
        case AccountMode.PORTFOLIO if picture.ratio is not None:
            return (perp_balance if spot is None else spot) or _ZERO, True
        case AccountMode.PORTFOLIO:
            degraded.append("portfolio margin: liquidation unknown, only the venue knows its ratio")
            return (perp_balance if spot is None else spot) or _ZERO, False
        case AccountMode.UNKNOWN:
            degraded.append("account mode of a new kind: liquidation unknown")
            return perp_balance or _ZERO, False
        case AccountMode.DEX_ABSTRACTION:
            degraded.append("dex abstraction: margin that dexes share is not counted")
        case AccountMode.UNREAD:
            degraded.append("account mode unread: taken as standard")
            if not state.cross_value and state.held:
                # A unified account shows no value here; taking that for its collateral would be a false alarm.
                degraded.append("positions without any account value: liquidation unknown")
                return perp_balance or _ZERO, False
        case AccountMode.STANDARD:
            pass
    if perp_balance is None:
        degraded.append("account value not reported: liquidation unknown")
    return perp_balance or _ZERO, perp_balance is not None


def _isolated(name: str, picture: Picture, held: Held) -> Account:
    """Build the account of one isolated position: equity = rawUsd + size x mark, so balance = rawUsd + size x entry."""
    degraded = list(picture.degraded)
    entry = held.entry_price if held.entry_price is not None else held.mark_price
    balance: Decimal | None = None
    if held.raw_usd is not None and entry is not None:
        balance = held.raw_usd + held.size * entry
    elif held.margin_used is not None:
        balance = held.margin_used - _profit(held)
    if balance is None:
        degraded.append("isolated margin not reported: liquidation unknown")
    return Account(
        f"{name}:{held.coin}",
        Kind.PERP,
        VENUE,
        mode=MarginMode.ISOLATED,
        quote=picture.quote(dex_of(held.coin)),
        balance=balance or _ZERO,
        positions=(_position(held, picture, degraded, knows_maintenance=balance is not None),),
        reported=VenueReport(equity=held.margin_used),
        degraded=tuple(dict.fromkeys(degraded)),
        venue=f"{VENUE} iso",
        note=_rules((held,), picture),
    )


def _position(held: Held, picture: Picture, degraded: list[str], *, knows_maintenance: bool) -> Position:
    market = picture.markets.get(held.coin, Market())
    mark = market.mark_price if market.mark_price is not None else held.mark_price
    tiers = market.tiers
    if not tiers and held.max_leverage is not None:
        tiers = flat_tier(held.max_leverage)
        degraded.append(f"margin tiers of {held.coin} unread: its first tier for all sizes")
    elif not tiers:
        degraded.append(f"margin tiers of {held.coin} unknown")
    if mark is None:
        degraded.append(f"no mark price of {held.coin}")
    if not held.knows_mode:
        degraded.append(f"margin mode of {held.coin} not told: taken as cross")
    return Position(
        held.coin,
        held.size,
        tiers if knows_maintenance else (),
        held.entry_price if held.entry_price is not None else held.mark_price,
        mark,
        funding_rate=market.funding_rate,
        margin_used=held.margin_used,
        venue_liquidation_price=held.liquidation_price,
        contract=held.coin,
        predicted_funding_rate=market.funding_rate,
        funding_paid=held.funding_paid,
    )


def _profit(held: Held) -> Decimal:
    """Return the unrealised profit at the venue's mark; 0 without an entry price, which then counts as the mark."""
    if held.mark_price is None or held.entry_price is None:
        return _ZERO
    return held.size * (held.mark_price - held.entry_price)
