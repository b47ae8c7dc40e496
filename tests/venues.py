"""Loopback price venues: real sockets that speak each venue's wire, and misbehave on demand.

async with VenueServer("kraken") as venue:
    feed = kraken.feed(VenueOptions(rest_url=venue.url_rest, ws_url=venue.url_ws))
    ...
    await venue.push("ETH", "2480.1", "2480.3")
"""

import asyncio
import json
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as Handshake
from websockets.http11 import Response

from tests.venue_wires import WIRES, Books, Heard, Request

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


class VenueServer:
    """One fake venue on two loopback ports, WebSocket and REST. Protocol pings are answered, silent or not."""

    def __init__(self, venue: str, *, sends_snapshots: bool = True) -> None:
        self.wire = WIRES[venue]
        self.books = Books()
        self.requests: list[Request] = []
        self.heard: list[str] = []
        self.connections = 0
        self._sends_snapshots = sends_snapshots
        self._streams: dict[ServerConnection, set[str]] = {}
        self._is_silent = False
        self._refuse_ws: tuple[int, dict[str, str]] | None = None
        self._limits: list[tuple[int, dict[str, str]]] = []
        self._changed = asyncio.Condition()
        self._ws: Server | None = None
        self._http: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._ws = await serve(self._converse, "127.0.0.1", 0, compression=None, process_request=self._admit)
        self._http = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._ws is not None
        assert self._http is not None
        self.drop()
        self._ws.close()
        self._http.close()
        await self._ws.wait_closed()
        await self._http.wait_closed()

    @property
    def url_ws(self) -> str:
        """Return the base to configure as `ws_url`."""
        assert self._ws is not None
        return f"ws://127.0.0.1:{next(iter(self._ws.sockets)).getsockname()[1]}"

    @property
    def url_rest(self) -> str:
        """Return the base to configure as `rest_url`."""
        assert self._http is not None
        return f"http://127.0.0.1:{self._http.sockets[0].getsockname()[1]}"

    def set_book(self, asset: str, bid: str, ask: str) -> None:
        """Set the best bid and ask that REST and new subscriptions tell, without streaming it."""
        self.books.best[self.wire.symbol(asset)] = (bid, ask)

    def set_closes(self, asset: str, closes: Sequence[str], today: str = "1") -> None:
        """Set daily candles: `closes` end with yesterday's, `today` is the unfinished one."""
        start = (time.time_ns() // 1_000_000 // DAY_MS - len(closes)) * DAY_MS
        rows = [(start + day * DAY_MS, close) for day, close in enumerate([*closes, today])]
        self.books.candles[self.wire.symbol(asset)] = rows

    def set_hours(self, asset: str, rows: Sequence[tuple[str, str, str, str]]) -> int:
        """Set hourly candles (o, h, l, c) whose last is the unfinished hour; return when the first opened, in s."""
        start = (time.time_ns() // 1_000_000 // HOUR_MS - len(rows) + 1) * HOUR_MS
        self.books.hours[self.wire.symbol(asset)] = [(start + at * HOUR_MS, *row) for at, row in enumerate(rows)]
        return start // 1000

    def refuse(self, asset: str) -> None:
        """Treat `asset` as not listed."""
        self.books.refused.add(self.wire.symbol(asset))

    def silence(self) -> None:
        """Stop streaming data; connections, pings and REST go on."""
        self._is_silent = True

    def resume(self) -> None:
        """Stream again."""
        self._is_silent = False

    def refuse_connections(self, status: int | None, **headers: str) -> None:
        """Answer WebSocket handshakes with `status`; `None` admits them again."""
        self._refuse_ws = None if status is None else (status, headers)

    def limit_rest(self, times: int, status: int = 429, **headers: str) -> None:
        """Answer the next `times` REST requests with `status`; `retry_after` becomes `Retry-After`."""
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        self._limits.extend([(status, named)] * times)

    async def push(self, asset: str, bid: str, ask: str) -> None:
        """Set a new best bid and ask and stream it to whoever subscribed."""
        self.set_book(asset, bid, ask)
        symbol = self.wire.symbol(asset)
        await self._stream(self.wire.frame(symbol, bid, ask), symbol)

    async def send_heartbeat(self, asset: str) -> None:
        """Send what this venue sends while nothing happens, if anything; also while silent."""
        text = self.wire.heartbeat(self.wire.symbol(asset))
        if text is not None:
            await self.send_raw(text)

    async def send_raw(self, data: str | bytes) -> None:
        """Send one frame to every connection as it is: text for `str`, binary for `bytes`."""
        for connection in list(self._streams):
            await _tell(connection, data)

    async def flood(self, asset: str, prices: Sequence[tuple[str, str]]) -> None:
        """Stream one frame for each (bid, ask) as fast as the sockets take them."""
        symbol = self.wire.symbol(asset)
        for frame in [self.wire.frame(symbol, bid, ask) for bid, ask in prices]:
            await self._stream(frame, symbol)

    def drop(self, *, mid_frame: bool = False) -> None:
        """Cut every connection without a close frame; `mid_frame` sends a header and part of its text first."""
        for connection in list(self._streams):
            if mid_frame:
                connection.transport.write(b"\x81\x7e\x01\x00" + b'{"trunca')
                connection.transport.close()
            else:
                connection.transport.abort()

    async def wait_subscribed(self, *assets: str, connections: int = 1) -> None:
        """Return once `connections` have been made so far and the newest streams every one of `assets`."""
        wanted = {self.wire.symbol(asset) for asset in assets}
        async with self._changed:
            await self._changed.wait_for(
                lambda: self.connections >= connections and any(wanted <= symbols for symbols in self._streams.values())
            )

    async def _stream(self, frame: str, symbol: str) -> None:
        if self._is_silent:
            return
        for connection, symbols in list(self._streams.items()):
            if symbol in symbols:
                await _tell(connection, frame)

    def _admit(self, connection: ServerConnection, handshake: Handshake) -> Response | None:
        if self._refuse_ws is None:
            return None
        status, headers = self._refuse_ws
        response = connection.respond(status, "no\n")
        for name, value in headers.items():
            response.headers[name.replace("_", "-").title()] = value
        return response

    async def _converse(self, connection: ServerConnection) -> None:
        self._streams[connection] = set()
        self.connections += 1
        assert connection.request is not None
        try:
            await self._follow(connection, self.wire.connected(connection.request.path))
            async for message in connection:
                text = message if isinstance(message, str) else message.decode()
                self.heard.append(text)
                await self._follow(connection, self.wire.hear(text, self.books))
        except ConnectionClosed:
            pass
        finally:
            del self._streams[connection]

    async def _follow(self, connection: ServerConnection, heard: Heard) -> None:
        for reply in heard.replies:
            await connection.send(reply)
        for symbol in heard.symbols:
            if self._sends_snapshots and not self._is_silent and symbol in self.books.best:
                await connection.send(self.wire.frame(symbol, *self.books.best[symbol]))
        async with self._changed:
            self._streams[connection].update(heard.symbols)
            self._changed.notify_all()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read_request(reader)
            self.requests.append(request)
            if self._limits:
                status, headers = self._limits.pop(0)
                body = json.dumps({"msg": "slow down"})
            else:
                status, value = self.wire.rest(request, self.books)
                headers, body = {}, json.dumps(value)
            head = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
            lines = [f"HTTP/1.1 {status} Fake", *(f"{name}: {value}" for name, value in (head | headers).items())]
            writer.write("\r\n".join([*lines, "", body]).encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _tell(connection: ServerConnection, data: str | bytes) -> None:
    try:
        await connection.send(data)
    except ConnectionClosed:
        return


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    lengths = [line.split(":")[1] for line in head[1:] if line.lower().startswith("content-length:")]
    body = await reader.readexactly(int(lengths[0])) if lengths else b""
    parts = urlsplit(target)
    return Request(method, parts.path, dict(parse_qsl(parts.query)), body)
