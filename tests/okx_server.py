"""A loopback OKX as its v5 documentation describes it (read 2026-11): one trading account, REST and WebSockets.

Every private request is checked as the venue does it: key, passphrase, signature over exactly what was sent, a time
within 30 s of the venue's own clock (`ahead_ms` off this machine's), the environment, permission. A confirmed request
changes what is served: an isolated position gets margin, a transfer fills the account, an order closes contracts.
"""

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from websockets.asyncio.server import ServerConnection

from tests.signed_server import Asked, Reply, SignedServer, say

KEY, SECRET, PASSPHRASE = "okx-key-9Lmn", "okx-secret-Yy42", "okx-pass-55"
_TRADE = ("/api/v5/account/position/margin-balance", "/api/v5/asset/transfer", "/api/v5/trade/order")
SWAP = "BTC-USDT-SWAP"


def row(contract: str, pos: str, entry: str, mark: str, **more: Any) -> dict[str, Any]:
    """Return a row of the position list; a cross one in net mode unless `more` says otherwise."""
    return {
        "instType": "SWAP",
        "instId": contract,
        "mgnMode": "cross",
        "posSide": "net",
        "pos": pos,
        "ccy": "USDT",
        "avgPx": entry,
        "markPx": mark,
        "liqPx": "",
        "margin": "",
        "imr": "",
        "mmr": "",
        "mgnRatio": "",
        "upl": "",
        "fundingFee": "0",
        "adl": "1",
        "lever": "10",
    } | more


def coin(name: str, equity: str, usd: str | None = None, **more: Any) -> dict[str, Any]:
    """Return one currency of the balance; `usd` is what all of it is worth."""
    worth = equity if usd is None else usd
    return {
        "ccy": name,
        "eq": equity,
        "cashBal": equity,
        "eqUsd": worth,
        "disEq": worth,
        "isoEq": "0",
        "upl": "0",
        "isoUpl": "0",
    } | more


class Okx:
    """The venue's state, owned by the test; `server` is what listens."""

    def __init__(self) -> None:
        self.level, self.has_sides, self.permissions = "2", False, "read_only,trade"
        self.positions: list[dict[str, Any]] = []
        self.coins: list[dict[str, Any]] = [coin("USDT", "5000")]
        self.totals: dict[str, str] = {}
        self.funding: dict[str, Decimal] = {"USDT": Decimal(1000)}
        self.key, self.secret, self.passphrase = KEY, SECRET, PASSPHRASE
        self.ahead_ms, self.is_demo, self.ws_status = 0, False, 101
        self.transfer_state, self.tells_transfers = "success", True
        self.fills: Decimal | None = None
        self.transfers: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.marks = {SWAP: "60000", "ETH-USDT-SWAP": "2500", "BTC-USD-SWAP": "60000"}
        self.server = SignedServer(self.answer, self.hear, lambda _: self.ws_status)

    @property
    def now_ms(self) -> int:
        """Return the venue's time."""
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def answer(self, asked: Asked) -> Reply:
        """Answer one request as the venue does."""
        if asked.path == "/api/v5/public/time":
            return ok({"ts": str(self.now_ms)})
        if not asked.path.startswith(("/api/v5/public/", "/api/v5/market/")):
            refusal = self._checked(asked)
            if refusal is not None:
                return refusal
        name = asked.path.removeprefix("/api/v5/").replace("/", "_").replace("-", "_")
        handler = getattr(self, f"_{name}" if asked.method == "GET" else f"_post_{name}", None)
        if handler is None:
            return Reply(404, {"code": "404", "msg": "Not Found", "data": []})
        reply: Reply = handler(json.loads(asked.body) if asked.method == "POST" else asked.fields)
        return reply

    async def hear(self, server: SignedServer, socket: ServerConnection, text: str) -> None:
        """Answer one text of a WebSocket client: log-in, subscriptions, pings."""
        if text == "ping":
            await say(socket, "pong")
            return
        said = json.loads(text)
        if said["op"] == "login":
            (args,) = said["args"]
            fine = args["apiKey"] == self.key and args["passphrase"] == self.passphrase
            fine = fine and args["sign"] == self._sign(f"{args['timestamp']}GET/users/self/verify")
            fine = fine and abs(int(args["timestamp"]) * 1000 - self.now_ms) < 30_000
            reply = {"event": "login", "code": "0", "msg": "", "connId": "c1"}
            refused = {"event": "error", "code": "60009", "msg": "Login failed.", "connId": "c1"}
            await say(socket, json.dumps(reply if fine else refused))
            return
        for arg in said["args"]:
            await say(socket, json.dumps({"event": "subscribe", "arg": arg, "connId": "c1"}))
            if arg["channel"] == "mark-price":
                await say(socket, json.dumps(self.mark_frame(arg["instId"], self.marks[arg["instId"]])))

    def mark_frame(self, contract: str, mark: str) -> dict[str, Any]:
        """Return a frame of the `mark-price` channel."""
        data = {"instType": "SWAP", "instId": contract, "markPx": mark, "ts": str(self.now_ms)}
        return {"arg": {"channel": "mark-price", "instId": contract}, "data": [data]}

    def _checked(self, asked: Asked) -> Reply | None:
        headers = asked.headers
        if headers.get("ok-access-key") != self.key:
            return _error("50111", "Invalid OK-ACCESS-KEY", 401)
        if (headers.get("x-simulated-trading") == "1") != self.is_demo:
            return _error("50101", "APIKey does not match current environment.", 401)
        if headers.get("ok-access-passphrase") != self.passphrase:
            return _error("50105", "Request header OK-ACCESS-PASSPHRASE incorrect.", 401)
        stamp = headers.get("ok-access-timestamp", "")
        at = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        if abs(at.timestamp() * 1000 - self.now_ms) > 30_000:
            return _error("50102", "Timestamp request expired", 401)
        target = f"{asked.path}?{asked.query}" if asked.query else asked.path
        if headers.get("ok-access-sign") != self._sign(f"{stamp}{asked.method}{target}{asked.body}"):
            return _error("50113", "Invalid Sign", 401)
        if asked.method == "POST" and asked.path in _TRADE and "trade" not in self.permissions:
            return _error("50120", "This API key doesn't have permission to use this function", 401)
        return None

    def _sign(self, text: str) -> str:
        return base64.b64encode(hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).digest()).decode()

    def _account_config(self, _: dict[str, str]) -> Reply:
        mode = "long_short_mode" if self.has_sides else "net_mode"
        return ok({"acctLv": self.level, "posMode": mode, "perm": self.permissions, "uid": "1"})

    def _account_balance(self, _: dict[str, str]) -> Reply:
        return ok({"details": self.coins, "totalEq": "", "adjEq": "", "mmr": "", "mgnRatio": ""} | self.totals)

    def _account_positions(self, fields: dict[str, str]) -> Reply:
        return ok(*(each for each in self.positions if fields.get("instId") in (None, each["instId"])))

    def _account_interest_rate(self, _: dict[str, str]) -> Reply:
        return ok({"ccy": "USDC", "interestRate": "0.00001"}, {"ccy": "BTC", "interestRate": ""})

    def _account_trade_fee(self, _: dict[str, str]) -> Reply:
        return ok(
            {"taker": "-0.0005", "maker": "-0.0002", "takerU": "-0.0005", "takerUSDC": "-0.0004", "instType": "SWAP"}
        )

    def _public_instruments(self, fields: dict[str, str]) -> Reply:
        name = fields["instId"]
        if name not in self.marks:
            return ok()
        base, quote, _ = name.split("-")
        is_inverse = quote == "USD"
        told = {
            "instId": name,
            "instType": fields["instType"],
            "instFamily": f"{base}-{quote}",
            "uly": f"{base}-{quote}",
            "settleCcy": base if is_inverse else quote,
            "ctVal": "100" if is_inverse else "0.01",
            "ctMult": "1",
            "ctType": "inverse" if is_inverse else "linear",
            "ctValCcy": "USD" if is_inverse else base,
            "tickSz": "0.1",
            "lotSz": "0.1",
            "minSz": "0.1",
        }
        return ok(told)

    def _public_position_tiers(self, fields: dict[str, str]) -> Reply:
        tiers = [("1", "0", "1000", "0.004"), ("2", "1000.1", "5000", "0.01"), ("3", "5000.1", "10000", "0.02")]
        rows = [{"tier": n, "minSz": low, "maxSz": high, "mmr": rate, "imr": "0.01"} for n, low, high, rate in tiers]
        return ok(*rows)

    def _public_funding_rate(self, fields: dict[str, str]) -> Reply:
        told = {
            "instId": fields["instId"],
            "fundingRate": "0.0001",
            "nextFundingRate": "0.0003",
            "fundingTime": "1795852800000",
            "nextFundingTime": "1795881600000",
        }
        return ok(told)

    def _market_books(self, fields: dict[str, str]) -> Reply:
        bids = [["59999.9", "150", "0", "2"], ["59990", "400", "0", "1"]]
        return ok({"bids": bids, "asks": [["60000.1", "200", "0", "1"]], "ts": str(self.now_ms)})

    def _asset_balances(self, fields: dict[str, str]) -> Reply:
        wanted = fields["ccy"].split(",")
        return ok(*({"ccy": name, "availBal": f"{self.funding[name]:f}"} for name in wanted if name in self.funding))

    def _post_asset_transfer(self, body: dict[str, Any]) -> Reply:
        name, amount = body["ccy"], Decimal(body["amt"])
        if self.funding.get(name, Decimal(0)) < amount:
            return _error("58350", "Insufficient balance")
        self.transfers[body["clientId"]] = body
        if self.transfer_state != "failed":
            self.funding[name] -= amount
            self.credit(name, amount)
        told = {"transId": f"t{len(self.transfers)}", "ccy": name, "amt": body["amt"], "clientId": body["clientId"]}
        return ok(told | {"from": "6", "to": "18"})

    def credit(self, name: str, amount: Decimal) -> None:
        """Put `amount` of a currency into the trading account; its ratio follows."""
        for each in self.coins:
            if each["ccy"] != name:
                continue
            before = Decimal(each["eq"])
            for figure in ("eq", "cashBal", "eqUsd", "disEq"):
                each[figure] = f"{Decimal(each[figure]) + amount:f}"
            if each.get("mgnRatio"):
                each["mgnRatio"] = f"{Decimal(each['mgnRatio']) * (before + amount) / before:f}"
            if each.get("availEq"):
                each["availEq"] = f"{Decimal(each['availEq']) + amount:f}"

    def _asset_transfer_state(self, fields: dict[str, str]) -> Reply:
        told = self.transfers.get(fields["clientId"])
        if told is None or not self.tells_transfers:
            return _error("58129", "clientId is incorrect")
        return ok({"clientId": fields["clientId"], "state": self.transfer_state, "amt": told["amt"]})

    def _asset_bills(self, fields: dict[str, str]) -> Reply:
        told = (
            [] if self.transfer_state == "failed" else [each for each in self.transfers if each == fields["clientId"]]
        )
        return ok(*({"billId": "b1", "ccy": fields["ccy"], "clientId": each, "type": "131"} for each in told))

    def _post_account_position_margin_balance(self, body: dict[str, Any]) -> Reply:
        found = self._row(body)
        if found is None or found["mgnMode"] != "isolated":
            return _error("59300", "Margin call failed. Position does not exist.")
        amount = Decimal(body["amt"])
        purse = next(each for each in self.coins if each["ccy"] == found["ccy"])
        if Decimal(purse.get("availEq", purse["cashBal"])) < amount:
            return _error("59301", "Margin adjustment failed for exceeding the max limit.")
        found["margin"] = f"{Decimal(found['margin']) + amount:f}"
        purse["availEq"] = f"{Decimal(purse.get('availEq', purse['cashBal'])) - amount:f}"
        purse["isoEq"] = f"{Decimal(purse['isoEq']) + amount:f}"
        settle(found)
        return ok({"instId": body["instId"], "posSide": body["posSide"], "type": "add", "amt": body["amt"], "ccy": ""})

    def _post_trade_order(self, body: dict[str, Any]) -> Reply:
        found = self._row(body)
        if found is None or not body.get("reduceOnly"):
            failed = {"clOrdId": body["clOrdId"], "ordId": "", "sCode": "51169", "sMsg": "No position to reduce"}
            return Reply(200, {"code": "1", "msg": "All operations failed", "data": [failed]})
        size = Decimal(found["pos"])
        wanted = min(Decimal(body["sz"]), abs(size))
        filled = wanted if self.fills is None else min(self.fills, wanted)
        found["pos"] = f"{size - filled if size > 0 else size + filled:f}"
        state = "filled" if filled == wanted else "canceled"
        price = found["markPx"] if filled else ""
        told = {"clOrdId": body["clOrdId"], "state": state, "accFillSz": f"{filled:f}", "avgPx": price}
        self.orders[body["clOrdId"]] = told
        return ok({"ordId": f"o{len(self.orders)}", "clOrdId": body["clOrdId"], "sCode": "0", "sMsg": ""})

    def _trade_order(self, fields: dict[str, str]) -> Reply:
        told = self.orders.get(fields["clOrdId"])
        return _error("51603", "Order does not exist") if told is None else ok(told)

    def _row(self, body: dict[str, Any]) -> dict[str, Any] | None:
        side = body.get("posSide", "net")
        mode = body.get("tdMode")
        return next(
            (
                each
                for each in self.positions
                if each["instId"] == body["instId"] and each["posSide"] == side and mode in (None, each["mgnMode"])
            ),
            None,
        )


def settle(held: dict[str, Any]) -> None:
    """Give an isolated linear row of 0.01 BTC contracts the ratio and liquidation price that follow from its margin."""
    size, margin = Decimal(held["pos"]) * Decimal("0.01"), Decimal(held["margin"])
    entry, mark, cost = Decimal(held["avgPx"]), Decimal(held["markPx"]), Decimal("0.0045")
    limit = (margin - size * entry) / (abs(size) * cost - size)
    held["liqPx"] = f"{limit:.4f}" if limit > 0 else ""
    held["mmr"] = f"{abs(size) * mark * Decimal('0.004'):f}"
    held["upl"] = f"{size * (mark - entry):f}"
    held["mgnRatio"] = f"{(margin + size * (mark - entry)) / (abs(size) * mark * cost):f}"


def ok(*rows: dict[str, Any]) -> Reply:
    """Return a reply with `rows`."""
    return Reply(200, {"code": "0", "msg": "", "data": list(rows)})


def _error(code: str, text: str, status: int = 200) -> Reply:
    return Reply(status, {"code": code, "msg": text, "data": []})


def futures_mode() -> Okx:
    """Return a venue in futures mode: 0.5 BTC long at 58,000 in cross, backed by 5,000 USDT of cash."""
    venue = Okx()
    venue.positions = [row(SWAP, "50", "58000", "60000", mmr="120", imr="3000", upl="1000", fundingFee="-12.5")]
    usdt = {"cashBal": "5000", "upl": "1000", "mmr": "120", "imr": "3000", "mgnRatio": f"{Decimal(6000) / 135:f}"}
    venue.coins = [coin("USDT", "6000", **usdt)]
    return venue


def isolated() -> Okx:
    """Return a venue in futures mode with one isolated long: 1 BTC at 60,000 on a margin of 1,000 USDT."""
    venue = Okx()
    held = row(SWAP, "100", "60000", "60000", mgnMode="isolated", margin="1000")
    settle(held)
    venue.positions = [held]
    venue.coins = [coin("USDT", "6000", isoEq="1000", availEq="5000")]
    return venue
