"""Rescues at Kraken Futures: coins of the cash wallet into a margin wallet, and part of a position closed in a bound.

Wire: docs.kraken.com, `POST /transfer`, `POST /sendorder`, `GET /fills`, `GET /accounts` (read 2026-11). The cash
wallet is that of the futures venue; money of the spot exchange needs another key at another host: its owner moves it.
Nothing adds margin to an isolated position: its margin follows the leverage that its owner set there. A transfer has no
number: it is told by what the cash wallet holds before and after, which nothing else moves but its owner.
"""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import inf

from engine.accounts import Account, MarginMode
from engine.rendering import plain
from engine.rescue import Facility, Funds, Means, Option, Standing, Tariff
from providers.credentials import Credentials
from providers.errors import Refused
from providers.http import Call, HttpTransport
from providers.kraken_futures.book import USD
from providers.kraken_futures.markets import Market, parse_instruments, parse_tickers
from providers.kraken_futures.moves_wire import fills_fate, order_fate, transfer_fate
from providers.kraken_futures.reader import Client
from providers.kraken_futures.signing import FILLS_COST, VENUE, private_call
from providers.kraken_futures.source import KrakenFuturesAccounts, key_of, transport
from providers.kraken_futures.wire import FLEX, Wallets, parse_accounts, wire_coin
from providers.ports import AccountOptions
from providers.rescue_ports import Fate, Found, KeySigner, Step
from providers.venue_rescue import REDUCE_BOUND, VenueRescue, chosen, decimals_of, fields_of, step_of, stepped

CASH_WALLET = "futures cash wallet"
_TRANSFER, _ORDER = "transfer", "sendorder"
_TARIFF = Tariff(cost_usd=Decimal(0), time_to_land_s=Decimal(2))
_CLOSING = Tariff(time_to_land_s=Decimal(1))
_RULES_S = 3600.0
_DECIMALS = {USD: 4, "USDT": 4, "USDC": 4, "EUR": 4, "GBP": 4}
_COIN_DECIMALS, _BASE_DECIMALS = 8, 10
_GRACE_MS = 30_000
# What the cash wallet holds tells of a transfer until its owner has used it otherwise.
_TELLING_MS = 3_600_000
_CENT = Decimal("0.01")
_SPOT_HINT = "money of the spot exchange needs its own key: move it to the futures wallet at the venue"


def make(options: AccountOptions, wallet: KeySigner | None = None) -> VenueRescue:
    """Return the rescuer of one configured key; `wallet` is it as a signer, `None` only reads."""
    moves = KrakenFuturesMoves(options)
    return VenueRescue(options.name, moves, KrakenFuturesAccounts(options), wallet, (moves.transport,))


class KrakenFuturesMoves:
    """What moves margin at one key's accounts; a `providers.venue_rescue.Moves`."""

    venue = VENUE
    actions = frozenset({_TRANSFER, _ORDER})

    def __init__(self, options: AccountOptions) -> None:
        credentials = key_of(options)
        self.transport = transport(options, credentials)
        self._client = Client(self.transport, credentials)
        self._rules: tuple[float, Mapping[str, Market]] = (-inf, {})

    async def standing(self, account: Account) -> Standing:
        """Return what the cash wallet holds, and what can be closed; raises `ProviderError`."""
        wallets = await self._wallets()
        refused = ""
        if account.mode is MarginMode.ISOLATED:
            refused = "nothing adds margin to an isolated position here: lower its leverage at the venue"
        elif not any(wallets.cash.values()):
            refused = f"the {CASH_WALLET} is empty; {_SPOT_HINT}"
        facilities, funds = [], []
        for coin in _takes(account, wallets):
            facilities.append(
                Facility(
                    coin,
                    frozenset({Means.ADD_MARGIN}),
                    token=coin,
                    decimals=_DECIMALS.get(coin, _COIN_DECIMALS),
                    refused=refused,
                    liquidation_threshold=_weight(account, coin),
                    price=_price(account, coin),
                )
            )
            if account.mode is not MarginMode.ISOLATED:
                funds.append(Funds(coin, wallets.cash.get(coin, Decimal(0)), CASH_WALLET))
        return Standing(
            account.name,
            time.time_ns(),
            facilities=(*await self._closings(account), *facilities),
            funds=tuple(funds),
            tariffs={Means.ADD_MARGIN: _TARIFF, Means.REDUCE: _CLOSING},
        )

    async def steps(self, account: Account, option: Option) -> Sequence[Step]:
        """Return the one step of `option`; raises `ProviderError`."""
        if option.means is Means.REDUCE:
            return [await self._close(account, option)]
        wallets = await self._wallets()
        coin, amount = option.asset, plain(option.amount)
        is_ours = account.mode is not MarginMode.ISOLATED and coin in _takes(account, wallets)
        if option.means is not Means.ADD_MARGIN or not is_ours:
            raise Refused(VENUE, f"{option.means} of {coin} for {account.name} is not sent from here")
        _, _, single = account.name.partition(":")
        target = single.lower() or FLEX
        fields = {"fromAccount": "cash", "toAccount": target, "unit": wire_coin(coin), "amount": amount}
        facts = {"coin": coin, "amount": amount, "cash": plain(wallets.cash.get(coin, Decimal(0)))}
        return [
            step_of(
                VENUE,
                account,
                _TRANSFER,
                f"transfer {amount} {coin} from the {CASH_WALLET} to {target}",
                fields,
                facts,
                (Means.ADD_MARGIN, coin, option.amount),
                at_ms=time.time_ns() // 1_000_000,
                takes=(CASH_WALLET, coin, option.amount),
            )
        ]

    def http(self, payload: Mapping[str, object]) -> HttpTransport:
        """Return the transport of the venue's one host."""
        return self.transport

    def call(self, payload: Mapping[str, object], credentials: Credentials) -> Call:
        """Return the signed request. It carries no nonce, which the venue leaves to the caller.

        Between its signature and its way out any read of this key, also by another program, could overtake it.
        """
        return private_call("POST", str(payload["action"]), fields_of(payload), credentials, "")

    def answered(self, facts: Mapping[str, str], raw: bytes) -> Found:
        """Return what the reply says; raises `Malformed` when it says nothing that we know."""
        return transfer_fate(raw) if facts["action"] == _TRANSFER else order_fate(raw)

    async def find(self, facts: Mapping[str, str]) -> Found:
        """Return what became of an action, by reading only; raises `ProviderError`."""
        age_ms = time.time_ns() // 1_000_000 - int(facts["at"])
        if facts["action"] == _ORDER:
            found = fills_fate(await self._client.private("fills", FILLS_COST), facts)
            if found is not None:
                return found
            if age_ms < _GRACE_MS:
                return Found(Fate.PENDING, "no fill of the order yet")
            return Found(Fate.REJECTED, f"no fill of the order {age_ms // 1000} s after it was made")
        now, before = (await self._wallets()).cash.get(facts["coin"], Decimal(0)), Decimal(facts["cash"])
        if now == before - Decimal(facts["amount"]):
            return Found(
                Fate.CONFIRMED, f"the {CASH_WALLET} holds {plain(now)} {facts['coin']}: the amount has left it"
            )
        if now != before:
            return Found(
                Fate.UNKNOWN, f"the {CASH_WALLET} went from {plain(before)} to {plain(now)}: look at the venue"
            )
        if age_ms < _GRACE_MS:
            return Found(Fate.PENDING, f"the {CASH_WALLET} still holds it")
        if age_ms > _TELLING_MS:
            return Found(Fate.UNKNOWN, f"the {CASH_WALLET} holds as much as before, which tells little by now")
        return Found(Fate.REJECTED, f"the {CASH_WALLET} still holds it {age_ms // 1000} s after it was made")

    async def _close(self, account: Account, option: Option) -> Step:
        position = chosen(account, option)
        rules = (await self._markets()).get(position.contract)
        if rules is None or rules.tick is None or position.entry_price is None:
            raise Refused(VENUE, f"no rules for orders of {position.contract}")
        amount = min(option.amount, abs(position.quantity))
        # An inverse contract is one dollar of face value, which its base quantity came from.
        size = (amount * position.entry_price).quantize(_CENT) if position.inverse else amount
        size = stepped(size, rules.step, up=False)
        if size <= 0:
            raise Refused(VENUE, f"{plain(option.amount)} {option.asset} is less than one lot of {position.contract}")
        is_long = position.quantity > 0
        mark = parse_tickers(await self._client.public("tickers")).get(position.contract, Market()).mark_price
        if mark is None:
            raise Refused(VENUE, f"no mark price of {position.contract}: nothing to bound an order by")
        bound = mark * (1 - REDUCE_BOUND) if is_long else mark * (1 + REDUCE_BOUND)
        price, client_id = plain(stepped(bound, rules.tick, up=is_long)), f"ml-{secrets.token_hex(8)}"
        side = "sell" if is_long else "buy"
        fields = {
            "orderType": "ioc",
            "symbol": position.contract,
            "side": side,
            "size": plain(size),
            "limitPrice": price,
            "reduceOnly": "true",
            "cliOrdId": client_id,
        }
        closed = size / position.entry_price if position.inverse else size
        return step_of(
            VENUE,
            account,
            _ORDER,
            f"{side} {plain(size)} {position.contract} at {price} or better, reduce-only, at once or not at all",
            fields,
            {"id": client_id, "amount": plain(size)},
            (Means.REDUCE, option.asset, closed),
            at_ms=time.time_ns() // 1_000_000,
            closes=(position.contract, "long" if is_long else "short"),
        )

    async def _closings(self, account: Account) -> tuple[Facility, ...]:
        """Return what can be closed of each position by orders."""
        rules = await self._markets()
        return tuple(
            Facility(
                each.asset,
                frozenset({Means.REDUCE}),
                token=each.contract,
                decimals=_BASE_DECIMALS if each.inverse else decimals_of(rules[each.contract].step),
                contract=each.contract,
                side="long" if each.quantity > 0 else "short",
            )
            for each in account.positions
            if each.quantity and each.contract in rules
        )

    async def _markets(self) -> Mapping[str, Market]:
        """Return the rules of every contract, read once an hour."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._rules[0] > _RULES_S:
            self._rules = (now_s, parse_instruments(await self._client.public("instruments")))
        return self._rules[1]

    async def _wallets(self) -> Wallets:
        return parse_accounts(await self._client.private("accounts"))


def _takes(account: Account, wallets: Wallets) -> Sequence[str]:
    """Return what may be added: the coin of a single-collateral account, or dollars and every coin that counts now."""
    _, _, single = account.name.partition(":")
    if single:
        found = [each.coin for each in wallets.singles if each.name == single]
        return found or ([account.quote] if account.mode is MarginMode.ISOLATED else [])
    return sorted({USD} | {leg.asset for leg in account.collateral})


def _price(account: Account, coin: str) -> Decimal | None:
    if coin == account.quote:
        return Decimal(1)
    oracle = account.oracles.get(coin)
    return None if oracle is None else oracle.price


def _weight(account: Account, coin: str) -> Decimal:
    return next((leg.liquidation_threshold for leg in account.collateral if leg.asset == coin), Decimal(1))
