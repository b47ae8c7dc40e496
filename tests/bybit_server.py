"""A loopback Bybit as its v5 documentation describes it (read 2026-11): one unified account, REST and WebSockets.

Every private request is checked as the venue does it: key, signature over exactly what was sent, timestamp within the
receive window of the venue's own clock (`ahead_ms` off this machine's), permission. A confirmed request changes what is
served: margin moves an isolated position's liquidation price, a transfer fills the wallet, an order closes size.
"""

import hashlib
import hmac
import json
import time
from decimal import Decimal
from typing import Any

from websockets.asyncio.server import ServerConnection

from tests.signed_server import Asked, Reply, SignedServer, say

KEY, SECRET = "bybit-key-7Q2x", "bybit-secret-Zz19"
ALL_RIGHTS = {"ContractTrade": ["Order", "Position"], "Wallet": ["AccountTransfer"], "Spot": [], "Derivatives": []}
_POSITION = {"ContractTrade:Position", "Derivatives:DerivativesTrade"}
_ORDER = {"ContractTrade:Order", "Derivatives:DerivativesTrade"}
_TRANSFER = {"Wallet:AccountTransfer"}
_PUBLIC = ("/v5/market/", "/v5/spot-margin-trade/collateral")


def row(symbol: str, side: str, size: str, entry: str, mark: str, **more: Any) -> dict[str, Any]:
    """Return a row of the position list."""
    return {
        "symbol": symbol,
        "side": side,
        "size": size,
        "avgPrice": entry,
        "markPrice": mark,
        "positionIdx": 0,
        "liqPrice": "",
        "positionIM": "",
        "positionMM": "",
        "leverage": "10",
        "adlRankIndicator": 2,
        "positionStatus": "Normal",
        "positionBalance": "",
    } | more


def coin(name: str, wallet: str, usd: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a coin of the wallet; `usd` is what all of it is worth."""
    return {
        "coin": name,
        "walletBalance": wallet,
        "equity": wallet,
        "usdValue": wallet if usd is None else usd,
        "spotBorrow": "0",
        "totalOrderIM": "0",
        "totalPositionIM": "0",
        "locked": "0",
        "bonus": "0",
        "marginCollateral": True,
        "collateralSwitch": True,
    } | more


class Bybit:
    """The venue's state, owned by the test; `server` is what listens."""

    def __init__(self) -> None:
        self.mode = "REGULAR_MARGIN"
        self.positions: dict[str, list[dict[str, Any]]] = {"linear": [], "inverse": []}
        self.coins: list[dict[str, Any]] = [coin("USDT", "5000")]
        self.totals: dict[str, str] = {}
        self.funding: dict[str, Decimal] = {"USDT": Decimal(1000)}
        self.rights = dict(ALL_RIGHTS)
        self.read_only = 0
        self.ahead_ms = 0
        self.key, self.secret = KEY, SECRET
        self.transfer_status = "SUCCESS"
        self.fills: Decimal | None = None
        self.transfers: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.prices = {"BTCUSDT": ("60000", "60010"), "ETHUSDT": ("2500", "2501"), "BTCUSD": ("60000", "60005")}
        self.ws_status = 101
        self.server = SignedServer(self.answer, self.hear, lambda _: self.ws_status)

    @property
    def now_ms(self) -> int:
        """Return the venue's time."""
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def answer(self, asked: Asked) -> Reply:
        """Answer one request as the venue does."""
        if asked.path == "/v5/market/time":
            now_ns = self.now_ms * 1_000_000
            return self._ok({"timeSecond": str(now_ns // 10**9), "timeNano": str(now_ns)})
        if not asked.path.startswith(_PUBLIC):
            refusal = self._checked(asked)
            if refusal is not None:
                return refusal
        name = asked.path.removeprefix("/v5/").replace("/", "_").replace("-", "_")
        handler = getattr(self, f"_{name}", None)
        if handler is None:
            return Reply(404, {})
        reply: Reply = handler(json.loads(asked.body) if asked.method == "POST" else asked.fields)
        return reply

    async def hear(self, server: SignedServer, socket: ServerConnection, text: str) -> None:
        """Answer one text of a WebSocket client: log-in, subscriptions, pings."""
        said = json.loads(text)
        if said["op"] == "ping":
            await say(socket, json.dumps({"op": "pong", "args": [str(self.now_ms)]}))
        elif said["op"] == "auth":
            key, expires, signature = said["args"]
            wanted = self._hmac(f"GET/realtime{expires}")
            fine = key == self.key and signature == wanted and int(expires) > self.now_ms
            reply = {"success": fine, "ret_msg": "" if fine else "Params Error", "op": "auth", "conn_id": "c1"}
            await say(socket, json.dumps(reply))
        elif said["op"] == "subscribe":
            await say(socket, json.dumps({"success": True, "ret_msg": "", "op": "subscribe", "conn_id": "c1"}))
            for topic in said["args"]:
                symbol = topic.removeprefix("tickers.")
                if topic.startswith("tickers.") and symbol in self.prices:
                    await say(socket, json.dumps(self.ticker_frame(symbol)))

    def ticker_frame(self, symbol: str, *, kind: str = "snapshot", **data: str) -> dict[str, Any]:
        """Return a frame of the `tickers` topic; a delta tells `data` only."""
        told = {"symbol": symbol} | (data if kind == "delta" else self._ticker(symbol) | data)
        return {"topic": f"tickers.{symbol}", "type": kind, "data": told, "cs": 1, "ts": self.now_ms}

    def _checked(self, asked: Asked) -> Reply | None:
        headers = asked.headers
        stamp, window = headers.get("x-bapi-timestamp", "0"), headers.get("x-bapi-recv-window", "5000")
        if headers.get("x-bapi-api-key") != self.key:
            return _error(10003, "API key is invalid.")
        if not self.now_ms - int(window) <= int(stamp) < self.now_ms + 1000:
            return _error(10002, "invalid request, please check your server timestamp or recv_window param.")
        signed = asked.body if asked.method == "POST" else asked.query
        if headers.get("x-bapi-sign") != self._hmac(f"{stamp}{self.key}{window}{signed}"):
            return _error(10004, "Error sign, please check your signature generation algorithm.")
        needed = {
            "/v5/position/add-margin": _POSITION,
            "/v5/order/create": _ORDER,
            "/v5/asset/transfer/inter-transfer": _TRANSFER,
        }.get(asked.path)
        has = {f"{group}:{right}" for group, rights in self.rights.items() for right in rights}
        if needed is not None and (self.read_only or not has & needed):
            return _error(10005, "Permission denied, please check your API key permissions.")
        return None

    def _hmac(self, text: str) -> str:
        return hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    def _ok(self, result: object) -> Reply:
        return Reply(200, {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": self.now_ms})

    def _account_info(self, _: dict[str, str]) -> Reply:
        return self._ok({"marginMode": self.mode, "unifiedMarginStatus": 5})

    def _account_wallet_balance(self, _: dict[str, str]) -> Reply:
        return self._ok({"list": [{"accountType": "UNIFIED", "coin": self.coins} | self.totals]})

    def _position_list(self, fields: dict[str, str]) -> Reply:
        rows = self.positions[fields["category"]]
        if fields["category"] == "linear":
            if "symbol" not in fields and "settleCoin" not in fields:
                return _error(10001, "symbol or settleCoin is required")
            if "symbol" not in fields:
                rows = [each for each in rows if each["symbol"].endswith(fields["settleCoin"])]
        if "symbol" in fields:
            rows = [each for each in rows if each["symbol"] == fields["symbol"]]
        return self._ok({"category": fields["category"], "nextPageCursor": "", "list": rows})

    def _user_query_api(self, _: dict[str, str]) -> Reply:
        return self._ok({"apiKey": self.key, "readOnly": self.read_only, "permissions": self.rights, "uta": 1})

    def _spot_margin_trade_collateral(self, _: dict[str, str]) -> Reply:
        one = [{"minQty": "0", "maxQty": "", "collateralRatio": "1"}]
        btc = [
            {"minQty": "0", "maxQty": "10", "collateralRatio": "0.95"},
            {"minQty": "10", "maxQty": "", "collateralRatio": "0.9"},
        ]
        ratios = {"USDT": one, "USDC": one, "BTC": btc}
        return self._ok({"list": [{"currency": name, "collateralRatioList": told} for name, told in ratios.items()]})

    def _account_collateral_info(self, _: dict[str, str]) -> Reply:
        return self._ok({"list": [{"currency": "USDC", "hourlyBorrowRate": "0.00001"}]})

    def _account_fee_rate(self, fields: dict[str, str]) -> Reply:
        return self._ok({"list": [{"symbol": fields["symbol"], "takerFeeRate": "0.00055", "makerFeeRate": "0.0002"}]})

    def _market_instruments_info(self, fields: dict[str, str]) -> Reply:
        symbol = fields["symbol"]
        if symbol not in self.prices or symbol.endswith("USDT") != (fields["category"] == "linear"):
            return self._ok({"category": fields["category"], "list": []})
        base, settle = (symbol[:-4], "USDT") if symbol.endswith("USDT") else (symbol[:-3], symbol[:-3])
        told = {
            "symbol": symbol,
            "baseCoin": base,
            "quoteCoin": "USDT" if settle == "USDT" else "USD",
            "settleCoin": settle,
            "fundingInterval": 480,
            "priceFilter": {"tickSize": "0.10", "minPrice": "0.10", "maxPrice": "1999999.80"},
            "lotSizeFilter": {"qtyStep": "0.001" if settle == "USDT" else "1", "minOrderQty": "0.001"},
        }
        return self._ok({"category": fields["category"], "list": [told]})

    def _market_risk_limit(self, fields: dict[str, str]) -> Reply:
        symbol = fields["symbol"]
        is_linear = fields["category"] == "linear"
        bounds = ("2000000", "10000000") if is_linear else ("150", "300")
        deduction = "10000" if is_linear else "0.75"
        limits = [(bounds[0], "0.005", "0.01", "100", ""), (bounds[1], "0.01", "0.02", "50", deduction)]
        rows = [
            {
                "id": index,
                "symbol": symbol,
                "riskLimitValue": bound,
                "maintenanceMargin": rate,
                "initialMargin": initial,
                "maxLeverage": leverage,
                "mmDeduction": told,
            }
            for index, (bound, rate, initial, leverage, told) in enumerate(limits, 1)
        ]
        return self._ok({"category": fields["category"], "list": rows})

    def _ticker(self, symbol: str) -> dict[str, str]:
        mark, index = self.prices[symbol]
        return {
            "symbol": symbol,
            "markPrice": mark,
            "indexPrice": index,
            "fundingRate": "0.0001",
            "fundingIntervalHour": "8",
            "nextFundingTime": "1795852800000",
        }

    def _market_tickers(self, fields: dict[str, str]) -> Reply:
        return self._ok({"category": fields["category"], "list": [self._ticker(fields["symbol"])]})

    def _market_orderbook(self, fields: dict[str, str]) -> Reply:
        book = {"b": [["59999.9", "1.5"], ["59990", "4"]], "a": [["60000.1", "2"], ["60010", "3"]]}
        return self._ok({"s": fields["symbol"], "ts": self.now_ms, "u": 1} | book)

    def _asset_transfer_query_account_coins_balance(self, fields: dict[str, str]) -> Reply:
        wanted = fields["coin"].split(",")
        rows = [{"coin": name, "transferBalance": f"{self.funding.get(name, Decimal(0)):f}"} for name in wanted]
        return self._ok({"accountType": "FUND", "balance": rows})

    def _asset_transfer_inter_transfer(self, body: dict[str, Any]) -> Reply:
        name, amount = body["coin"], Decimal(body["amount"])
        if body["transferId"] in self.transfers:
            return _error(131200, "transferId exists")
        if self.funding.get(name, Decimal(0)) < amount:
            return _error(131212, "Insufficient balance")
        self.transfers[body["transferId"]] = body
        if self.transfer_status != "FAILED":
            self.funding[name] -= amount
            self.credit(name, amount)
        return self._ok({"transferId": body["transferId"], "status": self.transfer_status})

    def credit(self, name: str, amount: Decimal) -> None:
        """Put `amount` of a coin into the unified wallet."""
        for each in self.coins:
            if each["coin"] == name:
                price = Decimal(each["usdValue"]) / Decimal(each["equity"]) if Decimal(each["equity"]) else Decimal(1)
                each["walletBalance"] = f"{Decimal(each['walletBalance']) + amount:f}"
                each["equity"] = f"{Decimal(each['equity']) + amount:f}"
                each["usdValue"] = f"{Decimal(each['equity']) * price:f}"
        for total in ("totalMarginBalance", "totalEquity", "totalAvailableBalance"):
            if total in self.totals:
                self.totals[total] = f"{Decimal(self.totals[total]) + amount:f}"
        if self.totals.get("accountMMRate"):
            rate = Decimal(self.totals["totalMaintenanceMargin"]) / Decimal(self.totals["totalMarginBalance"])
            self.totals["accountMMRate"] = f"{rate.quantize(Decimal('0.0001')):f}"

    def _asset_transfer_query_inter_transfer_list(self, fields: dict[str, str]) -> Reply:
        told = self.transfers.get(fields["transferId"])
        rows = [] if told is None else [{"transferId": fields["transferId"], "status": self.transfer_status}]
        return self._ok({"list": rows, "nextPageCursor": ""})

    def _position_add_margin(self, body: dict[str, Any]) -> Reply:
        if self.mode != "ISOLATED_MARGIN":
            return _error(110015, "The position is in cross margin")
        found = self._row(body)
        if found is None:
            return _error(110033, "no position")
        margin, size = Decimal(body["margin"]), Decimal(found["size"])
        wallet = next(each for each in self.coins if each["coin"] == "USDT")
        free = Decimal(wallet["walletBalance"]) - Decimal(wallet["totalPositionIM"])
        if margin > free:
            return _error(110012, "Insufficient available balance")
        moved = margin / size * (-1 if found["side"] == "Buy" else 1)
        found["liqPrice"] = f"{Decimal(found['liqPrice']) + moved:f}"
        wallet["totalPositionIM"] = f"{Decimal(wallet['totalPositionIM']) + margin:f}"
        return self._ok(found | {"category": body["category"]})

    def _order_create(self, body: dict[str, Any]) -> Reply:
        found = self._row(body)
        if not body.get("reduceOnly") or found is None or body["side"] == found["side"]:
            return _error(110017, "reduce-only rule not satisfied")
        wanted = min(Decimal(body["qty"]), Decimal(found["size"]))
        filled = wanted if self.fills is None else min(self.fills, wanted)
        found["size"] = f"{Decimal(found['size']) - filled:f}"
        if Decimal(found["size"]) == 0:
            found["side"] = ""
        status = "Filled" if filled == wanted else "PartiallyFilledCanceled" if filled else "Cancelled"
        self.orders[body["orderLinkId"]] = {
            "orderLinkId": body["orderLinkId"],
            "orderStatus": status,
            "cumExecQty": f"{filled:f}",
            "avgPrice": found["markPrice"] if filled else "",
            "rejectReason": "EC_NoError",
        }
        return self._ok({"orderId": f"id-{len(self.orders)}", "orderLinkId": body["orderLinkId"]})

    def _order_realtime(self, fields: dict[str, str]) -> Reply:
        told = self.orders.get(fields["orderLinkId"])
        return self._ok({"list": [] if told is None else [told]})

    def _order_history(self, fields: dict[str, str]) -> Reply:
        return self._order_realtime(fields)

    def _row(self, body: dict[str, Any]) -> dict[str, Any] | None:
        rows = self.positions[body["category"]]
        index = body.get("positionIdx", 0)
        return next(
            (e for e in rows if e["symbol"] == body["symbol"] and e["positionIdx"] == index and e["side"]), None
        )


def _error(code: int, text: str) -> Reply:
    return Reply(200, {"retCode": code, "retMsg": text, "result": {}, "retExtInfo": {}, "time": 0})


def cross() -> Bybit:
    """Return a venue with a cross account: 0.5 BTC long at 58,000 against 5,000 USDT and 0.1 BTC."""
    venue = Bybit()
    mm = Decimal("30000") * (Decimal("0.005") + Decimal("0.00055") * Decimal("0.9"))
    venue.positions["linear"] = [
        row("BTCUSDT", "Buy", "0.5", "58000", "60000", positionIM="3014.85", positionMM=f"{mm:f}", liqPrice="")
    ]
    venue.coins = [coin("USDT", "5000", equity="6000", usdValue="6000"), coin("BTC", "0.1", "6000")]
    balance = Decimal(12000)
    venue.totals = {
        "totalEquity": "12000",
        "totalMarginBalance": f"{balance:f}",
        "totalAvailableBalance": "8685.15",
        "totalInitialMargin": "3014.85",
        "totalMaintenanceMargin": f"{mm:f}",
        "accountMMRate": f"{(mm / (balance - 300)).quantize(Decimal('0.0001')):f}",
    }
    return venue


def isolated() -> Bybit:
    """Return a venue in isolated mode: 1 BTC long at 20,000, 50x, liquidated at 19,700 (the help centre's example)."""
    venue = Bybit()
    venue.mode = "ISOLATED_MARGIN"
    venue.prices["BTCUSDT"] = ("20000", "20001")
    venue.positions["linear"] = [
        row(
            "BTCUSDT", "Buy", "1", "20000", "20000", positionIM="400", positionMM="100", liqPrice="19700", leverage="50"
        )
    ]
    venue.coins = [coin("USDT", "5000", totalPositionIM="400")]
    return venue
