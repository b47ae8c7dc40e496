"""A loopback Hyperliquid as the venue's documentation describes it: `POST /info`, `POST /exchange`, the WebSocket.

A test owns the replies: it changes `info` while a client is connected, pushes frames, drops links and says no. An
action is carried out for whoever its signature recovers to, as the venue does it: a wrong one has no account.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from tests.hyperliquid_exchange import Exchange

USER = "0x" + "ab" * 20


class Refusal:
    """A reply that is not 200."""

    def __init__(self, status: int, body: bytes = b"", retry_after: int | None = None) -> None:
        self.status, self.body = status, body
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}


class HyperliquidServer:
    """What the venue would answer. `info` maps a request type (or "type dex") to an object, bytes or `Refusal`.

    `asked` and `subscribed` record what clients wanted; `unsupported` are subscription types that are refused.
    `exchange` carries out signed actions; without it there is no such path.
    """

    def __init__(self) -> None:
        self.info: dict[str, object] = {}
        self.asked: list[dict[str, str]] = []
        self.subscribed: list[dict[str, str]] = []
        self.unsupported: set[str] = set()
        self.exchange: Exchange | None = None
        self.exchange_refusal: Refusal | None = None
        self.url_rest = self.url_ws = ""
        self._sockets: set[ServerConnection] = set()
        self._changed = asyncio.Condition()

    def push(self, channel: str, data: object) -> None:
        """Send one frame to every connected client."""
        self.send_raw(json.dumps({"channel": channel, "data": data}))

    def send_raw(self, text: str | bytes) -> None:
        """Send a frame as it is, malformed or not."""
        broadcast(self._sockets, text)

    def drop(self) -> None:
        """Cut every WebSocket without a close handshake."""
        for socket in list(self._sockets):
            socket.transport.abort()

    async def until_subscribed(self, kind: str, count: int = 1) -> None:
        """Return once `count` subscriptions of `kind` have arrived."""
        async with self._changed:
            await self._changed.wait_for(lambda: sum(each["type"] == kind for each in self.subscribed) >= count)

    async def until_asked(self, kind: str, count: int = 1) -> None:
        """Return once `count` info requests of `kind` have arrived."""
        async with self._changed:
            await self._changed.wait_for(lambda: sum(each["type"] == kind for each in self.asked) >= count)

    async def converse(self, socket: ServerConnection) -> None:
        """Speak with one WebSocket client until it leaves."""
        self._sockets.add(socket)
        try:
            async for text in socket:
                message = json.loads(text)
                if message.get("method") == "ping":
                    await socket.send('{"channel":"pong"}')
                elif message.get("method") == "subscribe":
                    await self._subscribe(socket, message)
        except ConnectionClosed:
            pass  # a client that is cut off is what these tests are about
        finally:
            self._sockets.discard(socket)

    async def _subscribe(self, socket: ServerConnection, message: dict[str, dict[str, str]]) -> None:
        wanted = message["subscription"]
        if wanted["type"] in self.unsupported:
            reply = json.dumps({"channel": "error", "data": f"Invalid subscription: {json.dumps(wanted)}"})
        else:
            reply = json.dumps({"channel": "subscriptionResponse", "data": message})
        await socket.send(reply)
        async with self._changed:
            self.subscribed.append(wanted)
            self._changed.notify_all()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer HTTP requests on one connection until it closes."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                headers = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                if lines[0].startswith("POST /exchange ") and self.exchange is not None:
                    done = self.exchange.answer(body, self.info)
                    if done is None:
                        break
                    status, sent, more = 200, done, dict[str, str]()
                else:
                    status, sent, more = await self._reply(lines[0], body)
                extra = "".join(f"{name}: {value}\r\n" for name, value in more.items())
                writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: {len(sent)}\r\n{extra}\r\n".encode() + sent)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _reply(self, request: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        if request.startswith("POST /exchange ") and self.exchange_refusal is not None:
            return self.exchange_refusal.status, self.exchange_refusal.body, self.exchange_refusal.headers
        if not request.startswith("POST /info "):
            return 404, b"", {}
        asked = json.loads(body)
        async with self._changed:
            self.asked.append(asked)
            self._changed.notify_all()
        if asked["type"] == "orderStatus" and self.exchange is not None:
            return 200, json.dumps(self.exchange.order_status(asked["oid"])).encode(), {}
        key = f"{asked['type']} {asked['dex']}" if asked.get("dex") else asked["type"]
        # The venue answers what it cannot deserialise with 422.
        reply = self.info.get(key, Refusal(422, b"Failed to deserialize the JSON body into the target type"))
        if isinstance(reply, Refusal):
            return reply.status, reply.body, reply.headers
        return 200, reply if isinstance(reply, bytes) else json.dumps(reply).encode(), {}


def _port(server: Server | asyncio.Server) -> int:
    return next(iter(server.sockets)).getsockname()[1]  # type: ignore[no-any-return]  # a socket's port is an int


@asynccontextmanager
async def hyperliquid_server() -> AsyncIterator[HyperliquidServer]:
    """Run a venue on two loopback ports."""
    venue = HyperliquidServer()
    http = await asyncio.start_server(venue.answer, "127.0.0.1", 0)
    async with http, serve(venue.converse, "127.0.0.1", 0) as sockets:
        venue.url_rest, venue.url_ws = f"http://127.0.0.1:{_port(http)}", f"ws://127.0.0.1:{_port(sockets)}/ws"
        yield venue
