"""USD-M futures account wire: pure functions from bytes to what Binance says of one account and its symbols.

Wire: developers.binance.com, "USDS-M Futures" REST API (read 2026-11): `/fapi/v3/account`, `/fapi/v3/positionRisk`,
`/fapi/v1/accountConfig`, `/fapi/v1/symbolConfig`, `/fapi/v1/leverageBracket`, `/fapi/v1/premiumIndex`,
`/fapi/v1/fundingInfo`, `/fapi/v1/assetIndex`, `/fapi/v1/depth`. Fields come and go: all but symbol and amount of a
position are optional, unknown ones are ignored. Shapes of portfolio margin rows differ only in what they leave out.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

import msgspec

from engine.accounts import Tier
from engine.depth import Depth, Level
from engine.record import record
from providers.binance_futures.numbers import ABSENT, VENUE, finite, name, number, price, read, required
from providers.errors import Malformed
from providers.margin_tiers import continuous_tiers

BOTH, LONG, SHORT = "BOTH", "LONG", "SHORT"
_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "USD1", "BTC", "ETH", "U")
_ZERO = Decimal(0)
_HOURS_PER_YEAR = 24 * 365
_FUNDING_HOURS = 8
T = TypeVar("T")

Place = tuple[str, str]
"""A symbol and its position side ("BOTH" in one-way mode): what the venue holds one position by."""


@record
class Held:
    """One open position as the venue reports it, `amount` signed. `isolated_wallet` is its own cash, 0 when cross."""

    symbol: str
    side: str
    amount: Decimal
    margin_asset: str
    entry_price: Decimal | None = None
    mark_price: Decimal | None = None
    liquidation_price: Decimal | None = None
    isolated_margin: Decimal | None = None
    isolated_wallet: Decimal | None = None
    margin_used: Decimal | None = None
    maintenance: Decimal | None = None
    adl: int | None = None

    @property
    def place(self) -> Place:
        """Return symbol and side."""
        return self.symbol, self.side

    @property
    def asset(self) -> str:
        """Return the base asset ("BTC" of BTCUSDT, BTCUSDT_270326)."""
        return base_of(self.symbol, self.margin_asset)


@record
class Purse:
    """One coin of the futures wallet. `cross_wallet` excludes profits not yet realised, which are `cross_profit`."""

    asset: str
    wallet: Decimal | None = None
    cross_wallet: Decimal | None = None
    cross_profit: Decimal | None = None
    maintenance: Decimal | None = None
    initial: Decimal | None = None
    order_margin: Decimal | None = None
    available: Decimal | None = None


@record
class State:
    """The futures wallet: purses by coin, totals over all (in USD with several assets), marks that they are at."""

    purses: Mapping[str, Purse]
    total: Purse
    marks: Mapping[Place, Decimal]


@record
class Modes:
    """How the account is set: one purse per margin asset or all together, and whether long and short stand apart."""

    is_multi_asset: bool
    is_hedged: bool


@record
class Funding:
    """A symbol's prices and the rate of its next funding. `rate` is per interval, `next_ns` when it is due."""

    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    rate: Decimal | None = None
    next_ns: int | None = None


@record
class AssetIndex:
    """A coin's price in USD with several assets as margin, and the fractions by which it counts less, or costs more."""

    price: Decimal
    bid_buffer: Decimal
    ask_buffer: Decimal


class _Position(msgspec.Struct, frozen=True):
    symbol: str
    positionAmt: msgspec.Raw
    positionSide: str = BOTH
    marginAsset: str = ""
    entryPrice: msgspec.Raw = ABSENT
    markPrice: msgspec.Raw = ABSENT
    liquidationPrice: msgspec.Raw = ABSENT
    isolatedMargin: msgspec.Raw = ABSENT
    isolatedWallet: msgspec.Raw = ABSENT
    positionInitialMargin: msgspec.Raw = ABSENT
    maintMargin: msgspec.Raw = ABSENT
    notional: msgspec.Raw = ABSENT
    adl: msgspec.Raw = ABSENT


class _Asset(msgspec.Struct, frozen=True):
    asset: str
    walletBalance: msgspec.Raw = ABSENT
    crossWalletBalance: msgspec.Raw = ABSENT
    crossUnPnl: msgspec.Raw = ABSENT
    maintMargin: msgspec.Raw = ABSENT
    initialMargin: msgspec.Raw = ABSENT
    openOrderInitialMargin: msgspec.Raw = ABSENT
    availableBalance: msgspec.Raw = ABSENT


class _Account(msgspec.Struct, frozen=True):
    assets: list[_Asset]
    positions: list[_Position] = []
    totalWalletBalance: msgspec.Raw = ABSENT
    totalCrossWalletBalance: msgspec.Raw = ABSENT
    totalCrossUnPnl: msgspec.Raw = ABSENT
    totalMaintMargin: msgspec.Raw = ABSENT
    totalInitialMargin: msgspec.Raw = ABSENT
    totalOpenOrderInitialMargin: msgspec.Raw = ABSENT
    availableBalance: msgspec.Raw = ABSENT


class _Config(msgspec.Struct, frozen=True):
    multiAssetsMargin: bool = False
    dualSidePosition: bool = False


class _SymbolConfig(msgspec.Struct, frozen=True):
    symbol: str
    marginType: str = ""


class _Bracket(msgspec.Struct, frozen=True):
    notionalFloor: msgspec.Raw
    maintMarginRatio: msgspec.Raw


class _Brackets(msgspec.Struct, frozen=True):
    symbol: str
    brackets: list[_Bracket] = []


class _Premium(msgspec.Struct, frozen=True):
    symbol: str
    markPrice: msgspec.Raw = ABSENT
    indexPrice: msgspec.Raw = ABSENT
    lastFundingRate: msgspec.Raw = ABSENT
    nextFundingTime: int = 0


class _FundingInfo(msgspec.Struct, frozen=True):
    symbol: str
    fundingIntervalHours: int = _FUNDING_HOURS


class _AssetIndex(msgspec.Struct, frozen=True):
    symbol: str
    index: msgspec.Raw
    bidBuffer: msgspec.Raw = ABSENT
    askBuffer: msgspec.Raw = ABSENT


class _Depth(msgspec.Struct, frozen=True):
    bids: list[tuple[msgspec.Raw, msgspec.Raw]] = []
    asks: list[tuple[msgspec.Raw, msgspec.Raw]] = []


def base_of(symbol: str, margin_asset: str = "") -> str:
    """Return the base asset of a symbol; one that ends in no known quote is its own name."""
    pair = symbol.partition("_")[0]
    for quote in (margin_asset, *_QUOTES):
        if quote and pair.endswith(quote) and pair != quote:
            return pair.removesuffix(quote)
    return pair


def quote_of(symbol: str) -> str:
    """Return the currency that a symbol is quoted in, "USD" when its name does not tell."""
    pair = symbol.partition("_")[0]
    return next((quote for quote in _QUOTES if pair.endswith(quote) and pair != quote), "USD")


def parse_positions(raw: bytes) -> tuple[Held, ...]:
    """Return the open positions of a `positionRisk` reply; rows without a position are left out. Raises `Malformed`."""
    return tuple(found for row in read("positionRisk", raw, list[_Position]) if (found := _held(row)))


def parse_account(raw: bytes) -> State:
    """Return an `account` reply; raises `Malformed`."""
    wire = read("account", raw, _Account)
    purses = {name(row.asset): _purse(row) for row in wire.assets}
    marks: dict[Place, Decimal] = {}
    for row in wire.positions:
        amount, value = number(row.positionAmt, "position"), number(row.notional, "notional")
        if amount and value:
            marks[name(row.symbol), row.positionSide] = abs(value / amount)
    total = Purse(
        "",
        number(wire.totalWalletBalance, "total wallet balance"),
        number(wire.totalCrossWalletBalance, "total cross wallet balance"),
        number(wire.totalCrossUnPnl, "total cross profit"),
        number(wire.totalMaintMargin, "total maintenance margin"),
        number(wire.totalInitialMargin, "total initial margin"),
        number(wire.totalOpenOrderInitialMargin, "total order margin"),
        number(wire.availableBalance, "available balance"),
    )
    return State(purses, total, marks)


def parse_modes(raw: bytes) -> Modes:
    """Return an `accountConfig` reply; raises `Malformed`."""
    wire = read("accountConfig", raw, _Config)
    return Modes(wire.multiAssetsMargin, wire.dualSidePosition)


def parse_isolated(raw: bytes) -> Mapping[str, bool]:
    """Return by symbol whether it is set to isolated margin, of a `symbolConfig` reply; raises `Malformed`."""
    rows = _one_or_many(raw, "symbolConfig", _SymbolConfig)
    return {name(row.symbol): row.marginType.upper() == "ISOLATED" for row in rows if row.marginType}


def parse_brackets(raw: bytes) -> Mapping[str, tuple[Tier, ...]]:
    """Return maintenance tiers by symbol of a `leverageBracket` reply, one object or a list; raises `Malformed`.

    The deductions are made to join the tiers continuously, which is what the venue's own `cum` does.
    """
    found: dict[str, tuple[Tier, ...]] = {}
    for row in _one_or_many(raw, "leverageBracket", _Brackets):
        symbol = name(row.symbol)
        steps = [
            (required(each.notionalFloor, f"bracket of {symbol}"), required(each.maintMarginRatio, f"rate of {symbol}"))
            for each in row.brackets
        ]
        try:
            found[symbol] = continuous_tiers(steps)
        except ValueError as error:
            raise Malformed(VENUE, f"leverageBracket of {symbol}: {error}") from error
    return found


def parse_premiums(raw: bytes) -> Mapping[str, Funding]:
    """Return prices and next funding by symbol of a `premiumIndex` reply, one object or a list; raises `Malformed`."""
    return {
        name(row.symbol): Funding(
            price(row.markPrice, f"mark price of {name(row.symbol)}"),
            price(row.indexPrice, f"index price of {name(row.symbol)}"),
            number(row.lastFundingRate, f"funding rate of {name(row.symbol)}"),
            row.nextFundingTime * 1_000_000 if row.nextFundingTime > 0 else None,
        )
        for row in _one_or_many(raw, "premiumIndex", _Premium)
    }


def parse_funding_hours(raw: bytes) -> Mapping[str, int]:
    """Return the hours between two fundings by symbol, of those that are not 8; raises `Malformed`."""
    rows = read("fundingInfo", raw, list[_FundingInfo])
    return {name(row.symbol): row.fundingIntervalHours for row in rows if row.fundingIntervalHours > 0}


def annual(rate: Decimal | None, hours: int | None) -> Decimal | None:
    """Return a funding rate per interval as an annual fraction; the interval is 8 hours unless told otherwise."""
    return None if rate is None else rate * _HOURS_PER_YEAR / (hours or _FUNDING_HOURS)


def parse_asset_indexes(raw: bytes) -> Mapping[str, AssetIndex]:
    """Return what coins count for, by coin, of an `assetIndex` reply ("BTCUSD" is BTC in USD); raises `Malformed`."""
    found: dict[str, AssetIndex] = {}
    for row in _one_or_many(raw, "assetIndex", _AssetIndex):
        asset = name(row.symbol).removesuffix("USD")
        index = price(row.index, f"index of {asset}")
        if index is not None:
            bid = number(row.bidBuffer, f"buffer of {asset}") or _ZERO
            ask = number(row.askBuffer, f"buffer of {asset}") or _ZERO
            if not (0 <= bid < 1 and 0 <= ask < 1):
                raise Malformed(VENUE, f"buffer of {asset}: not a fraction")
            found[asset] = AssetIndex(index, bid, ask)
    return found


def parse_depth(raw: bytes, contract: str, observed_at_ns: int) -> Depth:
    """Return the order book of a `depth` reply; raises `Malformed`."""
    wire = read("depth", raw, _Depth)
    return Depth(
        VENUE,
        contract,
        base_of(contract),
        tuple(_level(*row) for row in wire.bids),
        tuple(_level(*row) for row in wire.asks),
        observed_at_ns,
        quote_of(contract),
    )


def _held(row: _Position) -> Held | None:
    symbol = name(row.symbol)
    amount = required(row.positionAmt, f"position in {symbol}")
    if amount == 0:
        return None
    if row.positionSide not in (BOTH, LONG, SHORT):
        raise Malformed(VENUE, f"position in {symbol}: side {name(row.positionSide)}")
    adl = number(row.adl, f"adl of {symbol}")
    return Held(
        symbol,
        row.positionSide,
        -abs(amount) if row.positionSide == SHORT else amount,
        name(row.marginAsset) if row.marginAsset else quote_of(symbol),
        price(row.entryPrice, f"entry price of {symbol}"),
        price(row.markPrice, f"mark price of {symbol}") or _mark_of(row, amount, symbol),
        price(row.liquidationPrice, f"liquidation price of {symbol}"),
        number(row.isolatedMargin, f"isolated margin of {symbol}"),
        number(row.isolatedWallet, f"isolated wallet of {symbol}"),
        number(row.positionInitialMargin, f"margin of {symbol}"),
        number(row.maintMargin, f"maintenance of {symbol}"),
        int(adl) if adl is not None and 0 <= adl <= 4 else None,
    )


def _mark_of(row: _Position, amount: Decimal, symbol: str) -> Decimal | None:
    value = number(row.notional, f"notional of {symbol}")
    return abs(value / amount) if value else None


def _purse(row: _Asset) -> Purse:
    asset = name(row.asset)
    return Purse(
        asset,
        number(row.walletBalance, f"balance of {asset}"),
        number(row.crossWalletBalance, f"cross balance of {asset}"),
        number(row.crossUnPnl, f"cross profit in {asset}"),
        number(row.maintMargin, f"maintenance in {asset}"),
        number(row.initialMargin, f"initial margin in {asset}"),
        number(row.openOrderInitialMargin, f"order margin in {asset}"),
        number(row.availableBalance, f"available {asset}"),
    )


def _level(at: msgspec.Raw, quantity: msgspec.Raw) -> Level:
    level = Level(required(at, "price in book"), required(quantity, "quantity in book"))
    if level.price <= 0 or finite(level.quantity, "quantity in book") < 0:
        raise Malformed(VENUE, "depth: a price or quantity is not positive")
    return level


def _one_or_many(raw: bytes, place: str, into: type[T]) -> list[T]:
    """Return the rows of a reply that is a list, or one object where one symbol was asked for."""
    if raw.lstrip().startswith(b"["):
        return read(place, raw, list[into])  # type: ignore[valid-type]  # a type that is only known here
    return [read(place, raw, into)]
