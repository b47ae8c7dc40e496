"""Margin for an isolated position through ccxt's `add_margin`, where an exchange has it (docs.ccxt.com, read 2026-11).

ccxt builds and signs the request, after the journal has its entry; it is taken from ccxt unsent, must hold exactly the
amount that was planned, and goes out once by our own transport. Nothing names it at the venue: what became of it is
told by the position's own margin before and after, profit left out.
"""

import time
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from engine.accounts import Account, MarginMode
from engine.rendering import plain
from engine.rescue import Facility, Funds, Means, Option, Standing, Tariff
from providers.ccxt_venue.accounts import number
from providers.ccxt_venue.source import CcxtAccounts, exchange_of, read_positions
from providers.credentials import Credentials
from providers.errors import Malformed, Refused, Unreachable
from providers.http import Call, HttpTransport
from providers.ports import AccountOptions
from providers.rescue_ports import Fate, Found, KeySigner, Step
from providers.venue_rescue import VenueRescue, fields_of, step_of

_ADD = "add-margin"
_DECIMALS = 2
_FREE = "free balance"
_PENDING_MS = 60_000
_TARIFF = Tariff(cost_usd=Decimal(0), time_to_land_s=Decimal(2))


def make(options: AccountOptions, wallet: KeySigner | None = None) -> VenueRescue:
    """Return the rescuer of one configured account; without `wallet` it only reads."""
    moves = CcxtMoves(options)
    return VenueRescue(options.name, moves, CcxtAccounts(options), wallet, (moves,))  # type: ignore[arg-type]  # closed only


class CcxtMoves:
    """What moves margin at one exchange of ccxt; a `providers.venue_rescue.Moves`."""

    actions = frozenset({_ADD})

    def __init__(self, options: AccountOptions) -> None:
        self._exchange = exchange_of(options, "rescue")
        self.venue = options.provider
        self._origin = ""

    async def aclose(self) -> None:
        """Close every connection."""
        await self._exchange.aclose()

    async def standing(self, account: Account) -> Standing:
        """Return the free balance and whether margin can be added to this position; raises `ProviderError`."""
        has, free = await self._exchange.run(partial(_means, coin=account.quote))
        refused = "" if has else f"ccxt cannot add margin at {self.venue}: add it at the venue"
        facilities: tuple[Facility, ...] = ()
        if account.mode is MarginMode.ISOLATED and len(account.positions) == 1:
            facilities = (Facility(account.quote, frozenset({Means.ADD_MARGIN}), decimals=_DECIMALS, refused=refused),)
        return Standing(
            account.name,
            time.time_ns(),
            facilities=facilities,
            funds=(Funds(account.quote, free, _FREE),),
            tariffs={Means.ADD_MARGIN: _TARIFF},
        )

    async def steps(self, account: Account, option: Option) -> Sequence[Step]:
        """Return the one step that adds to the position's margin; raises `ProviderError`."""
        if option.means is not Means.ADD_MARGIN or account.mode is not MarginMode.ISOLATED:
            raise Refused(self.venue, f"{option.means.value} is not sent to {self.venue} from here")
        symbol, amount = account.positions[0].contract, option.amount
        margin = await self._exchange.run(partial(_margin, symbol=symbol))
        if margin is None:
            raise Refused(self.venue, f"the margin of {symbol} is not told: what became of more could not be seen")
        return [
            step_of(
                self.venue,
                account,
                _ADD,
                f"add {plain(amount)} {option.asset} to the margin of {symbol}",
                {"symbol": symbol, "amount": plain(amount)},
                {"symbol": symbol, "amount": plain(amount), "before": plain(margin)},
                (Means.ADD_MARGIN, option.asset, amount),
                at_ms=time.time_ns() // 1_000_000,
                takes=(_FREE, option.asset, amount),
            )
        ]

    def http(self, payload: Mapping[str, object]) -> HttpTransport:
        """Return the transport of the host that the request was signed for."""
        if not self._origin:
            raise Refused(self.venue, "the request was not signed here")
        return self._exchange.writing(self._origin)

    def call(self, payload: Mapping[str, object], credentials: Credentials) -> Call:
        """Return the request as ccxt signs it now, unsent; raises `Refused` unless it holds exactly the amount."""
        fields = fields_of(payload)
        amount = fields["amount"]
        self._origin, call = self._exchange.unsent(
            lambda exchange: exchange.add_margin(fields["symbol"], amount), credentials
        )
        if call.method == "GET" or not _holds(call, Decimal(amount)):
            raise Refused(self.venue, f"ccxt's request is not for exactly {amount}: nothing is sent")
        return call

    def answered(self, facts: Mapping[str, str], raw: bytes) -> Found:
        """Return that it waits to be seen: errors were raised already, and no reply is the same everywhere."""
        try:
            msgspec.json.decode(raw)
        except msgspec.MsgspecError as error:
            raise Malformed(self.venue, "the reply is no JSON") from error
        return Found(Fate.PENDING, "taken by the venue")

    async def find(self, facts: Mapping[str, str]) -> Found:
        """Return whether the position's margin has grown by the amount; raises `ProviderError`."""
        amount, before = Decimal(facts["amount"]), Decimal(facts["before"])
        margin = await self._exchange.run(partial(_margin, symbol=facts["symbol"]))
        if margin is None:
            return Found(Fate.UNKNOWN, f"{facts['symbol']} is gone or tells no margin")
        if abs(margin - before - amount) <= amount / 50:
            return Found(Fate.CONFIRMED, f"margin of {facts['symbol']} is {margin:.2f} after {before:.2f}")
        is_fresh = time.time_ns() // 1_000_000 - int(facts["at"]) < _PENDING_MS
        return Found(Fate.PENDING if is_fresh else Fate.UNKNOWN, f"margin is {margin:.2f}, before {before:.2f}")


def _means(exchange: Any, coin: str) -> tuple[bool, Decimal]:
    exchange.load_markets()
    free = number((exchange.fetch_balance().get("free") or {}).get(coin), f"free {coin}")
    if free is None:
        raise Unreachable(f"ccxt:{exchange.id}", f"how much {coin} is free is not told")
    return exchange.has.get("addMargin") is True, free


def _margin(exchange: Any, symbol: str) -> Decimal | None:
    """Return an isolated position's margin without profit, `None` when it is not told; raises `Refused` for a hedge."""
    exchange.load_markets()
    rows = [row for row in read_positions(exchange) if row.get("symbol") == symbol and number(row.get("contracts"), "")]
    if len(rows) > 1 or any(row.get("hedged") for row in rows):
        raise Refused(f"ccxt:{exchange.id}", f"{symbol} is held in hedge mode: add margin at the venue")
    if not rows:
        return None
    collateral, profit = number(rows[0].get("collateral"), "collateral"), number(rows[0].get("unrealizedPnl"), "profit")
    return None if collateral is None or profit is None else collateral - profit


def _holds(call: Call, amount: Decimal) -> bool:
    """Return whether a request names the amount, in its query, form or JSON."""
    text = "" if call.content is None else call.content.decode()
    values: list[object] = [value for _, value in parse_qsl(call.query)]
    try:
        said = msgspec.json.decode(text) if text[:1] in ("{", "[") else dict(parse_qsl(text))
    except msgspec.MsgspecError:
        return False
    values += said.values() if isinstance(said, dict) else []
    for value in values:
        try:
            if Decimal(str(value)) == amount:
                return True
        except InvalidOperation:
            continue
    return False
