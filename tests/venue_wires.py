"""How each price venue speaks, from the server's side: subscriptions, frames and REST replies, as its docs show them.

Written from the venues' documentation and independent of the adapters, so that a misread field fails a test.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

Book = tuple[str, str]
"""Best bid and ask as the text that goes on the wire."""


@dataclass(frozen=True, slots=True)
class Request:
    """One REST request; `params` are its query."""

    method: str
    path: str
    params: Mapping[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        """Return the decoded body."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a client's message asked for: symbols to stream, and texts to answer with at once."""

    symbols: Sequence[str] = ()
    replies: Sequence[str] = ()


@dataclass(slots=True)
class Books:
    """What the fake venue knows by symbol: books, candles by day (ms, close) and hour (ms, o, h, l, c), refusals."""

    best: dict[str, Book] = field(default_factory=dict)
    candles: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    hours: dict[str, list[tuple[int, str, str, str, str]]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)


class Wire(Protocol):
    """One venue's dialect."""

    venue: str

    def symbol(self, asset: str) -> str:
        """Return the venue's symbol of `asset`."""

    def connected(self, path: str) -> Heard:
        """Return what the URL of a new connection asks for."""

    def hear(self, text: str, books: Books) -> Heard:
        """Return what a client's message asks for."""

    def frame(self, symbol: str, bid: str, ask: str) -> str:
        """Return the frame that tells a new best bid and ask."""

    def heartbeat(self, symbol: str) -> str | None:
        """Return what the venue sends while nothing happens, if anything."""

    def rest(self, request: Request, books: Books) -> tuple[int, Any]:
        """Return status and JSON value of a REST reply."""


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


class BinanceWire:
    """Combined streams named in the URL."""

    venue = "binance"

    def symbol(self, asset: str) -> str:
        return f"{asset.upper()}USDT"

    def connected(self, path: str) -> Heard:
        parts = urlsplit(path)
        if parts.path != "/stream":
            return Heard()
        streams = parse_qs(parts.query).get("streams", [""])[0].split("/")
        return Heard([name.removesuffix("@bookTicker").upper() for name in streams])

    def hear(self, text: str, books: Books) -> Heard:
        return Heard()

    def frame(self, symbol: str, bid: str, ask: str) -> str:
        data = {"u": 400900217, "s": symbol, "b": bid, "B": "31.21", "a": ask, "A": "40.66"}
        return _text({"stream": f"{symbol.lower()}@bookTicker", "data": data})

    def heartbeat(self, symbol: str) -> str | None:
        return None

    def rest(self, request: Request, books: Books) -> tuple[int, Any]:
        if request.path == "/api/v3/ticker/bookTicker":
            wanted = json.loads(request.params["symbols"])
            if any(symbol in books.refused or symbol not in books.best for symbol in wanted):
                return 400, {"code": -1121, "msg": "Invalid symbol."}
            return 200, [
                {"symbol": s, "bidPrice": books.best[s][0], "bidQty": "1", "askPrice": books.best[s][1], "askQty": "1"}
                for s in wanted
            ]
        if request.path == "/api/v3/klines" and request.params["interval"] == "1d":
            rows = books.candles[request.params["symbol"]][-int(request.params["limit"]) :]
            return 200, [[t, "1", "9", "1", close, "5", t + 86_399_999, "7", 3, "2", "2", "0"] for t, close in rows]
        if request.path == "/api/v3/klines" and request.params["interval"] == "1h":
            first, last = int(request.params["startTime"]), int(request.params["endTime"])
            hours = [row for row in books.hours[request.params["symbol"]] if first <= row[0] <= last]
            hours = hours[: int(request.params["limit"])]
            return 200, [[t, o, h, low, c, "5", t + 3_599_999, "7", 3, "2", "2", "0"] for t, o, h, low, c in hours]
        return 404, {"code": 404, "msg": "no such path"}


class CoinbaseWire:
    """A ticker frame after each match, heartbeats every second."""

    venue = "coinbase"

    def symbol(self, asset: str) -> str:
        return f"{asset.upper()}-USD"

    def connected(self, path: str) -> Heard:
        return Heard()

    def hear(self, text: str, books: Books) -> Heard:
        message = json.loads(text)
        if message.get("type") != "subscribe" or "ticker" not in message["channels"]:
            return Heard()
        products = message["product_ids"]
        for product in products:
            if product in books.refused:
                reason = f"{product} is not a valid product"
                return Heard((), [_text({"type": "error", "message": "Failed to subscribe", "reason": reason})])
        channels = [{"name": name, "product_ids": products} for name in message["channels"]]
        return Heard(products, [_text({"type": "subscriptions", "channels": channels})])

    def frame(self, symbol: str, bid: str, ask: str) -> str:
        return _text(
            {
                "type": "ticker", "sequence": 37475248783, "product_id": symbol, "price": bid, "open_24h": "1285.22",
                "volume_24h": "245532.79", "low_24h": "1270", "high_24h": "1310", "volume_30d": "9788783.60",
                "best_bid": bid, "best_bid_size": "0.46688654", "best_ask": ask, "best_ask_size": "1.56637040",
                "side": "buy", "time": "2022-10-19T23:28:22.061769Z", "trade_id": 370843401, "last_size": "11.4396987",
            }
        )  # fmt: skip

    def heartbeat(self, symbol: str) -> str | None:
        return _text({"type": "heartbeat", "sequence": 90, "last_trade_id": 0, "product_id": symbol, "time": "2026"})

    def rest(self, request: Request, books: Books) -> tuple[int, Any]:
        _, _, product, leaf = request.path.split("/")
        if leaf == "ticker" and product in books.best and product not in books.refused:
            bid, ask = books.best[product]
            return 200, {"trade_id": 86326522, "price": bid, "size": "0.2", "time": "2026", "bid": bid, "ask": ask}
        if leaf == "candles" and request.params["granularity"] == "3600":
            first, last = int(request.params["start"]), int(request.params["end"])
            if (last - first) // 3600 + 1 > 300:
                return 400, {"message": "granularity too small for the requested time range."}
            hours = [row for row in books.hours[product] if first <= row[0] // 1000 <= last]
            return 200, [
                [t // 1000, float(low), float(h), float(o), float(c), 12.25] for t, o, h, low, c in reversed(hours)
            ]
        if leaf == "candles" and request.params["granularity"] == "86400":
            rows = [[t // 1000, 1.5, 9.5, 2.5, float(close), 12.25] for t, close in books.candles[product]]
            return 200, rows[::-1]
        return 404, {"message": "NotFound"}


class KrakenWire:
    """Numbers instead of strings, one ack for each symbol, old names in REST replies."""

    venue = "kraken"
    _OLD = {"XBTUSD": ("XXBTZUSD", "BTC/USD"), "ETHUSD": ("XETHZUSD", "ETH/USD")}  # noqa: RUF012 - never changed

    def symbol(self, asset: str) -> str:
        return f"{asset.upper()}/USD"

    def connected(self, path: str) -> Heard:
        status = {"system": "online", "api_version": "v2", "connection_id": 1, "version": "2.0.10"}
        return Heard((), [_text({"channel": "status", "type": "update", "data": [status]})])

    def hear(self, text: str, books: Books) -> Heard:
        message = json.loads(text)
        if message["method"] == "ping":
            return Heard((), [_text({"method": "pong", "time_in": "2026", "time_out": "2026"})])
        params = message["params"]
        if message["method"] != "subscribe" or params["channel"] != "ticker" or params["event_trigger"] != "bbo":
            return Heard()
        replies, symbols = [], []
        for symbol in params["symbol"]:
            if symbol in books.refused:
                said = f"Currency pair not supported {symbol}"
                replies.append(_text({"method": "subscribe", "success": False, "symbol": symbol, "error": said}))
            else:
                symbols.append(symbol)
                result = {"channel": "ticker", "snapshot": True, "symbol": symbol}
                replies.append(_text({"method": "subscribe", "success": True, "result": result}))
        return Heard(symbols, replies)

    def frame(self, symbol: str, bid: str, ask: str) -> str:
        return (
            f'{{"channel":"ticker","type":"update","data":[{{"symbol":"{symbol}","bid":{bid},"bid_qty":2.5,"ask":{ask},'
            f'"ask_qty":3.2,"last":{bid},"volume":1,"vwap":1,"low":1,"high":1,"change":1,"change_pct":1.1}}]}}'
        )

    def heartbeat(self, symbol: str) -> str | None:
        return _text({"channel": "heartbeat"})

    def rest(self, request: Request, books: Books) -> tuple[int, Any]:
        result: dict[str, Any] = {}
        for pair in request.params["pair"].split(","):
            old, symbol = self._OLD.get(pair, (pair, f"{pair[:-3]}/USD"))
            if request.path == "/0/public/Ticker" and symbol in books.best and symbol not in books.refused:
                bid, ask = books.best[symbol]
                result[old] = {"a": [ask, "1", "1.000"], "b": [bid, "2", "2.000"], "c": [bid, "0.1"]}
            elif request.path == "/0/public/OHLC" and symbol in books.candles:
                rows = [[t // 1000, "1", "9", "1", close, "5", "3.5", 320] for t, close in books.candles[symbol]]
                result = {old: rows, "last": 1700086400}
            else:
                return 200, {"error": ["EQuery:Unknown asset pair"]}
        return 200, {"error": [], "result": result}


class OkxWire:
    """Channel and instrument in `arg`, a text `pong`."""

    venue = "okx"

    def symbol(self, asset: str) -> str:
        return f"{asset.upper()}-USDT"

    def connected(self, path: str) -> Heard:
        return Heard()

    def hear(self, text: str, books: Books) -> Heard:
        if text == "ping":
            return Heard((), ["pong"])
        message = json.loads(text)
        wanted = [arg["instId"] for arg in message["args"] if arg["channel"] in ("tickers", "bbo-tbt")]
        for name in wanted:
            if name in books.refused:
                said = f"Wrong URL or channel:tickers,instId:{name} doesn't exist"
                return Heard((), [_text({"event": "error", "code": "60018", "msg": said, "connId": "a4d3ae55"})])
        acks = [_text({"event": "subscribe", "arg": arg, "connId": "a4d3ae55"}) for arg in message["args"]]
        return Heard(wanted, acks)

    def frame(self, symbol: str, bid: str, ask: str) -> str:
        row = {
            "instType": "SPOT", "instId": symbol, "last": bid, "lastSz": "0.1", "askPx": ask, "askSz": "11",
            "bidPx": bid, "bidSz": "5", "open24h": "9000", "high24h": "10000", "low24h": "8888", "ts": "1597026383085",
        }  # fmt: skip
        return _text({"arg": {"channel": "tickers", "instId": symbol}, "data": [row]})

    def heartbeat(self, symbol: str) -> str | None:
        return None

    def rest(self, request: Request, books: Books) -> tuple[int, Any]:
        symbol = request.params["instId"]
        if request.path == "/api/v5/market/ticker" and symbol in books.best and symbol not in books.refused:
            bid, ask = books.best[symbol]
            return 200, {"code": "0", "msg": "", "data": [{"instId": symbol, "bidPx": bid, "askPx": ask, "ts": "1"}]}
        if request.path == "/api/v5/market/candles" and request.params["bar"] == "1Dutc":
            rows = [[str(t), "1", "9", "1", close, "5", "5", "5", "1"] for t, close in books.candles[symbol]]
            return 200, {"code": "0", "msg": "", "data": rows[::-1]}
        return 200, {"code": "51001", "msg": "Instrument ID does not exist", "data": []}


class BybitWire:
    """Level-one order books as snapshots, at most ten topics in a request."""

    venue = "bybit"

    def symbol(self, asset: str) -> str:
        return f"{asset.upper()}USDT"

    def connected(self, path: str) -> Heard:
        return Heard()

    def hear(self, text: str, books: Books) -> Heard:
        message = json.loads(text)
        if message["op"] == "ping":
            return Heard((), [_text({"success": True, "ret_msg": "pong", "conn_id": "0970e817", "op": "ping"})])
        symbols = [topic.removeprefix("orderbook.1.") for topic in message["args"]]
        bad = next((symbol for symbol in symbols if symbol in books.refused), None)
        said = "args size >10" if len(symbols) > 10 else f"Invalid symbol :[orderbook.1.{bad}]" if bad else ""
        ack = _text({"success": not said, "ret_msg": said or "subscribe", "conn_id": "0970e817", "op": "subscribe"})
        return Heard(() if said else symbols, [ack])

    def frame(self, symbol: str, bid: str, ask: str) -> str:
        data = {"s": symbol, "b": [[bid, "0.006"]], "a": [[ask, "0.029"]], "u": 18521288, "seq": 7961638724}
        topic = f"orderbook.1.{symbol}"
        return _text({"topic": topic, "type": "snapshot", "ts": 1672304484978, "data": data, "cts": 1672304484976})

    def heartbeat(self, symbol: str) -> str | None:
        return None

    def rest(self, request: Request, books: Books) -> tuple[int, Any]:
        symbol = request.params["symbol"]
        if request.params["category"] != "spot" or symbol in books.refused:
            return 200, {"retCode": 10001, "retMsg": "Not supported symbols", "result": {}, "retExtInfo": {}, "time": 1}
        rows: list[Any] = []
        if request.path == "/v5/market/tickers" and symbol in books.best:
            bid, ask = books.best[symbol]
            rows = [{"symbol": symbol, "bid1Price": bid, "bid1Size": "2", "ask1Price": ask, "usdIndexPrice": ""}]
        elif request.path == "/v5/market/kline" and request.params["interval"] == "D":
            rows = [[str(t), "1", "9", "1", close, "5", "5"] for t, close in books.candles[symbol]][::-1]
        elif request.path == "/v5/market/kline" and request.params["interval"] == "60":
            first, last = int(request.params["start"]), int(request.params["end"])
            hours = [row for row in books.hours[symbol] if first <= row[0] <= last]
            rows = [[str(t), o, h, low, c, "5", "5"] for t, o, h, low, c in hours][::-1]
            rows = rows[: int(request.params["limit"])]
        result = {"category": "spot", "list": rows}
        return 200, {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 1672376496682}


class HyperliquidWire:
    """One subscription message for each coin; REST is POST /info."""

    venue = "hyperliquid"

    def symbol(self, asset: str) -> str:
        return asset.upper()

    def connected(self, path: str) -> Heard:
        return Heard()

    def hear(self, text: str, books: Books) -> Heard:
        message = json.loads(text)
        if message["method"] == "ping":
            return Heard((), [_text({"channel": "pong"})])
        coin = message["subscription"]["coin"]
        if message["subscription"]["type"] != "bbo" or coin in books.refused:
            return Heard((), [_text({"channel": "error", "data": f"Invalid subscription {coin}"})])
        return Heard([coin], [_text({"channel": "subscriptionResponse", "data": message})])

    def frame(self, symbol: str, bid: str, ask: str) -> str:
        sides = [{"px": bid, "sz": "0.1", "n": 1}, {"px": ask, "sz": "2.5", "n": 4}]
        return _text({"channel": "bbo", "data": {"coin": symbol, "time": 1708622398623, "bbo": sides}})

    def heartbeat(self, symbol: str) -> str | None:
        return None

    def rest(self, request: Request, books: Books) -> tuple[int, Any]:
        body = request.json
        if request.path != "/info":
            return 404, None
        if body["type"] == "candleSnapshot":
            rows = books.candles[body["req"]["coin"]]
            return 200, [
                {"t": t, "T": t + 86_399_999, "s": "ETH", "i": "1d", "o": "1", "c": c, "n": 5} for t, c in rows
            ]
        if body["coin"] not in books.best or body["coin"] in books.refused:
            return 200, None
        bid, ask = books.best[body["coin"]]
        levels = [[{"px": bid, "sz": "7.6", "n": 4}], [{"px": ask, "sz": "2.1", "n": 3}]]
        return 200, {"coin": body["coin"], "time": 1754450974231, "levels": levels}


WIRES: Mapping[str, Wire] = {
    wire.venue: wire
    for wire in (BinanceWire(), CoinbaseWire(), KrakenWire(), OkxWire(), BybitWire(), HyperliquidWire())
}
