"""dYdX v4's indexer wire: pure functions from bytes to what it says of subaccounts and markets.

Wire: docs.dydx.xyz, "Indexer API" (HTTP and WebSocket), and the same shapes in ccxt's static response tests (read
2026-11). Decimals come as strings; `size` is signed and `side` says the same again, so only one of them is applied.
"""

from collections.abc import Callable, Sequence, Set
from decimal import Decimal

import msgspec

from engine.record import record
from providers.errors import Malformed
from providers.http import decode
from providers.ws import Signal, SignalKind

VENUE = "dydx"
QUOTE = "USDC"
HOURS_PER_YEAR = 24 * 365
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


@record
class Market:
    """One market's rules and present oracle price; `funding_rate` is annual, of the hour under way."""

    ticker: str
    oracle_price: Decimal
    maintenance_rate: Decimal
    funding_rate: Decimal | None = None


@record
class Held:
    """One open position; `size` is signed. `funding_paid` is positive when it was paid, in USDC."""

    ticker: str
    size: Decimal
    entry_price: Decimal
    funding_paid: Decimal | None = None


@record
class Subaccount:
    """One subaccount: 0 to 127 are cross, from 128 on each backs one isolated position. `quote` is its signed USDC."""

    number: int
    equity: Decimal | None
    free_collateral: Decimal | None
    quote: Decimal
    held: tuple[Held, ...] = ()


@record
class OraclePush:
    """The oracle price of one market that arrived by WebSocket."""

    ticker: str
    price: Decimal


@record
class ChangePush:
    """The word that a subaccount changed; what it is now must be read."""


class _Position(msgspec.Struct, frozen=True):
    market: str
    size: Decimal
    side: str = ""
    status: str = "OPEN"
    entryPrice: Decimal | None = None
    netFunding: Decimal | None = None


class _AssetPosition(msgspec.Struct, frozen=True):
    size: Decimal
    symbol: str
    side: str


class _Subaccount(msgspec.Struct, frozen=True):
    subaccountNumber: int
    openPerpetualPositions: dict[str, _Position]
    assetPositions: dict[str, _AssetPosition]
    equity: Decimal | None = None
    freeCollateral: Decimal | None = None


class _Parent(msgspec.Struct, frozen=True):
    childSubaccounts: list[_Subaccount]


class _ParentReply(msgspec.Struct, frozen=True):
    subaccount: _Parent


class _Market(msgspec.Struct, frozen=True):
    oraclePrice: Decimal | None = None
    maintenanceMarginFraction: Decimal | None = None
    nextFundingRate: Decimal | None = None


class _Markets(msgspec.Struct, frozen=True):
    markets: dict[str, _Market]


class _OraclePrice(msgspec.Struct, frozen=True):
    oraclePrice: Decimal | None = None


class _Contents(msgspec.Struct, frozen=True):
    oraclePrices: dict[str, _OraclePrice] = {}


class _Frame(msgspec.Struct, frozen=True):
    type: str
    message_id: int | None = None
    channel: str = ""
    message: str = ""
    contents: msgspec.Raw = msgspec.Raw(b"{}")


def parse_subaccounts(raw: bytes) -> tuple[Subaccount, ...]:
    """Return a parent subaccount's children, the parent's own number among them; raises `Malformed`.

    A gap where holdings should be is no empty account: what the indexer documents as always present must be there.
    """
    children = decode(VENUE, "subaccount", raw, _ParentReply).subaccount.childSubaccounts
    return tuple(_subaccount(child) for child in children)


def _subaccount(child: _Subaccount) -> Subaccount:
    quote = Decimal(0)
    for asset in child.assetPositions.values():
        if asset.symbol != QUOTE:
            raise Malformed(VENUE, f"subaccount: an asset {asset.symbol[:16]} beside {QUOTE}")
        if asset.side not in ("LONG", "SHORT"):
            raise Malformed(VENUE, f"subaccount: {QUOTE} that is {asset.side[:16]!r}")
        quote += _signed(asset.size, asset.side)
    held = tuple(_held(each) for each in child.openPerpetualPositions.values() if each.status == "OPEN" and each.size)
    return Subaccount(
        child.subaccountNumber,
        _finite(child.equity, "equity"),
        _finite(child.freeCollateral, "free collateral"),
        quote,
        held,
    )


def _held(position: _Position) -> Held:
    entry, paid = position.entryPrice, position.netFunding
    if entry is None or not (entry.is_finite() and entry > 0):
        raise Malformed(VENUE, f"subaccount: {position.market[:24]} without an entry price")
    _finite(paid, "net funding")
    return Held(position.market, _signed(position.size, position.side), entry, None if paid is None else -paid)


def _signed(size: Decimal, side: str) -> Decimal:
    if not size.is_finite():
        raise Malformed(VENUE, "subaccount: a size that is no number")
    return -abs(size) if side == "SHORT" else abs(size) if side == "LONG" else size


def _finite(value: Decimal | None, what: str) -> Decimal | None:
    if value is not None and not value.is_finite():
        raise Malformed(VENUE, f"{what} is no number")
    return value


def parse_markets(raw: bytes) -> dict[str, Market]:
    """Return every market that has an oracle price and a maintenance fraction, by ticker; raises `Malformed`."""
    found: dict[str, Market] = {}
    for ticker, market in decode(VENUE, "perpetualMarkets", raw, _Markets).markets.items():
        price, rate, funding = market.oraclePrice, market.maintenanceMarginFraction, market.nextFundingRate
        if price is None or rate is None:
            continue
        if not (price.is_finite() and price > 0 and rate.is_finite() and 0 < rate < 1):
            raise Malformed(VENUE, f"perpetualMarkets: {ticker[:24]} has price {price} and maintenance {rate}")
        annual = None if funding is None or not funding.is_finite() else funding * HOURS_PER_YEAR
        found[ticker] = Market(ticker, price, rate, annual)
    return found


def parse_frame(raw: bytes, wanted: Set[str]) -> Sequence[OraclePush | ChangePush | Signal]:
    """Return what one WebSocket frame says of the `wanted` markets and of the subaccount; raises `Malformed`."""
    return _said(decode(VENUE, "websocket", raw, _Frame), wanted)


def frame_parser(wanted: Set[str]) -> Callable[[bytes, int], Sequence[OraclePush | ChangePush | Signal]]:
    """Return a parser for one connection: a frame that is no younger than one before it says nothing.

    Frames are numbered by `message_id` from the connection's start (docs.dydx.xyz, "Indexer API, WebSockets").
    """
    last = -1

    def parse(raw: bytes, _: int) -> Sequence[OraclePush | ChangePush | Signal]:
        nonlocal last
        frame = decode(VENUE, "websocket", raw, _Frame)
        if frame.message_id is not None:
            if frame.message_id <= last:
                return ()
            last = frame.message_id
        return _said(frame, wanted)

    return parse


def _said(frame: _Frame, wanted: Set[str]) -> Sequence[OraclePush | ChangePush | Signal]:
    if frame.type == "error":
        return (Signal(SignalKind.REJECTED, frame.message),)
    if frame.type not in ("channel_data", "channel_batch_data"):
        return (Signal(SignalKind.ALIVE),)
    if frame.channel != "v4_markets":
        return (ChangePush(),)
    contents = bytes(frame.contents)
    is_batch = frame.type == "channel_batch_data"
    parts = decode(VENUE, "v4_markets", contents if is_batch else b"[" + contents + b"]", list[_Contents])
    prices: dict[str, Decimal] = {}
    for part in parts:
        for ticker in part.oraclePrices.keys() & wanted:
            price = part.oraclePrices[ticker].oraclePrice
            if price is None or not (price.is_finite() and price > 0):
                raise Malformed(VENUE, f"v4_markets: {ticker[:24]} at {price}")
            prices[ticker] = price
    return tuple(OraclePush(*told) for told in prices.items()) or (Signal(SignalKind.ALIVE),)


def is_address(text: str) -> bool:
    """Return whether `text` is an address of the chain: bech32 (BIP 173) of 20 bytes, checksum included."""
    prefix, separator, data = text.rpartition("1")
    if (prefix, separator, len(data)) != ("dydx", "1", 38) or not set(data) <= set(_BECH32):
        return False
    values = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix] + [_BECH32.index(c) for c in data]
    check = 1
    for value in values:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            check ^= generator if top >> bit & 1 else 0
    return check == 1


def base_of(ticker: str) -> str:
    """Return our asset of a market ("BTC-USD" is of BTC; a chain's token comes as "SYMBOL,DEX,ADDRESS-USD")."""
    return ticker.removesuffix("-USD").partition(",")[0]
