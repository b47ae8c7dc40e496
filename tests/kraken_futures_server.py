"""A loopback Kraken Futures as documented: signed REST with rising nonces, and a WebSocket that asks for a challenge.

Every private request must carry a signature that this server computes for itself and a nonce above every other that it
has seen of the key; money moves only for a key with full access. A transfer moves a coin from the cash wallet into a
margin wallet, an order closes part of a position at its mark, and both end up in what the account then holds.
"""

import base64
import hashlib
import hmac
import json
import time
from decimal import Decimal
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection

from tests.signed_server import Asked, Reply, SignedServer, say

_NUMBERS = msgspec.json.Encoder(decimal_format="number")
KEY = "test_api_key"
SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
CHALLENGE = "c094497e-9b5f-40da-a122-3751c39b107f"
_ROOT = "/derivatives/api/v3/"
_PUBLIC = frozenset({"instruments", "tickers", "orderbook"})
_WRITES = frozenset({"transfer", "sendorder"})
D = Decimal


class Fault(Exception):
    """An error in the venue's own word, which comes with HTTP 200."""


class KrakenFuturesServer(SignedServer):
    """What the venue would answer; a test owns the state and may change it while clients are connected.

    `positions` are rows of `openpositions`, `accounts` that reply's object, `tickers` and `instruments` rows by symbol.
    `may_write` is whether the key has full access. `raw` replaces the replies of an endpoint.
    """

    def __init__(self) -> None:
        super().__init__(self._answer_http, self._hear_ws)
        self.is_revoked, self.may_write = False, True
        self.positions: list[dict[str, Any]] = []
        self.accounts: dict[str, dict[str, Any]] = {"cash": {"type": "cashAccount", "balances": {}}, "flex": flex()}
        self.tickers: dict[str, dict[str, Any]] = {}
        self.instruments: dict[str, dict[str, Any]] = {}
        self.books: dict[str, dict[str, Any]] = {}
        self.fills: list[dict[str, Any]] = []
        self.raw: dict[str, bytes] = {}
        self.nonce = 0
        self._seq = int(time.time() * 1000)

    def count(self, endpoint: str) -> int:
        """Return how often an endpoint was asked for."""
        return sum(each.path == f"{_ROOT}{endpoint}" for each in self.asked)

    @property
    def said(self) -> list[dict[str, Any]]:
        """Return what clients said over WebSockets."""
        return [json.loads(text) for text in self.heard]

    def is_subscribed(self, times: int = 1) -> bool:
        """Return whether so many private subscriptions to positions have come."""
        return sum(each.get("feed") == "open_positions" for each in self.said) >= times

    async def push_frame(self, feed: str, **fields: Any) -> None:
        """Send a frame of a feed, with the venue's time on it."""
        self._seq += 1
        at = "time" if feed == "ticker" else "timestamp"
        await self.push(dumps({"feed": feed, at: self._seq} | fields))

    async def push_positions(self) -> None:
        """Send all positions as the feed tells them."""
        rows = [self._feed_row(row) for row in self.positions]
        await self.push_frame("open_positions", account="a", positions=rows)

    def _feed_row(self, row: dict[str, Any]) -> dict[str, Any]:
        sign = 1 if row["side"] == "long" else -1
        symbol = row["symbol"].upper()
        mark = self.tickers[symbol]["markPrice"]
        return {
            "instrument": symbol,
            "balance": sign * row["size"],
            "entry_price": row["price"],
            "mark_price": mark,
            "index_price": mark,
            "liquidation_threshold": 0,
        }

    def _answer_http(self, asked: Asked) -> Reply:
        endpoint = asked.path.removeprefix(_ROOT)
        if endpoint == asked.path:
            return Reply(404)
        if endpoint in self.raw:
            return Reply(200, self.raw[endpoint])
        try:
            if endpoint not in _PUBLIC:
                self._check(asked, endpoint)
            result = self._result(endpoint, asked.fields)
        except Fault as fault:
            result = {"result": "error", "error": str(fault)}
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        return Reply(200, dumps({"result": "success", "serverTime": stamp} | result).encode())

    def _check(self, asked: Asked, endpoint: str) -> None:
        """Refuse what is not signed for this very request, by a key that lives, with a nonce that rises."""
        nonce = asked.headers.get("nonce", "")
        arguments = asked.query or asked.body
        signed = f"{arguments}{nonce}{asked.path.removeprefix('/derivatives')}"
        if self.is_revoked or asked.headers.get("apikey") != KEY:
            raise Fault("authenticationError")
        if not hmac.compare_digest(sign(signed), asked.headers.get("authent", "")):
            raise Fault("authenticationError")
        if endpoint in _WRITES and not self.may_write:
            raise Fault("authenticationError")
        if nonce:
            if int(nonce) <= self.nonce:
                raise Fault("nonceBelowThreshold")
            self.nonce = int(nonce)

    def _result(self, endpoint: str, fields: dict[str, str]) -> dict[str, Any]:
        match endpoint:
            case "instruments":
                return {"instruments": list(self.instruments.values())}
            case "tickers":
                return {"tickers": list(self.tickers.values())}
            case "orderbook":
                return {"orderBook": self.books[fields["symbol"]]}
            case "openpositions":
                return {"openPositions": self.positions}
            case "accounts":
                return {"accounts": self.accounts}
            case "fills":
                return {"fills": self.fills}
            case "transfer":
                return self._transfer(fields)
            case "sendorder":
                return {"sendStatus": self._order(fields)}
            case _:
                raise Fault("notFound")

    def _transfer(self, fields: dict[str, str]) -> dict[str, Any]:
        unit, amount = fields["unit"], D(fields["amount"])
        cash = self.accounts[fields["fromAccount"]]["balances"]
        if D(str(cash.get(unit, 0))) < amount:
            raise Fault("insufficientAvailableFunds")
        cash[unit] = D(str(cash[unit])) - amount
        target = self.accounts[fields["toAccount"]]
        if target["type"] == "marginAccount":
            target["balances"][unit] = D(str(target["balances"].get(unit, 0))) + amount
            target["auxiliary"]["pv"] = D(str(target["auxiliary"]["pv"])) + amount
            return {}
        price = (
            D(1)
            if unit == "usd"
            else D(str(target["currencies"][unit]["value"])) / D(str(target["currencies"][unit]["quantity"]))
        )
        row = target["currencies"].setdefault(unit, {"quantity": D(0), "value": D(0), "collateral": D(0)})
        weight = D(1) if unit == "usd" else D(str(row["collateral"])) / D(str(row["value"]))
        for name, more in (("quantity", amount), ("value", amount * price), ("collateral", amount * price * weight)):
            row[name] = D(str(row[name])) + more
        target["marginEquity"] = D(str(target["marginEquity"])) + amount * price * weight
        return {}

    def _order(self, fields: dict[str, str]) -> dict[str, Any]:
        """Close part of a position at its mark, as a reduce-only order that is filled at once or not at all."""
        symbol = fields["symbol"].upper()
        held = next((row for row in self.positions if row["symbol"].upper() == symbol), None)
        closes = held is not None and (held["side"] == "long") == (fields["side"] == "sell")
        if held is None or not closes or fields["reduceOnly"] != "true":
            return {"status": "wouldNotReducePosition", "cliOrdId": fields["cliOrdId"]}
        mark, limit = D(str(self.tickers[symbol]["markPrice"])), D(fields["limitPrice"])
        if (mark < limit) if fields["side"] == "sell" else (mark > limit):
            return {"status": "iocWouldNotExecute", "cliOrdId": fields["cliOrdId"]}
        size = D(fields["size"])
        held["size"] = D(str(held["size"])) - size
        wallet = self.accounts["flex"]
        if symbol.startswith("PF_"):
            entry, rate = held["price"], self.instruments[symbol]["marginLevels"][0]["maintenanceMargin"]
            realised = (size if held["side"] == "long" else -size) * (mark - entry)
            for name, less in (("maintenanceMargin", size * entry * rate), ("pnl", realised)):
                wallet[name] = D(str(wallet[name])) - less
            for name in ("quantity", "value", "collateral"):
                wallet["currencies"]["usd"][name] = D(str(wallet["currencies"]["usd"][name])) + realised
        fill = {
            "fill_id": f"f{len(self.fills)}",
            "symbol": symbol,
            "side": fields["side"],
            "size": size,
            "price": mark,
            "cliOrdId": fields["cliOrdId"],
        }
        self.fills.insert(0, fill)
        events = [{"type": "EXECUTION", "price": mark, "amount": size}]
        return {"status": "placed", "order_id": "o1", "cliOrdId": fields["cliOrdId"], "orderEvents": events}

    async def _hear_ws(self, server: SignedServer, socket: ServerConnection, text: str) -> None:
        asked = json.loads(text)
        if asked["event"] == "challenge":
            await say(socket, dumps({"event": "challenge", "message": CHALLENGE}))
            return
        feed = asked["feed"]
        is_private = feed in ("open_positions", "balances")
        signed = asked.get("api_key") == KEY and asked.get("signed_challenge") == sign(CHALLENGE)
        if is_private and (self.is_revoked or not signed):
            await say(socket, dumps({"event": "alert", "message": "Failed to subscribe to authenticated feed"}))
            return
        await say(socket, dumps({"event": "subscribed", "feed": feed}))
        if feed == "open_positions":
            rows = [self._feed_row(row) for row in self.positions]
            await say(socket, dumps({"feed": feed, "account": "a", "positions": rows, "timestamp": self._seq}))


def flex(equity: object = 0, **fields: Any) -> dict[str, Any]:
    """Return a multi-collateral wallet in dollars, without profit unless told."""
    return {
        "type": "multiCollateralMarginAccount",
        "currencies": {"usd": {"quantity": equity, "value": equity, "collateral": equity, "available": equity}},
        "initialMargin": 0,
        "initialMarginWithOrders": 0,
        "maintenanceMargin": 0,
        "marginEquity": equity,
        "pnl": 0,
        "unrealizedFunding": 0,
    } | fields


def instrument(symbol: str, *levels: tuple[str, str], **fields: Any) -> dict[str, Any]:
    """Return a contract with margin levels (lower bound, maintenance rate)."""
    is_linear = symbol.upper().startswith("PF_")
    bound = "numNonContractUnits" if is_linear else "contracts"
    return {
        "symbol": symbol,
        "type": "flexible_futures" if is_linear else "futures_inverse",
        "tradeable": True,
        "tickSize": D(1),
        "contractSize": D(1),
        "contractValueTradePrecision": 4 if is_linear else 0,
        "marginLevels": [
            {bound: D(floor), "initialMargin": D(rate) * 2, "maintenanceMargin": D(rate)} for floor, rate in levels
        ],
    } | fields


def ticker(symbol: str, mark: str, **fields: Any) -> dict[str, Any]:
    """Return a contract's prices, the index at its mark."""
    return {"symbol": symbol, "markPrice": D(mark), "indexPrice": D(mark), "suspended": False} | fields


def dumps(value: object) -> str:
    """Return JSON in which a `Decimal` is a number with all its digits."""
    return _NUMBERS.encode(value).decode()


def sign(message: str) -> str:
    """Return the venue's own signature of a message."""
    digest = hashlib.sha256(message.encode()).digest()
    return base64.b64encode(hmac.new(base64.b64decode(SECRET), digest, hashlib.sha512).digest()).decode()
