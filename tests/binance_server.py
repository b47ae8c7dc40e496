"""A loopback Binance as its documentation describes it: USD-M futures, the wallet behind it, listen keys, streams.

Written against the documentation apart from the product. A request is carried out only with a right signature, a
timestamp within its window and the permission it needs; otherwise the venue's own code says so. What is confirmed
changes the served account.
"""

import hashlib
import hmac
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.signed_server import Asked, Reply, SignedServer

KEY, SECRET = "test_api_key_1234", "test_secret_5678"
BRACKETS: dict[str, list[tuple[str, str, str]]] = {
    "BTCUSDT": [("0", "0.004", "0"), ("300000", "0.005", "300"), ("800000", "0.0065", "1500")],
    "ETHUSDT": [("0", "0.004", "0"), ("50000", "0.005", "50"), ("600000", "0.01", "3050")],
    "BTCUSDC": [("0", "0.005", "0"), ("100000", "0.01", "500")],
}
Route = Callable[["Binance", dict[str, str]], Reply]
STEPS = {"BTCUSDT": ("0.10", "0.001"), "ETHUSDT": ("0.01", "0.001"), "BTCUSDC": ("0.1", "0.001")}


def refusal(code: int, msg: str, status: int = 400) -> Reply:
    """Return an error as the venue words it."""
    return Reply(status, {"code": code, "msg": msg})


@dataclass
class Lot:
    """One position; `isolated` is its own wallet, `None` when cross."""

    symbol: str
    amount: Decimal
    entry: Decimal
    mark: Decimal
    isolated: Decimal | None = None
    side: str = "BOTH"
    adl: int = 1
    told_liquidation: str = "0"

    @property
    def coin(self) -> str:
        return "USDC" if self.symbol.endswith("USDC") else "USDT"

    @property
    def profit(self) -> Decimal:
        return self.amount * (self.mark - self.entry)

    @property
    def value(self) -> Decimal:
        return abs(self.amount) * self.mark

    @property
    def maintenance(self) -> Decimal:
        _, rate, cum = next(each for each in reversed(BRACKETS[self.symbol]) if Decimal(each[0]) <= self.value)
        return self.value * Decimal(rate) - Decimal(cum)


@dataclass
class Binance:
    """One user of the venue. `ahead_ms` is how far the venue's clock is from this machine's."""

    lots: list[Lot] = field(default_factory=list)
    futures: dict[str, Decimal] = field(default_factory=lambda: {"USDT": Decimal(5000)})
    spot: dict[str, Decimal] = field(default_factory=lambda: {"USDT": Decimal(2000)})
    rights: dict[str, bool] = field(
        default_factory=lambda: {
            "ipRestrict": True,
            "enableReading": True,
            "enableFutures": True,
            "enableWithdrawals": False,
            "permitsUniversalTransfer": True,
        }
    )
    is_multi_asset: bool = False
    is_hedged: bool = False
    is_revoked: bool = False
    ahead_ms: int = 0
    fill_share: Decimal = Decimal(1)
    indexes: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    transfers: list[dict[str, Any]] = field(default_factory=list)
    margin_history: list[dict[str, Any]] = field(default_factory=list)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    _ids: Any = field(default_factory=lambda: itertools.count(9_000_001))

    @property
    def now_ms(self) -> int:
        """Return the venue's time."""
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def server(self) -> SignedServer:
        """Return the venue's two ports, to be entered."""
        return SignedServer(self.answer, admit=self.admit)

    def lot(self, symbol: str, side: str = "BOTH") -> Lot:
        """Return one position that is open."""
        return next(lot for lot in self.lots if lot.symbol == symbol and lot.side == side)

    def admit(self, target: str) -> int:
        """Return the status for a WebSocket path: the routes of 2026, and only a key that is alive."""
        parts = urlsplit(target)
        if parts.path == "/market/stream":
            return 101
        if parts.path == "/private/ws":
            return 101 if parse_qs(parts.query).get("listenKey", [""])[0] in self.keys[-1:] else 400
        return 404

    def answer(self, asked: Asked) -> Reply:
        """Return what the venue says to one request."""
        route = f"{asked.method} {asked.path}"
        if route in self.public_routes:
            return self.public_routes[route](self, asked.fields)
        if asked.headers.get("x-mbx-apikey") != KEY or self.is_revoked:
            return refusal(-2015, "Invalid API-key, IP, or permissions for action", 401)
        if asked.path.endswith("/listenKey"):
            return self.listen_key(asked)
        fault = self.fault_of(asked)
        if fault is not None:
            return fault
        if route not in self.signed_routes:
            return refusal(-5000, f"Path {asked.path}, Method {asked.method} is invalid", 404)
        return self.signed_routes[route](self, asked.fields)

    def fault_of(self, asked: Asked) -> Reply | None:
        """Return why a signed request is refused, `None` when it is in order."""
        payload = asked.query if asked.method == "GET" else asked.query + asked.body
        signed, _, signature = payload.rpartition("&signature=")
        if not signed or hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest() != signature:
            return refusal(-1022, "Signature for this request is not valid.")
        stamp, window = int(asked.fields["timestamp"]), int(asked.fields.get("recvWindow", "5000"))
        if not (stamp < self.now_ms + 1000 and self.now_ms - stamp <= window):
            return refusal(-1021, "Timestamp for this request is outside of the recvWindow.")
        self.timestamps.append(stamp)
        needs = "enableReading"
        if asked.method != "GET":
            needs = "permitsUniversalTransfer" if asked.path.startswith("/sapi") else "enableFutures"
        if not self.rights[needs]:
            return refusal(-2015, "Invalid API-key, IP, or permissions for action", 401)
        return None

    def listen_key(self, asked: Asked) -> Reply:
        if asked.method == "PUT":
            return Reply(200, {}) if self.keys else refusal(-1125, "This listenKey does not exist.")
        if not self.keys:
            self.keys.append(f"listen{next(self._ids)}key")
        return Reply(200, {"listenKey": self.keys[-1]})

    def account(self, _: dict[str, str]) -> Reply:
        assets = []
        for coin, cross in self.futures.items():
            lots = [lot for lot in self.lots if lot.coin == coin]
            apart = [lot for lot in lots if lot.isolated is not None]
            wallet = cross + sum((lot.isolated or Decimal(0) for lot in apart), Decimal(0))
            profit = sum((lot.profit for lot in lots if lot.isolated is None), Decimal(0))
            used = sum((lot.value / 20 for lot in lots if lot.isolated is None), Decimal(0))
            maintenance = sum((lot.maintenance for lot in lots), Decimal(0))
            assets.append(
                {
                    "asset": coin,
                    "walletBalance": str(wallet),
                    "crossWalletBalance": str(cross),
                    "crossUnPnl": str(profit),
                    "maintMargin": str(maintenance),
                    "initialMargin": str(used),
                    "openOrderInitialMargin": "0",
                    "availableBalance": str(max(cross + min(profit, Decimal(0)) - used, Decimal(0))),
                }
            )
        rates = {coin: Decimal(index) * (1 - Decimal(bid)) for coin, (index, bid, _) in self.indexes.items()}

        def total(name: str) -> str:
            if not self.is_multi_asset:
                return next(str(row[name]) for row in assets if row["asset"] == "USDT")
            return str(sum((Decimal(str(row[name])) * rates[str(row["asset"])] for row in assets), Decimal(0)))

        positions = [
            {
                "symbol": lot.symbol,
                "positionSide": lot.side,
                "positionAmt": str(lot.amount),
                "notional": str(lot.amount * lot.mark),
                "unrealizedProfit": str(lot.profit),
            }
            for lot in self.lots
        ]
        return Reply(
            200,
            {
                "totalCrossWalletBalance": total("crossWalletBalance"),
                "totalCrossUnPnl": total("crossUnPnl"),
                "totalMaintMargin": total("maintMargin"),
                "totalInitialMargin": total("initialMargin"),
                "totalOpenOrderInitialMargin": "0",
                "assets": assets,
                "positions": positions,
            },
        )

    def positions(self, _: dict[str, str]) -> Reply:
        return Reply(200, [_row(lot) for lot in self.lots])

    def transfer(self, fields: dict[str, str]) -> Reply:
        coin, amount = fields["asset"], Decimal(fields["amount"])
        if fields["type"] != "MAIN_UMFUTURE" or amount <= 0:
            return refusal(-1102, "Mandatory parameter was not sent, was empty/null, or malformed.")
        if self.spot.get(coin, Decimal(0)) < amount:
            return refusal(-5013, "Asset transfer failed: insufficient balance")
        self.spot[coin] -= amount
        self.futures[coin] = self.futures.get(coin, Decimal(0)) + amount
        row = {
            "asset": coin,
            "amount": str(amount),
            "type": fields["type"],
            "status": "CONFIRMED",
            "tranId": next(self._ids),
            "timestamp": self.now_ms,
        }
        self.transfers.append(row)
        return Reply(200, {"tranId": row["tranId"]})

    def transfer_history(self, fields: dict[str, str]) -> Reply:
        since = int(fields.get("startTime", "0"))
        rows = [row for row in self.transfers if row["type"] == fields["type"] and row["timestamp"] >= since]
        return Reply(200, {"total": len(rows), "rows": rows} if rows else {})

    def add_margin(self, fields: dict[str, str]) -> Reply:
        side = fields.get("positionSide", "BOTH")
        found = [lot for lot in self.lots if lot.symbol == fields["symbol"] and lot.side == side]
        if not found or found[0].isolated is None:
            return refusal(-4049, "Add margin only support for isolated position.")
        lot, amount = found[0], Decimal(fields["amount"])
        if self.futures[lot.coin] < amount:
            return refusal(-4050, "Cross balance insufficient.")
        self.futures[lot.coin] -= amount
        lot.isolated = (lot.isolated or Decimal(0)) + amount
        self.margin_history.append(
            {
                "symbol": lot.symbol,
                "type": int(fields["type"]),
                "deltaType": "USER_ADJUST",
                "amount": str(amount),
                "asset": lot.coin,
                "time": self.now_ms,
                "positionSide": side,
            }
        )
        return Reply(
            200, {"amount": float(amount), "code": 200, "msg": "Successfully modify position margin.", "type": 1}
        )

    def history_of_margin(self, fields: dict[str, str]) -> Reply:
        since = int(fields.get("startTime", "0"))
        rows = [row for row in self.margin_history if row["symbol"] == fields["symbol"] and row["time"] >= since]
        return Reply(200, rows)

    def order(self, fields: dict[str, str]) -> Reply:
        symbol, side = fields["symbol"], fields.get("positionSide", "BOTH")
        tick, step = (Decimal(each) for each in STEPS[symbol])
        quantity, limit = Decimal(fields["quantity"]), Decimal(fields["price"])
        if quantity % step or limit % tick:
            return refusal(-1111, "Precision is over the maximum defined for this asset.")
        if self.is_hedged == (side == "BOTH"):
            return refusal(-4061, "Order's position side does not match user's setting.")
        if self.is_hedged and "reduceOnly" in fields:
            return refusal(-1106, "Parameter 'reduceonly' sent when not required.")
        found = [lot for lot in self.lots if lot.symbol == symbol and lot.side == side]
        closing = "SELL" if found and found[0].amount > 0 else "BUY"
        if not found or fields["side"] != closing or (not self.is_hedged and fields.get("reduceOnly") != "true"):
            return refusal(-2022, "ReduceOnly Order is rejected.")
        lot = found[0]
        reaches = limit <= lot.mark if closing == "SELL" else limit >= lot.mark
        filled = min(quantity, abs(lot.amount)) * self.fill_share if reaches else Decimal(0)
        filled -= filled % step
        signed = filled if lot.amount > 0 else -filled
        realised = signed * (lot.mark - lot.entry)
        if lot.isolated is not None:
            released = lot.isolated * filled / abs(lot.amount)
            lot.isolated -= released
            self.futures[lot.coin] += released + realised
        else:
            self.futures[lot.coin] += realised
        lot.amount -= signed
        self.lots = [each for each in self.lots if each.amount]
        told = {
            "symbol": symbol,
            "orderId": next(self._ids),
            "clientOrderId": fields["newClientOrderId"],
            "status": "FILLED" if filled == quantity else "EXPIRED",
            "origQty": str(quantity),
            "executedQty": str(filled),
            "avgPrice": str(lot.mark) if filled else "0",
            "timeInForce": fields["timeInForce"],
            "updateTime": self.now_ms,
        }
        self.orders[fields["newClientOrderId"]] = told
        return Reply(200, told)

    def order_status(self, fields: dict[str, str]) -> Reply:
        found = self.orders.get(fields["origClientOrderId"])
        return refusal(-2013, "Order does not exist.") if found is None else Reply(200, found)

    public_routes: ClassVar[dict[str, Route]] = {
        "GET /fapi/v1/time": lambda self, _: Reply(200, {"serverTime": self.now_ms}),
        "GET /fapi/v1/fundingInfo": lambda self, _: Reply(
            200, [{"symbol": "ETHUSDT", "fundingIntervalHours": 4, "adjustedFundingRateCap": "0.02"}]
        ),
        "GET /fapi/v1/premiumIndex": lambda self, fields: Reply(200, self.premium(fields["symbol"])),
        "GET /fapi/v1/assetIndex": lambda self, _: Reply(
            200,
            [
                {"symbol": f"{coin}USD", "time": self.now_ms, "index": index, "bidBuffer": bid, "askBuffer": ask}
                for coin, (index, bid, ask) in self.indexes.items()
            ],
        ),
        "GET /fapi/v1/depth": lambda self, fields: Reply(
            200,
            {
                "lastUpdateId": 1,
                "bids": [["64990.0", "0.5"], ["64980.0", "2"]],
                "asks": [["65010.0", "0.4"], ["65020.0", "3"]],
            },
        ),
        "GET /fapi/v1/exchangeInfo": lambda self, _: Reply(
            200,
            {
                "symbols": [
                    {
                        "symbol": symbol,
                        "filters": [
                            {"filterType": "PRICE_FILTER", "tickSize": tick},
                            {"filterType": "LOT_SIZE", "stepSize": step, "minQty": step, "maxQty": "1000"},
                        ],
                    }
                    for symbol, (tick, step) in STEPS.items()
                ]
            },
        ),
    }

    def premium(self, symbol: str) -> dict[str, Any]:
        return {
            "symbol": symbol,
            "markPrice": "65000",
            "indexPrice": "65001",
            "lastFundingRate": "0.0001",
            "nextFundingTime": 1_900_000_000_000,
            "time": self.now_ms,
        }

    signed_routes: ClassVar[dict[str, Route]] = {
        "GET /fapi/v3/account": account,
        "GET /fapi/v3/positionRisk": positions,
        "GET /fapi/v1/accountConfig": lambda self, _: Reply(
            200, {"multiAssetsMargin": self.is_multi_asset, "dualSidePosition": self.is_hedged, "canTrade": True}
        ),
        "GET /fapi/v1/symbolConfig": lambda self, _: Reply(
            200,
            [
                {"symbol": lot.symbol, "marginType": "CROSSED" if lot.isolated is None else "ISOLATED", "leverage": 20}
                for lot in self.lots
            ],
        ),
        "GET /fapi/v1/leverageBracket": lambda self, fields: Reply(
            200, [_brackets(symbol) for symbol in BRACKETS if fields.get("symbol", symbol) == symbol]
        ),
        "GET /sapi/v1/account/apiRestrictions": lambda self, _: Reply(200, self.rights),
        "GET /api/v3/account": lambda self, _: Reply(
            200, {"balances": [{"asset": coin, "free": str(free), "locked": "0"} for coin, free in self.spot.items()]}
        ),
        "POST /sapi/v1/asset/transfer": transfer,
        "GET /sapi/v1/asset/transfer": transfer_history,
        "GET /fapi/v1/income": lambda self, _: Reply(200, []),
        "POST /fapi/v1/positionMargin": add_margin,
        "GET /fapi/v1/positionMargin/history": history_of_margin,
        "POST /fapi/v1/order": order,
        "GET /fapi/v1/order": order_status,
    }


def _row(lot: Lot) -> dict[str, Any]:
    alone = lot.isolated is not None
    return {
        "symbol": lot.symbol,
        "positionSide": lot.side,
        "positionAmt": str(lot.amount),
        "entryPrice": str(lot.entry),
        "markPrice": str(lot.mark),
        "unRealizedProfit": str(lot.profit),
        "liquidationPrice": lot.told_liquidation,
        "isolatedMargin": str((lot.isolated or Decimal(0)) + lot.profit) if alone else "0",
        "notional": str(lot.amount * lot.mark),
        "marginAsset": lot.coin,
        "isolatedWallet": str(lot.isolated) if alone else "0",
        "initialMargin": str(lot.value / 20),
        "maintMargin": str(lot.maintenance),
        "positionInitialMargin": str(lot.value / 20),
        "openOrderInitialMargin": "0",
        "adl": lot.adl,
        "updateTime": 1722161166529,
    }


def _brackets(symbol: str) -> dict[str, Any]:
    rows = BRACKETS[symbol]
    caps = [*(floor for floor, _, _ in rows[1:]), "99999999"]
    return {
        "symbol": symbol,
        "brackets": [
            {
                "bracket": index,
                "initialLeverage": 125 // index,
                "notionalFloor": int(floor),
                "notionalCap": int(cap),
                "maintMarginRatio": float(rate),
                "cum": float(cum),
            }
            for index, ((floor, rate, cum), cap) in enumerate(zip(rows, caps, strict=True), start=1)
        ],
    }
