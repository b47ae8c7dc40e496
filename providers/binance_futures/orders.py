"""Closing part of a position by a reduce-only order that fills at once within a price bound, or not at all.

Wire: developers.binance.com, `POST /fapi/v1/order` and `/papi/v1/um/order` (read 2026-11): LIMIT, IOC, found again by
`newClientOrderId`. In hedge mode the position side says what is closed, and `reduceOnly` must not be sent.
"""

import asyncio
import secrets
from collections.abc import Mapping
from decimal import Decimal
from math import inf

from engine.accounts import Account, Position
from engine.record import record
from engine.rendering import plain
from engine.rescue import Facility, Means, Option
from providers.binance_futures.client import RECV_WINDOW_MS, Client
from providers.binance_futures.rescue_wire import Rules, order_fate, parse_rules
from providers.binance_futures.wire import BOTH, LONG, SHORT, parse_modes, parse_premiums
from providers.errors import Refused
from providers.rescue_ports import Fate, Found
from providers.venue_rescue import REDUCE_BOUND, chosen, decimals_of, stepped

ORDER = "order"
GRACE_MS = 10_000
"""An order that is not known so long after its window ended was never taken."""
_RULES_S = 3600.0
_NO_SUCH_ORDER = -2013


@record
class Order:
    """One order to be sent, and how much it closes of which position (contract, "long" or "short")."""

    fields: Mapping[str, str]
    facts: Mapping[str, str]
    title: str
    quantity: Decimal
    closes: tuple[str, str]


class Orders:
    """Orders of one account. `path` takes and tells them, `modes_path` tells whether long and short stand apart.

    `market` is the client of the futures host, which tells rules and marks to anyone.
    """

    def __init__(self, market: Client, orders: Client, path: str, modes_path: str) -> None:
        self._market, self._orders, self._path, self._modes_path = market, orders, path, modes_path
        self._rules: tuple[float, Mapping[str, Rules]] = (-inf, {})

    async def rules(self) -> Mapping[str, Rules]:
        """Return tick and lot step by symbol, read once an hour; raises `ProviderError`."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._rules[0] > _RULES_S:
            self._rules = (now_s, parse_rules(await self._market.public("/fapi/v1/exchangeInfo")))
        return self._rules[1]

    async def facilities(self, account: Account, refused: str) -> tuple[Facility, ...]:
        """Return what can be closed of each position by orders, in whole lots of its contract."""
        rules = await self.rules()
        return tuple(
            Facility(
                each.asset,
                frozenset({Means.REDUCE}),
                token=each.contract,
                decimals=decimals_of(rules[each.contract].step),
                refused=refused,
                contract=each.contract,
                side=side_of(each),
            )
            for each in account.positions
            if each.quantity and each.contract in rules
        )

    async def closing(self, account: Account, option: Option) -> Order:
        """Return the order that carries out a reduction.

        Raises `Refused` when it is less than one lot or names no position, and `ProviderError`.
        """
        position, rules = chosen(account, option), await self.rules()
        known = rules.get(position.contract)
        if known is None:
            raise Refused(self._orders.venue, f"no rules for orders of {position.contract}")
        quantity = stepped(min(option.amount, abs(position.quantity)), known.step, up=False)
        if quantity <= 0:
            raise Refused(self._orders.venue, f"{plain(option.amount)} {option.asset} is less than one lot")
        is_hedged = parse_modes(await self._orders.signed(self._modes_path, weight=5)).is_hedged
        return await self._order(position, quantity, known, is_hedged=is_hedged)

    async def find(self, facts: Mapping[str, str], now_ms: int) -> Found:
        """Return what became of an order, by its client id; raises `ProviderError`."""
        asked = {"symbol": facts["symbol"], "origClientOrderId": facts["id"]}
        try:
            return order_fate(await self._orders.signed(self._path, asked))
        except Refused as error:
            if error.status != _NO_SUCH_ORDER:
                raise
        age_ms = now_ms - int(facts["at"])
        if age_ms < RECV_WINDOW_MS + GRACE_MS:
            return Found(Fate.PENDING, "the venue does not know the order yet")
        return Found(Fate.REJECTED, f"the venue knows no such order {age_ms // 1000} s after it was made")

    async def _order(self, position: Position, quantity: Decimal, rules: Rules, *, is_hedged: bool) -> Order:
        symbol, is_long = position.contract, position.quantity > 0
        premiums = parse_premiums(await self._market.public("/fapi/v1/premiumIndex", {"symbol": symbol}))
        mark = None if symbol not in premiums else premiums[symbol].mark_price
        if mark is None:
            raise Refused(self._orders.venue, f"no mark price of {symbol}: nothing to bound an order by")
        bound = mark * (1 - REDUCE_BOUND) if is_long else mark * (1 + REDUCE_BOUND)
        price = plain(stepped(bound, rules.tick, up=is_long))
        client_id = f"ml-{secrets.token_hex(8)}"
        side = (LONG if is_long else SHORT) if is_hedged else BOTH
        fields = {
            "symbol": symbol,
            "side": "SELL" if is_long else "BUY",
            "type": "LIMIT",
            "timeInForce": "IOC",
            "quantity": plain(quantity),
            "price": price,
            "newClientOrderId": client_id,
            "newOrderRespType": "RESULT",
            **({"positionSide": side} if is_hedged else {"reduceOnly": "true"}),
        }
        verb = "sell" if is_long else "buy"
        title = f"{verb} {plain(quantity)} {symbol} at {price} or better, reduce-only, at once or not at all"
        facts = {"symbol": symbol, "id": client_id, "amount": plain(quantity)}
        return Order(fields, facts, title, quantity, (symbol, side_of(position)))


def side_of(position: Position) -> str:
    """Return which side a position is on, in our words."""
    return "long" if position.quantity > 0 else "short"
