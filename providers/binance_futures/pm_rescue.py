"""Rescues of a Binance portfolio margin account: coins from spot, collected where they are owed, positions closed.

Wire: developers.binance.com (read 2026-11): `POST /sapi/v1/asset/transfer` (MAIN_PORTFOLIO_MARGIN),
`POST /papi/v1/asset-collection` (what the futures wallets hold of a coin goes to the margin wallet),
`POST /papi/v1/um/order`. Once the venue liquidates, transfers do not stop it.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from engine.accounts import Account
from engine.rescue import Facility, Means, Option, Standing, Tariff
from providers.binance_futures.client import RECV_WINDOW_MS, signed_call
from providers.binance_futures.numbers import read
from providers.binance_futures.orders import ORDER, Orders
from providers.binance_futures.pm import PmAccounts, PmClients
from providers.binance_futures.pm_accounts import PROVIDER, QUOTE
from providers.binance_futures.pm_wire import Coin, parse_coins
from providers.binance_futures.rescue_wire import order_fate
from providers.binance_futures.transfers import (
    GRACE_MS,
    SPOT,
    TRANSFER,
    TRANSFER_PATH,
    Transfers,
    permissions_or_unknown,
)
from providers.credentials import Credentials
from providers.errors import Malformed, Refused
from providers.http import Call, HttpTransport
from providers.ports import AccountOptions
from providers.rescue_ports import Fate, Found, KeySigner, Step
from providers.venue_rescue import VenueRescue, fields_of, step_of

COLLECT = "collect"
_PATHS = {COLLECT: "/papi/v1/asset-collection", ORDER: "/papi/v1/um/order", TRANSFER: TRANSFER_PATH}
_ZERO = Decimal(0)
_TARIFF = Tariff(cost_usd=_ZERO, time_to_land_s=Decimal(2))
_CLOSING = Tariff(time_to_land_s=Decimal(1))


def make(options: AccountOptions, wallet: KeySigner | None = None) -> VenueRescue:
    """Return the rescuer of one configured key; `wallet` is the key as a signer, `None` only reads."""
    moves = PmMoves(options)
    return VenueRescue(options.name, moves, PmAccounts(options), wallet, moves.transports)


class PmMoves:
    """What moves margin at one portfolio margin account; a `providers.venue_rescue.Moves`."""

    venue = PROVIDER
    actions = frozenset(_PATHS)

    def __init__(self, options: AccountOptions) -> None:
        self._clients = PmClients(options)
        self._portfolio = self._clients.portfolio
        self._transfers = Transfers(self._clients.wallet, "MAIN_PORTFOLIO_MARGIN", None)
        self._orders = Orders(self._clients.futures, self._portfolio, _PATHS[ORDER], "/papi/v1/um/accountConfig")

    @property
    def transports(self) -> tuple[HttpTransport, ...]:
        """Return every transport, for whoever closes them."""
        return tuple(client.http for client in self._clients.all)

    async def standing(self, account: Account) -> Standing:
        """Return what spot holds, what can be closed, and which right the key lacks; raises `ProviderError`."""
        await self._portfolio.prepare()
        rights = await permissions_or_unknown(self._transfers)
        no_orders = _no_orders(rights.may_trade_portfolio)
        (spot, no_spot), closing = await asyncio.gather(
            self._transfers.spot(QUOTE, rights), self._orders.facilities(account, no_orders)
        )
        margin = Facility(
            QUOTE, frozenset({Means.ADD_MARGIN}), token=QUOTE, decimals=4, refused=no_spot, price=Decimal(1)
        )
        return Standing(
            account.name,
            time.time_ns(),
            facilities=(margin, *closing),
            funds=() if spot is None else (spot,),
            tariffs={Means.ADD_MARGIN: _TARIFF, Means.REDUCE: _CLOSING},
            problems=(no_spot, no_orders) if no_spot and no_orders else (),
        )

    async def steps(self, account: Account, option: Option) -> Sequence[Step]:
        """Return the steps of `option`; raises `ProviderError`."""
        await self._portfolio.prepare()
        at_ms = self._portfolio.timekeeper.now_ms()
        if option.means is Means.REDUCE:
            order = await self._orders.closing(account, option)
            effect = (Means.REDUCE, option.asset, order.quantity)
            return [
                step_of(
                    PROVIDER,
                    account,
                    ORDER,
                    order.title,
                    order.fields,
                    order.facts,
                    effect,
                    at_ms=at_ms,
                    closes=order.closes,
                )
            ]
        if option.means is not Means.ADD_MARGIN or option.asset != QUOTE:
            raise Refused(PROVIDER, f"{option.means} of {option.asset} is not sent from here")
        amount = option.amount
        steps = [
            step_of(
                PROVIDER,
                account,
                TRANSFER,
                self._transfers.title(QUOTE, amount, "the portfolio margin account"),
                self._transfers.fields(QUOTE, amount),
                self._transfers.facts(QUOTE, amount),
                (Means.ADD_MARGIN, QUOTE, amount),
                at_ms=at_ms,
                takes=(SPOT, QUOTE, amount),
            )
        ]
        coin = (await self._coins()).get(QUOTE)
        if coin is not None and coin.borrowed > 0 and coin.futures > 0:
            # It lies in the futures wallets while interest runs on the same coin in the margin wallet.
            title = f"collect the {QUOTE} of the futures wallets into the margin wallet, which owes some"
            steps.append(
                step_of(PROVIDER, account, COLLECT, title, {"asset": QUOTE}, {"asset": QUOTE}, None, at_ms=at_ms)
            )
        return steps

    def http(self, payload: Mapping[str, object]) -> HttpTransport:
        """Return the transport of the host that takes this action; raises `Refused` on a network without wallets."""
        if payload["action"] != TRANSFER:
            return self._portfolio.http
        if self._clients.wallet is None:
            raise Refused(PROVIDER, "this network has no transfers between wallets")
        return self._clients.wallet.http

    def call(self, payload: Mapping[str, object], credentials: Credentials) -> Call:
        """Return the signed request, with the venue's time of now."""
        path = _PATHS[str(payload["action"])]
        return signed_call("POST", path, fields_of(payload), credentials, self._portfolio.timekeeper.now_ms())

    def answered(self, facts: Mapping[str, str], raw: bytes) -> Found:
        """Return what the reply says; raises `Malformed` when it says nothing that we know."""
        match facts["action"]:
            case "transfer":
                return self._transfers.answered(facts, raw)
            case "collect":
                if read("asset-collection", raw, _Said).msg != "success":
                    raise Malformed(PROVIDER, "asset-collection: neither success nor an error")
                return Found(Fate.CONFIRMED, "the venue collected it")
            case _:
                return order_fate(raw)

    async def find(self, facts: Mapping[str, str]) -> Found:
        """Return what became of an action, by reading only; raises `ProviderError`."""
        await self._portfolio.prepare()
        now_ms = self._portfolio.timekeeper.now_ms()
        match facts["action"]:
            case "transfer":
                return await self._transfers.find(facts, now_ms)
            case "collect":
                return await self._find_collected(facts, now_ms)
            case _:
                return await self._orders.find(facts, now_ms)

    async def _find_collected(self, facts: Mapping[str, str], now_ms: int) -> Found:
        """Judge by what it does: afterwards the futures wallets hold nothing of the coin. It has no history."""
        coin = (await self._coins()).get(facts["asset"])
        if coin is None or coin.futures <= 0:
            return Found(Fate.CONFIRMED, f"the futures wallets hold no {facts['asset']} any more")
        if now_ms - int(facts["at"]) < RECV_WINDOW_MS + GRACE_MS:
            return Found(Fate.PENDING, f"the futures wallets still hold {coin.futures:f} {facts['asset']}")
        return Found(
            Fate.REJECTED, f"the futures wallets still hold {coin.futures:f} {facts['asset']}: never collected"
        )

    async def _coins(self) -> Mapping[str, Coin]:
        return parse_coins(await self._portfolio.signed("/papi/v1/balance", weight=20))


class _Said(msgspec.Struct, frozen=True):
    msg: str = ""


def _no_orders(may_trade: bool | None) -> str:
    return 'the key may not trade: it lacks "Enable Portfolio Margin Trading"' if may_trade is False else ""
