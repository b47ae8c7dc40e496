"""What the desk asks of the outside world: one small Protocol per capability, satisfied by shape.

Iterators never end by themselves and never raise for a lost link: they yield a `LinkChange` and reconnect. They raise
only `Refused`/`Unauthorised` (asking again is useless) or `asyncio.CancelledError`.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import field
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from engine.accounts import Account, Kind
from engine.depth import Depth
from engine.options import OptionQuote
from engine.prices import OraclePrice
from engine.record import record
from providers.credentials import Credentials


class LinkState(StrEnum):
    """State of one source. `DEGRADED`: answers, but something is wrong with what it says."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALE = "stale"
    DEGRADED = "degraded"
    DOWN = "down"


@record
class LinkChange:
    """A source's link changed; `detail` is one line for a human, `retry_at_ns` when the next try is due.

    `dropped` counts since the start what never reached the desk: unreadable frames, and old ticks that a slow reader
    skipped. A change may repeat the present state to tell a new detail or count. `is_unauthorised`: a key is at fault.
    """

    source: str
    state: LinkState
    at_ns: int
    detail: str = ""
    retry_at_ns: int | None = None
    dropped: int = 0
    is_unauthorised: bool = False


@record
class PriceTick:
    """One venue's quote of one of our assets. `quote_currency` is what the venue quotes in ("USD", "USDT", "USDC")."""

    venue: str
    asset: str
    bid: Decimal
    ask: Decimal
    observed_at_ns: int
    quote_currency: str = "USD"


@record
class Reading:
    """All accounts of one configured account, read at one moment (one block for a chain).

    `observed_at_ns` is our clock at arrival. `block_number`/`block_time_ns` are set for chains. `degraded` names
    what is wrong with the reading as a whole. `marks` are trigger prices that came along, by asset.
    `blocks_on_demand` says that the chain makes blocks only for transactions (a local one): an old block is then new.
    `warnings` are for the owner and say nothing against the figures (a key that may withdraw, a clock that is off).
    """

    source: str
    accounts: tuple[Account, ...]
    observed_at_ns: int
    block_number: int | None = None
    block_time_ns: int | None = None
    degraded: tuple[str, ...] = ()
    marks: Mapping[str, OraclePrice] = field(default_factory=dict)
    blocks_on_demand: bool = False
    warnings: tuple[str, ...] = ()


class PriceFeed(Protocol):
    """Streams quotes of one venue."""

    @property
    def venue(self) -> str:
        """Return the venue's short name, as in `[prices] venues`."""

    @property
    def stale_after_s(self) -> float:
        """Return the age beyond which this venue's quotes leave the consensus."""

    def supports(self, asset: str) -> bool:
        """Return whether this venue can quote `asset`."""

    def ticks(self, assets: frozenset[str]) -> AsyncIterator[PriceTick | LinkChange]:
        """Yield quotes and link changes for ever; a REST snapshot first and after every reconnect."""

    async def snapshot(self, assets: frozenset[str]) -> Sequence[PriceTick]:
        """Return one REST quote per asset; raises `ProviderError`."""


class PositionSource(Protocol):
    """Reads the accounts behind one `[[account]]` of the config."""

    @property
    def name(self) -> str:
        """Return the configured account name; every `Account.name` is it, or starts with it and a colon."""

    @property
    def stale_after_s(self) -> float:
        """Return the age beyond which a reading no longer vouches for its figures."""

    async def read(self) -> Reading:
        """Return one reading now; raises `ProviderError`."""

    def watch(self) -> AsyncIterator[Reading | LinkChange]:
        """Yield a reading at start and whenever something changed (a block, a push, a poll), and link changes."""


class HistorySource(Protocol):
    """Past prices of one venue, for volatility."""

    async def daily_closes(self, asset: str, days: int) -> Sequence[Decimal]:
        """Return daily closes, oldest first; raises `ProviderError`."""


class DepthSource(Protocol):
    """Order books of one venue, on demand."""

    async def depth(self, contract: str, levels: int = 50) -> Depth:
        """Return the book of one contract, as `Position.contract` names it; raises `ProviderError`."""


class OptionChain(Protocol):
    """Listed options of one venue, without any key."""

    async def options(self, underlying: str) -> Sequence[OptionQuote]:
        """Return every option on `underlying` ("BTC") that trades now; raises `ProviderError`."""

    async def aclose(self) -> None:
        """Close every connection."""


@record
class HourlyCandle:
    """One finished hour of a market: when it opened (UTC seconds), and its prices in quote currency."""

    opened_at_s: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


class CandleSource(Protocol):
    """Past hourly candles of one venue, for forecasts; some price feeds are one too."""

    async def hourly_candles(self, asset: str, hours: int) -> Sequence[HourlyCandle]:
        """Return the last finished hours, oldest first, as far as the venue has them; raises `ProviderError`."""


@record
class ProviderInfo:
    """What one adapter reads and does; `providers` prints the matrix of these.

    `settings` are the config keys an account of this provider takes, `required` those it cannot do without; `key`,
    `secret` and `passphrase` among them are references to secrets. `live` says how changes arrive ("websocket",
    "poll 5 s"), `permissions` what the key must be allowed, by what it is for ("read", "rescue"). `depth` and `options`
    say that order books and option chains can be had.
    """

    name: str
    title: str
    kinds: frozenset[Kind] = frozenset()
    prices: bool = False
    reads: tuple[str, ...] = ()
    rescues: tuple[str, ...] = ()
    required: frozenset[str] = frozenset()
    settings: frozenset[str] = frozenset()
    live: str = ""
    permissions: Mapping[str, str] = field(default_factory=dict)
    depth: bool = False
    options: bool = False


@record
class VenueOptions:
    """Settings of a price venue; `None` means the adapter's own default."""

    rest_url: str | None = None
    ws_url: str | None = None
    stale_after_s: float | None = None
    tls_ca: str | None = None


@record
class OracleRule:
    """A feed's update rule that the user states, because no chain tells it."""

    deviation_bps: Decimal | None = None
    heartbeat_s: Decimal | None = None


@record
class AccountOptions:
    """One `[[account]]`, references resolved where the adapter needs them at read time.

    `rpc_urls` are tried in order. `oracle_rules` by asset override bundled ones. `market` names an entry of the
    address book where a chain has several ("core", "prime"). `manual` gives the account of a `manual` provider as
    described now, which changes only where it is in a `file`.
    Transactions go to `submit_rpc_url` where it is set, and to `rpc_urls` when that fails only with `submit_fallback`.
    `confirmations` are the blocks, its own included, after which a transaction counts as confirmed. `credentials` are
    a venue's API key; `subaccount` and `wallet` name a part of the account where a venue has them.
    """

    name: str
    provider: str
    address: str | None = None
    chain: str | None = None
    chain_id: int | None = None
    market: str | None = None
    addresses_provider: str | None = None
    rpc_urls: tuple[str, ...] = ()
    rest_url: str | None = None
    ws_url: str | None = None
    poll_s: float | None = None
    stale_after_s: float | None = None
    tls_ca: str | None = None
    oracle_rules: Mapping[str, OracleRule] = field(default_factory=dict)
    manual: Callable[[], Account] | None = None
    submit_rpc_url: str | None = None
    submit_fallback: bool = False
    confirmations: int = 1
    credentials: Credentials | None = field(default=None, repr=False)
    subaccount: str | None = None
    wallet: str | None = None
    file: str | None = None
