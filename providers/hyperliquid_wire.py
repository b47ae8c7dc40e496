"""Hyperliquid's account wire: pure functions from bytes to what the venue says of one user and its markets.

Wire: hyperliquid.gitbook.io, "Info endpoint", "Perpetuals", "Subscriptions", "Margin tiers", "Liquidations" (read
2026-11); the same shapes in nautechsystems/nautilus_trader and ccxt fixtures. Decimals come as strings, old recordings
lack fields, new servers add some: everything but a position's coin and size is optional, unknown fields are ignored.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.accounts import Tier
from engine.record import record
from providers.errors import Malformed
from providers.http import decode
from providers.margin_tiers import continuous_tiers

VENUE = "hyperliquid"
NEEDED = "an API wallet of the account, or its own key"
"""Who may sign what moves margin within an account."""
_HOURS_PER_YEAR = 24 * 365
_ZERO = Decimal(0)
# Ids below this are not tables: they are the maximum leverage of one flat tier.
_FIRST_TABLE = 50


class AccountMode(StrEnum):
    """Where a user's collateral lives, as `userAbstraction` says; `UNREAD` when it would not say."""

    STANDARD = "standard"
    UNIFIED = "unifiedAccount"
    PORTFOLIO = "portfolioMargin"
    DEX_ABSTRACTION = "dexAbstraction"
    UNREAD = "unread"
    UNKNOWN = "unknown"


@record
class Market:
    """One coin's rules and present prices. `funding_rate` is annual; `tiers` is empty when they are unknown.

    `size_decimals` is the step of quantities, `None` when it was not told. `rule` is the venue's word for a restricted
    margin ("strictIsolated": what was put in leaves only by closing; "noCross": isolated only), "" without one.
    """

    tiers: tuple[Tier, ...] = ()
    mark_price: Decimal | None = None
    oracle_price: Decimal | None = None
    funding_rate: Decimal | None = None
    size_decimals: int | None = None
    rule: str = ""
    is_delisted: bool = False


@record
class Held:
    """One open position as the venue reports it. `raw_usd` is an isolated position's cash, negative for a long.

    `knows_mode` says that the venue told whether it is isolated; taken as cross it might look safer than it is.
    `funding_paid` is since the position was opened, negative when received; `leverage` is what its owner chose.
    """

    coin: str
    size: Decimal
    is_isolated: bool
    entry_price: Decimal | None
    mark_price: Decimal | None
    margin_used: Decimal | None
    raw_usd: Decimal | None
    liquidation_price: Decimal | None
    max_leverage: Decimal | None
    knows_mode: bool = True
    funding_paid: Decimal | None = None
    leverage: Decimal | None = None


@record
class DexState:
    """A user's clearinghouse on one dex. `cross_value` includes unrealised profit; `None` when it was not reported.

    `time_ms` is the venue's own time of it, where it tells one. `cross_initial` is the initial margin that the cross
    positions use.
    """

    held: tuple[Held, ...] = ()
    cross_value: Decimal | None = None
    cross_maintenance: Decimal | None = None
    time_ms: int | None = None
    cross_initial: Decimal | None = None

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing here: no position and no value."""
        return not self.held and not self.cross_value


@record
class StatePush:
    """A clearinghouse state that arrived by WebSocket."""

    dex: str
    state: DexState


@record
class MarketPush:
    """A coin's prices that arrived by WebSocket."""

    coin: str
    mark_price: Decimal
    oracle_price: Decimal | None
    funding_rate: Decimal | None


class _Leverage(msgspec.Struct, frozen=True):
    type: str = ""
    value: Decimal | None = None
    rawUsd: Decimal | None = None


class _CumFunding(msgspec.Struct, frozen=True):
    sinceOpen: Decimal | None = None


class _Position(msgspec.Struct, frozen=True):
    coin: str
    szi: Decimal
    leverage: _Leverage = _Leverage()
    entryPx: Decimal | None = None
    positionValue: Decimal | None = None
    liquidationPx: Decimal | None = None
    marginUsed: Decimal | None = None
    maxLeverage: Decimal | None = None
    cumFunding: _CumFunding = _CumFunding()


class _AssetPosition(msgspec.Struct, frozen=True):
    position: _Position


class _Summary(msgspec.Struct, frozen=True):
    accountValue: Decimal | None = None
    totalMarginUsed: Decimal | None = None


class _State(msgspec.Struct, frozen=True):
    assetPositions: list[_AssetPosition]
    marginSummary: _Summary | None = None
    crossMarginSummary: _Summary | None = None
    crossMaintenanceMarginUsed: Decimal | None = None
    time: int | None = None


class _Coin(msgspec.Struct, frozen=True):
    name: str
    maxLeverage: Decimal | None = None
    marginTableId: int | None = None
    szDecimals: int | None = None
    onlyIsolated: bool = False
    marginMode: str = ""
    isDelisted: bool = False


class _MarginTier(msgspec.Struct, frozen=True):
    lowerBound: Decimal
    maxLeverage: Decimal


class _MarginTable(msgspec.Struct, frozen=True):
    marginTiers: list[_MarginTier] = []


class _Meta(msgspec.Struct, frozen=True):
    universe: list[_Coin]
    marginTables: list[tuple[int, _MarginTable]] = []
    collateralToken: int = 0


class _Context(msgspec.Struct, frozen=True):
    markPx: Decimal | None = None
    oraclePx: Decimal | None = None
    funding: Decimal | None = None


class _Frame(msgspec.Struct, frozen=True):
    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class _StateData(msgspec.Struct, frozen=True):
    clearinghouseState: _State
    user: str = ""
    dex: str = ""


class _ContextData(msgspec.Struct, frozen=True):
    coin: str
    ctx: _Context


@record
class Universe:
    """The markets of one dex by coin, and the number of the token that is its collateral (0 is USDC)."""

    markets: Mapping[str, Market]
    collateral_token: int = 0


def dex_of(coin: str) -> str:
    """Return the dex that a coin is traded on: a builder-deployed one stands before the colon, "" is the main one."""
    return coin.partition(":")[0] if ":" in coin else ""


def flat_tier(max_leverage: Decimal) -> tuple[Tier, ...]:
    """Return the one tier of a coin without a table: maintenance is half of the initial margin at full leverage."""
    return continuous_tiers([(_ZERO, 1 / (2 * max_leverage))])


def parse_state(raw: bytes) -> DexState:
    """Return a `clearinghouseState` reply; raises `Malformed`."""
    return _dex_state(decode(VENUE, "clearinghouseState", raw, _State))


def parse_universe(raw: bytes) -> Universe:
    """Return a `metaAndAssetCtxs` reply, or a bare `meta` one (without prices and funding); raises `Malformed`."""
    if raw.lstrip().startswith(b"["):
        meta, contexts = decode(VENUE, "metaAndAssetCtxs", raw, tuple[_Meta, list[_Context]])
    else:
        meta, contexts = decode(VENUE, "meta", raw, _Meta), []
    tables = dict(meta.marginTables)
    markets: dict[str, Market] = {}
    for index, coin in enumerate(meta.universe):
        context = contexts[index] if index < len(contexts) else _Context()
        rule = clean(coin.marginMode) if coin.marginMode else "onlyIsolated" if coin.onlyIsolated else ""
        market = _market(coin.name, _tiers(coin, tables), context)
        markets[clean(coin.name)] = replace(market, size_decimals=_step(coin), rule=rule, is_delisted=coin.isDelisted)
    return Universe(markets, meta.collateralToken)


def parse_mode(raw: bytes) -> AccountMode:
    """Return a `userAbstraction` reply; a word that we do not know is `UNKNOWN`. Raises `Malformed`."""
    said = "" if raw.strip() == b"null" else decode(VENUE, "userAbstraction", raw, str)
    if said in ("", "default", "disabled"):
        return AccountMode.STANDARD
    known = (AccountMode.UNIFIED, AccountMode.PORTFOLIO, AccountMode.DEX_ABSTRACTION)
    return next((mode for mode in known if mode.value == said), AccountMode.UNKNOWN)


def parse_push(raw: bytes, user: str) -> StatePush | MarketPush | str | None:
    """Return what a WebSocket frame brings of `user`, the venue's words if it is an error, `None` if nothing.

    Raises `Malformed`.
    """
    frame = decode(VENUE, "frame", raw, _Frame)
    match frame.channel:
        case "clearinghouseState" | "webData2":
            pushed = decode(VENUE, frame.channel, bytes(frame.data), _StateData)
            if pushed.user and pushed.user.lower() != user:
                return None
            return StatePush(pushed.dex, _dex_state(pushed.clearinghouseState))
        case "activeAssetCtx":
            update = decode(VENUE, frame.channel, bytes(frame.data), _ContextData)
            market = _market(update.coin, (), update.ctx)
            if market.mark_price is None:
                return None
            return MarketPush(clean(update.coin), market.mark_price, market.oracle_price, market.funding_rate)
        case "error":
            words = decode(VENUE, "error", bytes(frame.data), str)
            return "".join(c for c in words if c.isprintable())[:160] or "error without a word"
        case _:
            return None


def _dex_state(wire: _State) -> DexState:
    held = tuple(_held(each.position) for each in wire.assetPositions if each.position.szi != 0)
    if wire.crossMarginSummary is not None and wire.crossMarginSummary.accountValue is not None:
        cross_value: Decimal | None = finite(wire.crossMarginSummary.accountValue, "cross account value")
    elif wire.marginSummary is not None and wire.marginSummary.accountValue is not None:
        isolated = sum((one.margin_used or _ZERO for one in held if one.is_isolated), _ZERO)
        cross_value = finite(wire.marginSummary.accountValue, "account value") - isolated
    else:
        cross_value = None
    maintenance = wire.crossMaintenanceMarginUsed
    maintenance = None if maintenance is None else finite(maintenance, "maintenance margin")
    initial = None if wire.crossMarginSummary is None else wire.crossMarginSummary.totalMarginUsed
    return DexState(held, cross_value, maintenance, wire.time, _optional(initial, "margin used"))


def _held(wire: _Position) -> Held:
    coin = clean(wire.coin)
    size = finite(wire.szi, f"size of {coin}")
    value = _optional(wire.positionValue, f"value of {coin}")
    if value is not None and value < 0:
        raise Malformed(VENUE, f"value of {coin}: negative")
    liquidation = _optional(wire.liquidationPx, f"liquidation price of {coin}")
    return Held(
        coin=coin,
        size=size,
        is_isolated=wire.leverage.type == "isolated",
        entry_price=_positive(wire.entryPx, f"entry price of {coin}"),
        mark_price=value / abs(size) if value else None,
        margin_used=_optional(wire.marginUsed, f"margin of {coin}"),
        raw_usd=_optional(wire.leverage.rawUsd, f"rawUsd of {coin}"),
        liquidation_price=liquidation if liquidation is not None and liquidation > 0 else None,
        max_leverage=_leverage(wire.maxLeverage, coin),
        knows_mode=wire.leverage.type in ("cross", "isolated"),
        funding_paid=_optional(wire.cumFunding.sinceOpen, f"funding of {coin}"),
        leverage=_positive(wire.leverage.value, f"leverage of {coin}"),
    )


def _market(coin: str, tiers: tuple[Tier, ...], context: _Context) -> Market:
    funding = _optional(context.funding, f"funding of {clean(coin)}")
    return Market(
        tiers,
        _positive(context.markPx, f"mark price of {clean(coin)}"),
        _positive(context.oraclePx, f"oracle price of {clean(coin)}"),
        None if funding is None else funding * _HOURS_PER_YEAR,
    )


def _tiers(coin: _Coin, tables: Mapping[int, _MarginTable]) -> tuple[Tier, ...]:
    """Return a coin's tiers: maintenance is half of the initial margin at the tier's maximum leverage."""
    table = tables.get(coin.marginTableId) if coin.marginTableId is not None else None
    try:
        if table is not None and table.marginTiers:
            return continuous_tiers((tier.lowerBound, 1 / (2 * tier.maxLeverage)) for tier in table.marginTiers)
        if coin.marginTableId is not None and 0 < coin.marginTableId < _FIRST_TABLE:
            return flat_tier(Decimal(coin.marginTableId))
        if coin.marginTableId is None and coin.maxLeverage is not None:
            return flat_tier(coin.maxLeverage)
    except (ValueError, ArithmeticError) as error:
        raise Malformed(VENUE, f"margin tiers of {clean(coin.name)}: {error}") from error
    return ()


def _step(coin: _Coin) -> int | None:
    if coin.szDecimals is not None and not 0 <= coin.szDecimals <= 18:
        raise Malformed(VENUE, f"szDecimals of {clean(coin.name)}: not within 0 and 18")
    return coin.szDecimals


def _leverage(value: Decimal | None, coin: str) -> Decimal | None:
    if value is not None and not 1 <= finite(value, f"max leverage of {coin}") <= 1000:
        raise Malformed(VENUE, f"max leverage of {coin}: not within 1 and 1000")
    return value


def finite(value: Decimal, what: str) -> Decimal:
    if not value.is_finite() or abs(value.adjusted()) > 40:
        raise Malformed(VENUE, f"{what}: not a finite number of sane size")
    return value


def _optional(value: Decimal | None, what: str) -> Decimal | None:
    return None if value is None else finite(value, what)


def _positive(value: Decimal | None, what: str) -> Decimal | None:
    """Return a price or a leverage; 0 says that there is none. Raises `Malformed` below 0."""
    if value is None or finite(value, what) == 0:
        return None
    if value < 0:
        raise Malformed(VENUE, f"{what}: negative")
    return value


def clean(coin: str) -> str:
    """Return a coin's name as bounded printable ASCII: it is text of the venue."""
    return "".join(c for c in coin if c.isascii() and c.isprintable())[:24] or "?"
