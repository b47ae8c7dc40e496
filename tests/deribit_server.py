"""A loopback Deribit as the venue's documentation describes it: JSON-RPC over HTTP and WebSocket, signed and scoped.

Every private request over HTTP must carry a `deri-hmac-sha256` signature that this server computes for itself, with a
time close to its own and a nonce that it has not seen; a WebSocket must log in. A wrong signature, a stale time, a
used nonce and a missing scope are refused with the venue's own codes. A transfer moves margin between the accounts
that are served, an order closes part of a position, and both can lose their answer on the way.
"""

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
KEY, SECRET = "test_api_key", "test_secret"
MAIN, SUB = 10, 7
WINDOW_MS = 60_000
ALL_SCOPES = "account:read trade:read_write wallet:read_write mainaccount connection"
_NEEDS = {
    "private/get_positions": "trade:read",
    "private/get_account_summaries": "account:read",
    "private/get_account_summary": "account:read",
    "private/get_subaccounts": "account:read",
    "private/get_transfers": "wallet:read",
    "private/get_order_state_by_label": "trade:read",
    "private/submit_transfer_between_subaccounts": "wallet:read_write",
    "private/buy": "trade:read_write",
    "private/sell": "trade:read_write",
}


class Fault(Exception):
    """An error reply."""

    def __init__(self, code: int, message: str, status: int = 400, reason: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.reason = code, message, status, reason


class DeribitServer(SignedServer):
    """What the venue would answer; a test owns the state and may change it while clients are connected.

    `positions` are rows of `get_positions`, `summaries` rows by currency, `purses` free funds by account and currency.
    `skew_ms` is how far the venue's clock is ahead. `raw` replaces the replies of a method.
    """

    def __init__(self) -> None:
        super().__init__(self._answer_http, self._hear_ws)
        self.scope, self.skew_ms, self.is_revoked = ALL_SCOPES, 0, False
        self.positions: list[dict[str, Any]] = []
        self.summaries: dict[str, dict[str, Any]] = {}
        self.purses: dict[int, dict[str, Decimal]] = {SUB: {}}
        self.tickers: dict[str, dict[str, Any]] = {}
        self.indexes: dict[str, Decimal] = {"btc_usd": Decimal(60000), "eth_usd": Decimal(3000)}
        self.instruments: dict[str, list[dict[str, Any]]] = {}
        self.books: dict[str, list[dict[str, Any]]] = {}
        self.order_books: dict[str, dict[str, Any]] = {}
        self.transfers: list[dict[str, Any]] = []
        self.orders: list[dict[str, Any]] = []
        self.raw: dict[str, bytes] = {}
        self.token_s = 900
        self.knows_summaries, self.refuses_sockets = True, False
        self._nonces: set[str] = set()
        self._logged_in: set[ServerConnection] = set()

    def now_ms(self) -> int:
        """Return the venue's own time."""
        return time.time_ns() // 1_000_000 + self.skew_ms

    def count(self, method: str) -> int:
        """Return how often a method was asked for over HTTP."""
        return sum(each.path == f"/api/v2/{method}" for each in self.asked)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Return the JSON-RPC requests that came over WebSockets."""
        return [json.loads(text) for text in self.heard]

    def called(self, method: str) -> int:
        """Return how often a method was called over WebSockets."""
        return sum(each["method"] == method for each in self.calls)

    async def push_data(self, channel: str, data: object) -> None:
        """Send a subscription's frame to every WebSocket."""
        frame = {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}}
        await self.push(dumps(frame))

    async def ask_test(self) -> None:
        """Send the heartbeat's question."""
        await self.push(dumps({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}}))

    def _answer_http(self, asked: Asked) -> Reply:
        method = asked.path.removeprefix("/api/v2/")
        if method == asked.path:
            return Reply(404)
        params: dict[str, Any] = asked.fields
        if asked.method == "POST":
            params = json.loads(asked.body)["params"]
        if method in self.raw:
            return Reply(200, self.raw[method])
        try:
            if method.startswith("private/"):
                self._check(asked)
                self._allow(method)
            result = self._result(method, params)
        except Fault as fault:
            return Reply(fault.status, dumps(error_of(fault)).encode())
        return Reply(200, dumps({"jsonrpc": "2.0", "result": result, "usIn": 1, "testnet": False}).encode())

    def _check(self, asked: Asked) -> None:
        """Refuse what is not signed for this very request, now, by a key that lives."""
        scheme, _, rest = asked.headers.get("authorization", "").partition(" ")
        told = dict(part.split("=", 1) for part in rest.split(",")) if scheme == "deri-hmac-sha256" else {}
        if self.is_revoked or told.get("id") != KEY:
            raise Fault(13004, "invalid_credentials", 401)
        target = f"{asked.path}?{asked.query}" if asked.query else asked.path
        message = f"{told['ts']}\n{told['nonce']}\n{asked.method}\n{target}\n{asked.body}\n"
        if not hmac.compare_digest(_sign(message), told["sig"]):
            raise Fault(13004, "invalid_credentials", 401)
        if abs(int(told["ts"]) - self.now_ms()) > WINDOW_MS or told["nonce"] in self._nonces:
            raise Fault(13009, "unauthorized", 401, "stale timestamp or used nonce")
        self._nonces.add(told["nonce"])

    def _allow(self, method: str) -> None:
        needed = _NEEDS.get(method, "")
        area, _, right = needed.partition(":")
        if needed and not {f"{area}:{right}", f"{area}:read_write"} & set(self.scope.split()):
            raise Fault(13021, "forbidden", 403, f"scope {needed}")

    def _result(self, method: str, params: dict[str, Any]) -> object:
        match method:
            case "public/get_time":
                return self.now_ms()
            case "public/auth":
                return self._auth(params)
            case "public/test":
                return {"version": "1.2.26"}
            case "public/get_index_price":
                if params["index_name"] not in self.indexes:
                    raise Fault(-32602, "Invalid params", reason="unknown index")
                price = self.indexes[params["index_name"]]
                return {"index_price": price, "estimated_delivery_price": price}
            case "public/ticker":
                return self.tickers[params["instrument_name"]]
            case "public/get_instruments":
                if params["currency"] not in self.instruments:
                    raise Fault(-32602, "Invalid params", reason="wrong currency")
                return self.instruments[params["currency"]]
            case "public/get_book_summary_by_currency":
                return self.books[params["currency"]]
            case "public/get_order_book":
                return self.order_books[params["instrument_name"]]
            case "private/get_positions":
                return self.positions
            case "private/get_account_summaries" if self.knows_summaries:
                return {"id": MAIN, "summaries": list(self.summaries.values())}
            case "private/get_account_summary":
                empty = {"currency": params["currency"], "margin_model": "segregated_sm", "equity": 0}
                return {"id": MAIN} | self.summaries.get(params["currency"], empty)
            case "private/get_subaccounts":
                return [{"id": MAIN, "type": "main", "username": "me"}, *self._subaccounts()]
            case "private/get_transfers":
                rows = [row for row in self.transfers if row["currency"] == params["currency"]]
                return {"count": len(rows), "data": rows[::-1][: int(params.get("count", 10))]}
            case "private/submit_transfer_between_subaccounts":
                return self._transfer(params)
            case "private/buy" | "private/sell":
                return self._order(method.removeprefix("private/"), params)
            case "private/get_order_state_by_label":
                return [row for row in self.orders if row["label"] == params["label"]]
            case _:
                raise Fault(-32601, "Method not found")

    def _auth(self, params: dict[str, Any]) -> dict[str, Any]:
        if params["grant_type"] == "client_signature":
            message = f"{params['timestamp']}\n{params['nonce']}\n{params['data']}"
            is_good = params["client_id"] == KEY and _sign(message) == params["signature"]
            is_fresh = abs(int(params["timestamp"]) - self.now_ms()) <= WINDOW_MS
        elif params["grant_type"] == "refresh_token":
            is_good, is_fresh = params["refresh_token"] == "a refresh token", True
        else:
            is_good, is_fresh = (params["client_id"], params["client_secret"]) == (KEY, SECRET), True
        if self.is_revoked or not is_good or not is_fresh:
            raise Fault(13004, "invalid_credentials", 401)
        return {
            "access_token": "an access token",
            "refresh_token": "a refresh token",
            "expires_in": self.token_s,
            "scope": self.scope,
            "token_type": "bearer",
        }

    def _subaccounts(self) -> list[dict[str, Any]]:
        return [
            {
                "id": number,
                "type": "subaccount",
                "username": f"sub{number}",
                "portfolio": {
                    currency.lower(): {
                        "currency": currency,
                        "available_withdrawal_funds": free,
                        "available_funds": free,
                    }
                    for currency, free in purse.items()
                },
            }
            for number, purse in self.purses.items()
        ]

    def _transfer(self, params: dict[str, Any]) -> dict[str, Any]:
        source, target = int(params["source"]), int(params["destination"])
        amount, currency = Decimal(params["amount"]), params["currency"]
        if "mainaccount" not in self.scope.split() or target != MAIN or source not in self.purses:
            raise Fault(13021, "forbidden", 403, "not an own subaccount")
        if amount > self.purses[source].get(currency, Decimal(0)):
            raise Fault(10009, "not_enough_funds")
        self.purses[source][currency] -= amount
        for name in ("equity", "balance", "margin_balance"):
            if name in self.summaries[currency]:
                self.summaries[currency][name] = Decimal(str(self.summaries[currency][name])) + amount
        row = {
            "id": len(self.transfers) + 1,
            "amount": amount,
            "currency": currency,
            "direction": "income",
            "other_side": f"sub{source}",
            "state": "confirmed",
            "type": "subaccount",
            "created_timestamp": self.now_ms(),
            "updated_timestamp": self.now_ms(),
        }
        self.transfers.append(row)
        return row

    def _order(self, side: str, params: dict[str, Any]) -> dict[str, Any]:
        """Close part of a position at the mark, as a reduce-only order that is filled at once."""
        held = next((row for row in self.positions if row["instrument_name"] == params["instrument_name"]), None)
        if held is None or params["reduce_only"] != "true" or held["direction"] == side:
            raise Fault(10004, "reduce_only_would_increase")
        amount, size = Decimal(params["amount"]), Decimal(str(held["size"]))
        left = abs(size) - amount
        share = left / abs(size)
        held["size"] = left if size > 0 else -left
        coin, _, currency = params["instrument_name"].partition("-")[0].partition("_")
        summary = self.summaries[currency or coin]
        for name in ("maintenance_margin", "initial_margin", "size_currency"):
            if name in held:
                before = Decimal(str(held[name]))
                held[name] = before * share
                if name in summary:
                    summary[name] = Decimal(str(summary[name])) - (before - held[name])
        order = {
            "order_id": f"ETH-{len(self.orders) + 1}",
            "label": params["label"],
            "order_state": "filled",
            "amount": amount,
            "filled_amount": amount,
            "instrument_name": params["instrument_name"],
            "direction": side,
            "average_price": held["mark_price"],
            "creation_timestamp": self.now_ms(),
        }
        self.orders.append(order)
        return {"order": order, "trades": []}

    async def _hear_ws(self, server: SignedServer, socket: ServerConnection, text: str) -> None:
        asked = json.loads(text)
        method, params = asked["method"], asked.get("params", {})
        try:
            if method == "public/auth" and self.refuses_sockets:
                raise Fault(13004, "invalid_credentials")
            if method == "private/subscribe":
                if socket not in self._logged_in:
                    raise Fault(13009, "unauthorized")
                result: object = params["channels"]
            elif method == "public/set_heartbeat":
                result = "ok"
            else:
                result = self._result(method, params)
            if method == "public/auth":
                self._logged_in.add(socket)
            reply: dict[str, Any] = {"jsonrpc": "2.0", "id": asked["id"], "result": result}
        except Fault as fault:
            reply = error_of(fault) | {"id": asked["id"]}
        await say(socket, dumps(reply))


def dumps(value: object) -> str:
    """Return JSON in which a `Decimal` is a number with all its digits."""
    return _NUMBERS.encode(value).decode()


def _sign(message: str) -> str:
    return hmac.new(SECRET.encode(), message.encode(), hashlib.sha256).hexdigest()


def error_of(fault: Fault) -> dict[str, Any]:
    """Return an error reply."""
    data = {"reason": fault.reason} if fault.reason else {}
    return {"jsonrpc": "2.0", "error": {"code": fault.code, "message": fault.message, "data": data}}
