"""Interactive Brokers through the Client Portal gateway: excess liquidity, look-ahead margin, positions; read-only.

Wire: interactivebrokers.com "Client Portal Web API" (`/portfolio/accounts`, `/portfolio/{id}/summary`, `/ledger`,
`/portfolio2/{id}/positions`, `/tickle`), shapes as in Voyz/ibind and the published OpenAPI (read 2026-11). The gateway
runs on the user's machine and is logged in with a browser; its session lasts as long as it is tickled, and no key is
configured here. `rest_url` replaces `https://localhost:5000/v1/api`, `tls_ca` is its certificate (it signs its own),
`subaccount` names the account when the log-in has several. No deposit by API: a plan says what to pay in by hand.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from math import inf

import msgspec

from engine.accounts import Account, Kind, MarginCall, Position, Tier, VenueReport
from engine.record import record
from providers.broker_margin import shares, unique_names
from providers.errors import Malformed, ProviderError, RateLimited, Refused, Unauthorised, Unreachable
from providers.following import FollowedAccounts, Taken
from providers.http import Budget, HttpTransport, decode, shared_budget
from providers.ports import AccountOptions, PositionSource, ProviderInfo, Reading
from providers.ws import Subscription

VENUE = "ibkr"
MAIN_REST = "https://localhost:5000/v1/api"
INFO = ProviderInfo(
    VENUE,
    "Interactive Brokers (Client Portal gateway)",
    kinds=frozenset({Kind.BROKER}),
    reads=("equity with loan value", "initial, maintenance and look-ahead margin", "excess liquidity", "positions"),
    settings=frozenset({"subaccount", "rest_url", "poll_s", "stale_after_s", "tls_ca"}),
    live="poll 10 s",
    permissions={"read": "a gateway that is logged in"},
)
DISCRETION = "the broker liquidates at its own discretion, without a call, once excess liquidity is below 0"

_REQUESTS, _PERIOD_S = 50, 10
_POLL_S, _TICKLE_S = 10.0, 55.0
_PENALTY_S, _MOST_PAGES = 900.0, 50
_SECONDS_END = 10**11
_ZERO = Decimal(0)


@record
class Summary:
    """The account in its base currency; `None` for what is not told. `ahead` is excess after the next margin change."""

    equity: Decimal | None
    maintenance: Decimal | None
    initial: Decimal | None
    excess: Decimal | None
    cash: Decimal | None
    cushion: Decimal | None
    ahead: Decimal | None
    ahead_at_ns: int | None
    currency: str


@record
class Held:
    """One position; `quantity` is negative for a short, `price` per unit in `currency`, multiplier included."""

    name: str
    quantity: Decimal
    price: Decimal | None
    currency: str
    asset_class: str

    @property
    def is_daily_settled(self) -> bool:
        """Return whether its value is paid into cash every day: futures, and options on them."""
        return self.asset_class in ("FUT", "FOP")


class _Amount(msgspec.Struct, frozen=True):
    amount: Decimal | None = None
    currency: str | None = None
    isNull: bool = False
    timestamp: int | None = None
    value: str | None = None


class _Position(msgspec.Struct, frozen=True):
    position: Decimal
    contractDesc: str = ""
    ticker: str | None = None
    conid: int | None = None
    mktPrice: Decimal | None = None
    mktValue: Decimal | None = None
    currency: str = ""
    assetClass: str = ""


class _Ledger(msgspec.Struct, frozen=True):
    exchangerate: Decimal | None = None


class _AccountRow(msgspec.Struct, frozen=True):
    id: str = ""
    accountId: str = ""


def parse_accounts(raw: bytes) -> tuple[str, ...]:
    """Return the ids of the log-in's accounts; raises `Malformed`."""
    rows = decode(VENUE, "accounts", raw, list[_AccountRow])
    return tuple(row.accountId or row.id for row in rows if row.accountId or row.id)


def parse_summary(raw: bytes) -> Summary:
    """Return the summary of a reply, whose keys are lower case; raises `Malformed`."""
    told = decode(VENUE, "summary", raw, dict[str, _Amount])

    def amount(key: str) -> Decimal | None:
        found = told.get(key)
        if found is None or found.isNull or found.amount is None:
            return None
        if not found.amount.is_finite():
            raise Malformed(VENUE, f"summary: {key} is {found.amount}")
        return found.amount

    base = next((told[key].currency for key in ("equitywithloanvalue", "netliquidation") if key in told), None)
    change = told.get("lookaheadnextchange")
    at_s = None if change is None or change.amount is None or not change.amount.is_finite() else int(change.amount)
    if at_s is not None and at_s > _SECONDS_END:  # no second of this century: milliseconds
        at_s //= 1000
    return Summary(
        amount("equitywithloanvalue"),
        amount("maintmarginreq"),
        amount("initmarginreq"),
        amount("excessliquidity"),
        amount("totalcashvalue"),
        amount("cushion"),
        amount("lookaheadexcessliquidity"),
        at_s * 1_000_000_000 if at_s else None,
        base or "",
    )


def parse_positions(raw: bytes) -> tuple[Held, ...]:
    """Return the open positions of a reply; raises `Malformed`."""
    found = []
    for row in decode(VENUE, "positions", raw, list[_Position]):
        name = row.ticker or row.contractDesc or f"conid {row.conid}"
        if not row.position.is_finite():
            raise Malformed(VENUE, f"positions: {name[:24]} has quantity {row.position}")
        if not row.position:
            continue
        price = row.mktPrice
        if row.mktValue is not None and row.mktValue.is_finite() and row.mktValue:
            price = row.mktValue / row.position
        if price is not None and not (price.is_finite() and price > 0):
            price = None
        found.append(Held(name, row.position, price, row.currency, row.assetClass))
    return tuple(found)


def parse_rates(raw: bytes) -> dict[str, Decimal]:
    """Return the base currency's price of each currency of the ledger; raises `Malformed`."""
    rows = decode(VENUE, "ledger", raw, dict[str, _Ledger])
    found = {name: row.exchangerate for name, row in rows.items() if row.exchangerate is not None}
    if any(not (rate.is_finite() and rate > 0) for rate in found.values()):
        raise Malformed(VENUE, "ledger: an exchange rate that is none")
    return found


def account_of(name: str, summary: Summary, held: Sequence[Held], rates: Mapping[str, Decimal]) -> Account:
    """Return the broker account in its base currency; `rates` turn other currencies into it."""
    degraded = []
    rates = {summary.currency: Decimal(1)} | dict(rates)
    names = unique_names([each.name for each in held])
    prices: dict[str, Decimal] = {}
    for label, each in zip(names, held, strict=True):
        if each.price is None:
            degraded.append(f"no price of {label}")
        elif not each.currency:
            degraded.append(f"currency of {label} not told: its value is unknown")
        elif each.currency not in rates:
            degraded.append(f"no exchange rate of {each.currency[:8]}: {label} unknown")
        else:
            prices[label] = each.price * rates[each.currency]
    values = {label: each.quantity * prices[label] for label, each in zip(names, held, strict=True) if label in prices}
    split = shares(values, {}, summary.maintenance)
    settled = sum((values.get(label, _ZERO) for label, each in zip(names, held, strict=True) if each.is_daily_settled))
    cash = summary.cash
    for what, value in (
        ("cash", cash),
        ("maintenance margin", summary.maintenance),
        ("base currency", summary.currency),
    ):
        if value is None or value == "":
            degraded.append(f"{what} not reported: equity or health unknown")
    degraded += [
        f"kind of {label} not told: it may be a future, whose value is in the cash already"
        for label, each in zip(names, held, strict=True)
        if not each.asset_class
    ]
    positions = tuple(
        Position(
            label,
            each.quantity,
            (Tier(_ZERO, split.rates[label]),) if cash is not None and label in split.rates else (),
            mark_price=prices.get(label),
            contract=each.name,
        )
        for label, each in zip(names, held, strict=True)
    )
    return Account(
        name,
        Kind.BROKER,
        VENUE,
        quote=summary.currency or "USD",
        # A future's value is settled into cash every day: what it is worth is not owned on top.
        balance=(cash or _ZERO) - settled,
        positions=positions,
        # Equity with loan value leaves out what may not be borrowed against; ours counts every position.
        reported=VenueReport(
            equity=summary.equity, maintenance_requirement=summary.maintenance, tolerance=Decimal("0.03")
        ),
        degraded=tuple(degraded),
        venue=VENUE,
        note=_note(summary),
        extra_requirement=split.extra if cash is not None else _ZERO,
        initial_requirement=summary.initial,
        estimated=split.estimated,
        margin_call=_call(summary),
    )


def _note(summary: Summary) -> str:
    if summary.ahead is None or summary.excess is None or summary.ahead == summary.excess:
        return DISCRETION
    return f"{DISCRETION}; after the next margin change excess is {summary.ahead:.2f} {summary.currency}"


def _call(summary: Summary) -> MarginCall | None:
    excess = summary.excess
    if excess is None and summary.equity is not None and summary.maintenance is not None:
        excess = summary.equity - summary.maintenance
    if excess is not None and excess < 0:
        return MarginCall(-excess, text="excess liquidity is below 0: liquidation may begin at once")
    if summary.ahead is not None and summary.ahead < 0:
        return MarginCall(-summary.ahead, summary.ahead_at_ns, "excess is below 0 after the next margin change")
    return None


def source(options: AccountOptions) -> PositionSource:
    """Return the source of one account of a logged-in gateway."""
    return IbkrAccounts(options)


class IbkrAccounts(FollowedAccounts[Summary]):
    """One account at Interactive Brokers; a `providers.ports.PositionSource`."""

    def __init__(self, options: AccountOptions, *, clock: Callable[[], int] = time.time_ns) -> None:
        rest_url = (options.rest_url or MAIN_REST).rstrip("/")
        budget = shared_budget(VENUE, rest_url, _REQUESTS, _PERIOD_S)
        http = HttpTransport(VENUE, rest_url, budget=budget, tls_ca=options.tls_ca, judge=judge)
        reader = IbkrReader(options.name, options.subaccount, http, budget)
        super().__init__(options, reader, (http,), poll_s=_POLL_S, clock=clock)


def judge(place: str, status: int, body: bytes) -> ProviderError | None:
    """Return what the gateway means by 401: its session is over, and only its owner can begin another."""
    if status in (401, 403):
        needed = INFO.permissions["read"]
        return Unauthorised(VENUE, f"{place}: not logged in; open the gateway in a browser; needed: {needed}", status)
    return None


class IbkrReader:
    """The picture of one account; a `providers.following.Reader` that nothing is pushed to."""

    topics: frozenset[str] = frozenset()

    def __init__(self, name: str, wanted: str | None, http: HttpTransport, budget: Budget) -> None:
        self._name, self._wanted, self._http, self._budget = name, wanted, http, budget
        self._account_id = ""
        self._account: Account | None = None
        self._tickle_due_s = -inf

    def sockets(self) -> Sequence[Subscription[Summary]]:
        """Return nothing: the gateway's own socket says no more than a poll."""
        return ()

    def take(self, push: Summary) -> Taken:
        """Ask for a fresh reading."""
        return Taken.NUDGE

    async def refresh(self, *, everything: bool = False) -> None:
        """Read the account, and keep the gateway's session alive; raises `ProviderError`."""
        try:
            await self._refresh()
        except RateLimited as error:
            if error.retry_after_s is not None:
                raise
            # Whoever asks too fast is locked out for a quarter of an hour, which the gateway does not say.
            self._budget.block(_PENALTY_S)
            raise RateLimited(VENUE, f"{error.detail}; it may lock out for 15 minutes", _PENALTY_S) from error
        except (Refused, Unreachable):
            # A session that was lost or begun anew knows no account until it has been asked for its accounts.
            self._account_id, self._tickle_due_s = "", -inf
            raise

    async def _refresh(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._tickle_due_s:
            await self._http.post("/tickle", {}, is_read=True)
            self._tickle_due_s = now_s + _TICKLE_S
        if not self._account_id:
            self._account_id = self._chosen(parse_accounts(await self._http.get("/portfolio/accounts")))
        summary, positions, ledger = await asyncio.gather(
            self._http.get(f"/portfolio/{self._account_id}/summary"),
            self._positions(),
            self._http.get(f"/portfolio/{self._account_id}/ledger"),
        )
        self._account = account_of(self._name, parse_summary(summary), positions, parse_rates(ledger))

    async def _positions(self) -> tuple[Held, ...]:
        try:
            return parse_positions(await self._http.get(f"/portfolio2/{self._account_id}/positions"))
        except Refused as error:
            if error.status != 404:
                raise
        # Gateways of before 2024 know only the cached pages.
        found: tuple[Held, ...] = ()
        for page in range(_MOST_PAGES):
            raw = await self._http.get(f"/portfolio/{self._account_id}/positions/{page}")
            if raw.strip() == b"[]":
                return found
            found += parse_positions(raw)
        raise Malformed(VENUE, f"positions: more than {_MOST_PAGES} pages")

    def _chosen(self, ids: Sequence[str]) -> str:
        if self._wanted is not None:
            if self._wanted not in ids:
                raise Refused(VENUE, f"{self._name}: the log-in has no account {self._wanted[:20]}")
            return self._wanted
        if len(ids) != 1:
            raise Refused(VENUE, f"{self._name}: the log-in has {len(ids)} accounts; name one as subaccount")
        return ids[0]

    def reading(self, now_ns: int) -> Reading:
        """Return the account as of `now_ns`; raises `Unreachable` before the first refresh."""
        if self._account is None:
            raise Unreachable(VENUE, f"{self._name}: nothing read yet")
        return Reading(self._name, (self._account,), now_ns)
