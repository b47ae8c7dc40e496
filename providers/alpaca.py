"""Alpaca margin accounts: maintenance, excess, positions and market hours; by key, read-only.

Wire: docs.alpaca.markets, "Trading API" (`/v2/account`, `/v2/positions`, `/v2/assets/{symbol}`, `/v2/clock`; change log
of 2026-07-06, which removed the day-trading fields), read 2026-11. Every figure is a string and any of them may be
missing. There is no account stream, so it is polled, and no deposit by API: a plan says what to pay in by hand.
`rest_url` replaces `https://api.alpaca.markets` (paper: `https://paper-api.alpaca.markets`); "/v2/..." is appended.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from math import inf

import msgspec

from engine.accounts import Account, Kind, MarginCall, Position, Session, Tier, VenueReport
from engine.record import record
from providers.broker_margin import shares, unique_names
from providers.credentials import Credentials
from providers.errors import ConfigError, Malformed, ProviderError, Refused, Unauthorised, Unreachable
from providers.following import FollowedAccounts, Taken
from providers.http import Call, HttpTransport, decode, shared_budget
from providers.ports import AccountOptions, PositionSource, ProviderInfo, Reading
from providers.ws import Subscription

VENUE = "alpaca"
MAIN_REST = "https://api.alpaca.markets"
INFO = ProviderInfo(
    VENUE,
    "Alpaca margin accounts",
    kinds=frozenset({Kind.BROKER}),
    reads=("equity", "initial and maintenance margin", "positions", "market hours", "account blocks"),
    required=frozenset({"key", "secret"}),
    settings=frozenset({"rest_url", "poll_s", "stale_after_s", "tls_ca"}),
    live="poll 15 s",
    permissions={"read": "the account's own API key, live or paper as the URL"},
)
DISCRETION = "the broker may sell at its own discretion, without notice, once equity is under maintenance"

_REQUESTS, _PERIOD_S = 200, 60
_POLL_S, _CLOCK_S, _ASSET_S = 15.0, 60.0, 6 * 3600.0
_HELD_IN_FULL = frozenset({"crypto", "us_option"})
_ZERO = Decimal(0)


@record
class Summary:
    """The account as Alpaca tells it; `None` for what it leaves out. `blocks` are its words for what is off."""

    cash: Decimal | None
    equity: Decimal | None
    maintenance: Decimal | None
    initial: Decimal | None
    currency: str
    status: str
    blocks: tuple[str, ...] = ()


@record
class Held:
    """One position; `quantity` is negative for a short."""

    symbol: str
    quantity: Decimal
    price: Decimal | None
    entry_price: Decimal | None
    is_held_in_full: bool


class _Account(msgspec.Struct, frozen=True):
    cash: Decimal | None = None
    equity: Decimal | None = None
    maintenance_margin: Decimal | None = None
    initial_margin: Decimal | None = None
    currency: str = ""
    status: str = ""
    trading_blocked: bool = False
    account_blocked: bool = False
    transfers_blocked: bool = False


class _Position(msgspec.Struct, frozen=True):
    symbol: str
    qty: Decimal
    side: str = ""
    asset_class: str = ""
    current_price: Decimal | None = None
    avg_entry_price: Decimal | None = None


class _Asset(msgspec.Struct, frozen=True):
    margin_requirement_long: Decimal | None = None
    margin_requirement_short: Decimal | None = None
    maintenance_margin_requirement: Decimal | None = None


class _Clock(msgspec.Struct, frozen=True):
    is_open: bool
    next_open: str | None = None
    next_close: str | None = None


def parse_account(raw: bytes) -> Summary:
    """Return the account of a reply; raises `Malformed`."""
    told = decode(VENUE, "account", raw, _Account)
    for name in ("cash", "equity", "maintenance_margin", "initial_margin"):
        value: Decimal | None = getattr(told, name)
        if value is not None and not value.is_finite():
            raise Malformed(VENUE, f"account: {name} is {value}")
    blocks = [name for name in ("account_blocked", "trading_blocked", "transfers_blocked") if getattr(told, name)]
    if told.status not in ("", "ACTIVE"):
        blocks.append(f"status {told.status[:24]}")
    return Summary(
        told.cash,
        told.equity,
        told.maintenance_margin,
        told.initial_margin,
        told.currency,
        told.status,
        tuple(name.replace("_", " ") for name in blocks),
    )


def parse_positions(raw: bytes) -> tuple[Held, ...]:
    """Return the open positions of a reply; raises `Malformed`."""
    found = []
    for row in decode(VENUE, "positions", raw, list[_Position]):
        if not row.qty.is_finite():
            raise Malformed(VENUE, f"positions: {row.symbol[:24]} has quantity {row.qty}")
        if not row.qty:
            continue
        quantity = -abs(row.qty) if row.side == "short" else row.qty
        price, entry = _positive(row.current_price), _positive(row.avg_entry_price)
        found.append(Held(row.symbol, quantity, price, entry, row.asset_class in _HELD_IN_FULL))
    return tuple(found)


def parse_rate(raw: bytes, *, is_long: bool) -> Decimal | None:
    """Return the maintenance rate of an asset, told in percent; `None` when it is not told. Raises `Malformed`."""
    told = decode(VENUE, "asset", raw, _Asset)
    side = told.margin_requirement_long if is_long else told.margin_requirement_short
    percent = side if side is not None else told.maintenance_margin_requirement
    if percent is None:
        return None
    if not (percent.is_finite() and 0 <= percent <= 1000):
        raise Malformed(VENUE, f"asset: a margin requirement of {percent} %")
    return percent / 100


def parse_clock(raw: bytes) -> Session:
    """Return whether the market is open, and when that changes; raises `Malformed`."""
    told = decode(VENUE, "clock", raw, _Clock)
    return Session(told.is_open, _moment_ns(told.next_open), _moment_ns(told.next_close))


def _moment_ns(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed(VENUE, f"clock: {text[:40]!r} is not a time") from error
    if moment.tzinfo is None:
        raise Malformed(VENUE, f"clock: {text[:40]!r} has no time zone")
    return int(moment.timestamp()) * 1_000_000_000


def _positive(value: Decimal | None) -> Decimal | None:
    return value if value is not None and value.is_finite() and value > 0 else None


def account_of(
    name: str, summary: Summary, held: Sequence[Held], rates: Mapping[str, Decimal], session: Session | None
) -> Account:
    """Return the broker account; `rates` are maintenance rates by symbol, where they are known."""
    degraded = []
    values = {each.symbol: each.quantity * each.price for each in held if each.price is not None}
    degraded += [f"no price of {each.symbol}" for each in held if each.price is None]
    told = {each.symbol: Decimal(1) for each in held if each.is_held_in_full} | dict(rates)
    split = shares(values, told, summary.maintenance)
    if summary.cash is None:
        degraded.append("cash not reported: equity unknown")
    if not summary.currency:
        degraded.append("currency not reported")
    if summary.maintenance is None:
        degraded.append("maintenance margin not reported")
    positions = tuple(
        Position(
            name_,
            each.quantity,
            () if summary.cash is None or each.symbol not in split.rates else (Tier(_ZERO, split.rates[each.symbol]),),
            each.entry_price,
            each.price,
            contract=each.symbol,
        )
        for name_, each in zip(unique_names([each.symbol for each in held]), held, strict=True)
    )
    return Account(
        name,
        Kind.BROKER,
        VENUE,
        quote=summary.currency or "USD",
        balance=summary.cash or _ZERO,
        positions=positions,
        reported=VenueReport(
            equity=summary.equity, maintenance_requirement=summary.maintenance, status=", ".join(summary.blocks)
        ),
        degraded=tuple(degraded),
        venue=VENUE,
        note=DISCRETION,
        extra_requirement=split.extra if summary.cash is not None else _ZERO,
        initial_requirement=summary.initial,
        estimated=split.estimated,
        margin_call=_call(summary),
        session=session,
    )


def _call(summary: Summary) -> MarginCall | None:
    if summary.equity is None or summary.maintenance is None or summary.equity >= summary.maintenance:
        return None
    return MarginCall(summary.maintenance - summary.equity, text="maintenance margin call; no deadline is told")


def source(options: AccountOptions) -> PositionSource:
    """Return the source of one account; raises `ConfigError` without a key."""
    if options.credentials is None or not (options.credentials.has("key") and options.credentials.has("secret")):
        raise ConfigError(f'{options.name}: alpaca needs key and secret, as references: key = "env:NAME"')
    return AlpacaAccounts(options, options.credentials)


class AlpacaAccounts(FollowedAccounts[Session]):
    """One Alpaca account; a `providers.ports.PositionSource`."""

    def __init__(
        self, options: AccountOptions, credentials: Credentials, *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        rest_url = (options.rest_url or MAIN_REST).rstrip("/")
        budget = shared_budget(VENUE, rest_url, _REQUESTS, _PERIOD_S)
        http = HttpTransport(VENUE, rest_url, budget=budget, tls_ca=options.tls_ca, judge=partial(judge, credentials))
        super().__init__(options, AlpacaReader(options.name, http, credentials), (http,), poll_s=_POLL_S, clock=clock)


def judge(credentials: Credentials, place: str, status: int, body: bytes) -> ProviderError | None:
    """Return an error that says which key is at fault; Alpaca answers 403 for a wrong one, too."""
    if status not in (401, 403):
        return None
    needed = INFO.permissions["read"]
    return Unauthorised(
        VENUE, f"{place}: {credentials.hint} or its secret is wrong or revoked; needed: {needed}", status
    )


class AlpacaReader:
    """The picture of one account; a `providers.following.Reader` that nothing is pushed to."""

    topics: frozenset[str] = frozenset()

    def __init__(self, name: str, http: HttpTransport, credentials: Credentials) -> None:
        self._name, self._http, self._credentials = name, http, credentials
        self._seen: tuple[Summary, tuple[Held, ...]] | None = None
        self._session: Session | None = None
        self._rates: dict[str, tuple[float, Decimal | None]] = {}
        self._session_due_s = -inf

    def sockets(self) -> Sequence[Subscription[Session]]:
        """Return nothing: Alpaca streams orders only."""
        return ()

    def take(self, push: Session) -> Taken:
        """Take in the market's hours."""
        self._session = push
        return Taken.PART

    async def refresh(self, *, everything: bool = False) -> None:
        """Read account and positions, and what else is due; raises `ProviderError`."""
        now_s = asyncio.get_running_loop().time()
        summary, held = await asyncio.gather(self._get("/v2/account"), self._get("/v2/positions"))
        self._seen = parse_account(summary), parse_positions(held)
        if everything or now_s >= self._session_due_s:
            self._session = parse_clock(await self._get("/v2/clock"))
            self._session_due_s = now_s + _CLOCK_S
        for each in self._seen[1]:
            if now_s >= self._rates.get(each.symbol, (-inf, None))[0] and not each.is_held_in_full:
                self._rates[each.symbol] = now_s + _ASSET_S, await self._rate(each)

    async def _rate(self, held: Held) -> Decimal | None:
        try:
            return parse_rate(await self._get(f"/v2/assets/{held.symbol}"), is_long=held.quantity > 0)
        except Unauthorised:
            raise
        except (Refused, Malformed):
            return None

    async def _get(self, path: str) -> bytes:
        return await self._http.call(lambda: Call("GET", path, headers=self._headers()), is_read=True)

    def _headers(self) -> dict[str, str]:
        return {
            "APCA-API-KEY-ID": self._credentials.key,
            "APCA-API-SECRET-KEY": self._credentials.reveal_secret(),
        }

    def reading(self, now_ns: int) -> Reading:
        """Return the account as of `now_ns`; raises `Unreachable` before the first refresh."""
        if self._seen is None:
            raise Unreachable(VENUE, f"{self._name}: nothing read yet")
        summary, held = self._seen
        rates = {symbol: rate for symbol, (_, rate) in self._rates.items() if rate is not None}
        return Reading(
            self._name,
            (account_of(self._name, summary, held, rates, self._session),),
            now_ns,
            warnings=tuple(f"Alpaca says: {word}" for word in summary.blocks),
        )
