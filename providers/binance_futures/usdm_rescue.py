"""Rescues of Binance USD-M futures: margin for an isolated position, coins from spot, part of a position closed.

Wire: developers.binance.com (read 2026-11): `POST /fapi/v1/positionMargin` (type 1 adds), `POST /fapi/v1/order`,
`POST /sapi/v1/asset/transfer` (MAIN_UMFUTURE). Only the order has a fee; none is possible with a key that only reads.
An isolated position is fed from the futures wallet, or from spot in two steps.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal

from engine.accounts import Account, MarginMode
from engine.rendering import plain
from engine.rescue import Facility, Funds, Means, Option, Standing, Tariff
from providers.binance_futures.accounts import PROVIDER
from providers.binance_futures.client import RECV_WINDOW_MS, Client, signed_call
from providers.binance_futures.hosts import hosts_of
from providers.binance_futures.orders import ORDER, Orders
from providers.binance_futures.rescue_wire import margin_added, order_fate, parse_margin_history
from providers.binance_futures.transfers import (
    GRACE_MS,
    SPOT,
    TRANSFER,
    TRANSFER_PATH,
    Transfers,
    permissions_or_unknown,
)
from providers.binance_futures.usdm import UsdmAccounts, credentials_of
from providers.binance_futures.wire import BOTH, parse_account
from providers.credentials import Credentials
from providers.errors import Refused
from providers.http import Call, HttpTransport
from providers.ports import AccountOptions
from providers.rescue_ports import Fate, Found, KeySigner, Step
from providers.venue_rescue import VenueRescue, fields_of, step_of

MARGIN = "margin"
FUTURES = "futures wallet"
_PATHS = {MARGIN: "/fapi/v1/positionMargin", ORDER: "/fapi/v1/order", TRANSFER: TRANSFER_PATH}
_STABLES = frozenset({"USDT", "USDC", "FDUSD", "BUSD", "USD1"})
_TARIFF = Tariff(cost_usd=Decimal(0), time_to_land_s=Decimal(2))
_CLOSING = Tariff(time_to_land_s=Decimal(1))
_EARLY_MS = 1_000


def make(options: AccountOptions, wallet: KeySigner | None = None) -> VenueRescue:
    """Return the rescuer of one configured key; `wallet` is the key as a signer, `None` only reads."""
    moves = UsdmMoves(options)
    return VenueRescue(options.name, moves, UsdmAccounts(options), wallet, moves.transports)


class UsdmMoves:
    """What moves margin at one USD-M account; a `providers.venue_rescue.Moves`."""

    venue = PROVIDER
    actions = frozenset(_PATHS)

    def __init__(self, options: AccountOptions) -> None:
        credentials = credentials_of(options)
        hosts = hosts_of(PROVIDER, options.rest_url, options.ws_url)
        self._futures = Client(PROVIDER, "fapi", hosts.futures, credentials, tls_ca=options.tls_ca)
        self._wallet: Client | None = None
        if hosts.wallet is not None:
            keeper = self._futures.timekeeper
            self._wallet = Client(PROVIDER, "sapi", hosts.wallet, credentials, timekeeper=keeper, tls_ca=options.tls_ca)
        self._transfers = Transfers(self._wallet, "MAIN_UMFUTURE", self._futures)
        self._orders = Orders(self._futures, self._futures, _PATHS[ORDER], "/fapi/v1/accountConfig")

    @property
    def transports(self) -> tuple[HttpTransport, ...]:
        """Return every transport, for whoever closes them."""
        return tuple(client.http for client in (self._futures, self._wallet) if client is not None)

    async def standing(self, account: Account) -> Standing:
        """Return what the wallets hold, what can be closed, and which right the key lacks; raises `ProviderError`."""
        rights, state = await asyncio.gather(
            permissions_or_unknown(self._transfers), self._futures.signed("/fapi/v3/account", weight=5)
        )
        quote, is_alone = account.quote, account.mode is MarginMode.ISOLATED
        (spot, no_spot), purse = await self._transfers.spot(quote, rights), parse_account(state).purses.get(quote)
        no_futures = "" if rights.may_trade_futures is not False else 'the key may not trade: it lacks "Enable Futures"'
        funds: list[Funds] = []
        if is_alone and purse is not None and purse.available is not None:
            funds.append(Funds(quote, purse.available, FUTURES))
        if spot is not None:
            funds.append(spot)
        margin = Facility(
            quote,
            frozenset({Means.ADD_MARGIN}),
            token=quote,
            decimals=4 if quote in _STABLES else 8,
            refused=no_futures if is_alone else no_spot,
            price=Decimal(1),
        )
        stopped = no_futures if is_alone or no_spot else ""
        return Standing(
            account.name,
            time.time_ns(),
            facilities=(margin, *await self._orders.facilities(account, no_futures)),
            funds=tuple(funds),
            tariffs={Means.ADD_MARGIN: _TARIFF, Means.REDUCE: _CLOSING},
            problems=tuple(filter(None, (stopped, no_spot if stopped and not is_alone else ""))),
        )

    async def steps(self, account: Account, option: Option) -> Sequence[Step]:
        """Return the steps of `option`; raises `ProviderError`."""
        await self._futures.prepare()
        if option.means is Means.REDUCE:
            order = await self._orders.closing(account, option)
            effect = (Means.REDUCE, option.asset, order.quantity)
            return [self._step(account, ORDER, order.title, order.fields, order.facts, effect, closes=order.closes)]
        if option.means is not Means.ADD_MARGIN or option.asset != account.quote:
            raise Refused(PROVIDER, f"{option.means} of {option.asset} is not sent from here")
        amount, asset = option.amount, option.asset
        effect = (Means.ADD_MARGIN, asset, amount)
        is_alone = account.mode is MarginMode.ISOLATED
        steps: list[Step] = []
        if not is_alone or (option.funds is not None and option.funds.source == SPOT):
            title = self._transfers.title(asset, amount, "the futures wallet")
            fields, facts = self._transfers.fields(asset, amount), self._transfers.facts(asset, amount)
            own = None if is_alone else effect
            steps.append(self._step(account, TRANSFER, title, fields, facts, own, takes=(SPOT, asset, amount)))
        if is_alone:
            takes = None if steps else (FUTURES, asset, amount)
            steps.append(self._margin(account, amount, takes))
        return steps

    def http(self, payload: Mapping[str, object]) -> HttpTransport:
        """Return the transport of the host that takes this action; raises `Refused` on a network without wallets."""
        if payload["action"] != TRANSFER:
            return self._futures.http
        if self._wallet is None:
            raise Refused(PROVIDER, "this network has no transfers between wallets")
        return self._wallet.http

    def call(self, payload: Mapping[str, object], credentials: Credentials) -> Call:
        """Return the signed request, with the venue's time of now."""
        path = _PATHS[str(payload["action"])]
        return signed_call("POST", path, fields_of(payload), credentials, self._futures.timekeeper.now_ms())

    def answered(self, facts: Mapping[str, str], raw: bytes) -> Found:
        """Return what the reply says; raises `Malformed` when it says nothing that we know."""
        match facts["action"]:
            case "transfer":
                return self._transfers.answered(facts, raw)
            case "margin":
                return margin_added(raw)
            case _:
                return order_fate(raw)

    async def find(self, facts: Mapping[str, str]) -> Found:
        """Return what became of an action, by reading only; raises `ProviderError`."""
        await self._futures.prepare()
        now_ms = self._futures.timekeeper.now_ms()
        match facts["action"]:
            case "transfer":
                return await self._transfers.find(facts, now_ms)
            case "margin":
                return await self._find_margin(facts, now_ms)
            case _:
                return await self._orders.find(facts, now_ms)

    async def _find_margin(self, facts: Mapping[str, str], now_ms: int) -> Found:
        since_ms = int(facts["at"]) - _EARLY_MS
        asked = {"symbol": facts["symbol"], "type": "1", "startTime": str(since_ms)}
        rows = parse_margin_history(await self._futures.signed("/fapi/v1/positionMargin/history", asked))
        for row in rows:
            if row.amount == Decimal(facts["amount"]) and row.side == facts["side"] and row.at_ms >= since_ms:
                return Found(Fate.CONFIRMED, "the added margin is in the position's history")
        age_ms = now_ms - int(facts["at"])
        if age_ms < RECV_WINDOW_MS + GRACE_MS:
            return Found(Fate.PENDING, "not in the position's margin history yet")
        return Found(Fate.REJECTED, f"in no history {age_ms // 1000} s after it was made: it was never taken")

    def _margin(self, account: Account, amount: Decimal, takes: tuple[str, str, Decimal] | None) -> Step:
        symbol = account.positions[0].contract
        side = account.name.rpartition(":")[2] if account.name.count(":") > 1 else BOTH
        fields = {"symbol": symbol, "amount": plain(amount), "type": "1"}
        if side != BOTH:
            fields["positionSide"] = side
        facts = {"symbol": symbol, "side": side, "amount": plain(amount)}
        title = f"add {plain(amount)} {account.quote} to the margin of {symbol}"
        effect = (Means.ADD_MARGIN, account.quote, amount)
        return self._step(account, MARGIN, title, fields, facts, effect, takes=takes)

    def _step(
        self,
        account: Account,
        action: str,
        title: str,
        fields: Mapping[str, str],
        facts: Mapping[str, str],
        effect: tuple[Means, str, Decimal] | None,
        *,
        takes: tuple[str, str, Decimal] | None = None,
        closes: tuple[str, str] = ("", ""),
    ) -> Step:
        at_ms = self._futures.timekeeper.now_ms()
        return step_of(PROVIDER, account, action, title, fields, facts, effect, at_ms=at_ms, takes=takes, closes=closes)
