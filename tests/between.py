"""Stands between the product and a loopback venue, on REST and WebSocket: records, bends and breaks what passes.

Whatever venue is behind it, faults are made here: a reply that is cut off, a line that dies after the venue has acted,
a frame that comes twice or too late, a socket that says nothing. So a venue's own server only has to be right.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as Handshake
from websockets.http11 import Response

_HOP = frozenset({"host", "connection", "content-length", "transfer-encoding", "content-encoding", "keep-alive"})
_HANDSHAKE = frozenset({"upgrade", "connection", "host", "user-agent"})


@dataclass(frozen=True, slots=True)
class Passed:
    """One request as the product sent it."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def fields(self) -> dict[str, Any]:
        """Return what it asks, from query and body (a form or JSON), by name; values of a form are text."""
        found: dict[str, Any] = dict(parse_qsl(self.query, keep_blank_values=True))
        if self.body[:1] in (b"{", b"["):
            said = json.loads(self.body)
            return found | (said if isinstance(said, dict) else {"": said})
        return found | dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply that is given instead of the venue's."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Cut(StrEnum):
    """When the line dies: before the venue sees the request, or after it has done what it was asked."""

    BEFORE = "before"
    AFTER = "after"


Fault = Answer | Cut | None


class Between:
    """Two ports in front of a venue. `breaks` decides what goes wrong with a request, `bends` changes good replies.

    `is_hushed` keeps the venue's frames from coming through; `admits` says whether WebSockets are taken. `requests`
    holds everything that was asked by REST, `frames` every frame that came through, `connections` counts WebSockets.
    """

    def __init__(self, rest_url: str, ws_url: str = "") -> None:
        self._rest, self._ws = urlsplit(rest_url), urlsplit(ws_url)
        self.breaks: Callable[[Passed], Fault] = lambda _: None
        self.bends: Callable[[Passed, bytes], bytes] = lambda _, body: body
        self.is_hushed, self.admits = False, True
        self.requests: list[Passed] = []
        self.frames: list[tuple[ServerConnection, str | bytes]] = []
        self.connections = 0
        self._sockets: set[ServerConnection] = set()
        self._client = httpx.AsyncClient(trust_env=False, timeout=30)
        self._happened = asyncio.Condition()
        self._ports = (0, 0)

    @property
    def rest_url(self) -> str:
        """Return what to configure as `rest_url`."""
        return f"http://127.0.0.1:{self._ports[0]}{self._rest.path}"

    @property
    def ws_url(self) -> str:
        """Return what to configure as `ws_url`, "" where the venue has none."""
        return f"ws://127.0.0.1:{self._ports[1]}{self._ws.path}" if self._ws.netloc else ""

    async def until(self, fact: Callable[[], bool]) -> None:
        """Return once `fact` holds, asked after everything that passes."""
        async with self._happened:
            await self._happened.wait_for(fact)

    def drop(self) -> None:
        """Cut every WebSocket without a close frame, one in the middle of a message."""
        for socket in list(self._sockets):
            socket.transport.write(b"\x81\x7e\x01\x00" + b'{"trunca')
            socket.transport.close()

    async def send(self, *frames: tuple[ServerConnection, str | bytes]) -> None:
        """Send frames again, to where they went, each once the one before has arrived."""
        for socket, data in frames:
            with suppress(ConnectionClosed):
                await socket.send(data)
                await (await socket.ping())

    async def _tell(self) -> None:
        async with self._happened:
            self._happened.notify_all()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it closes or is cut."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                method, target, _ = lines[0].split(" ")
                pairs = (line.partition(":") for line in lines[1:] if line)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                path, _, query = target.partition("?")
                passed = Passed(method, path, query, headers, body)
                said = await self._said(passed, target)
                await self._tell()
                if said is None:
                    break
                more = "".join(f"{name}: {value}\r\n" for name, value in said.headers.items())
                writer.write(f"HTTP/1.1 {said.status} x\r\nContent-Length: {len(said.body)}\r\n{more}\r\n".encode())
                writer.write(said.body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _said(self, passed: Passed, target: str) -> Answer | None:
        self.requests.append(passed)
        fault = self.breaks(passed)
        if isinstance(fault, Answer):
            return fault
        if fault is Cut.BEFORE:
            return None
        url = httpx.URL(f"{self._rest.scheme}://{self._rest.netloc}").copy_with(raw_path=target.encode("latin-1"))
        headers = {name: value for name, value in passed.headers.items() if name not in _HOP}
        try:
            reply = await self._client.request(passed.method, url, headers=headers, content=passed.body)
        except httpx.TransportError:
            return None
        if fault is Cut.AFTER:
            return None
        body = self.bends(passed, reply.content) if reply.is_success else reply.content
        kept = {name: value for name, value in reply.headers.items() if name.lower() not in _HOP}
        return Answer(reply.status_code, body, kept)

    async def admit(self, socket: ServerConnection, _: Handshake) -> Response | None:
        """Refuse a WebSocket while none is admitted."""
        return None if self.admits else socket.respond(503, "not now\n")

    async def converse(self, socket: ServerConnection) -> None:
        """Carry frames between one client and the venue until either leaves."""
        assert socket.request is not None
        url = f"{self._ws.scheme}://{self._ws.netloc}{socket.request.path}"
        more = [
            (name, value)
            for name, value in socket.request.headers.raw_items()
            if name.lower() not in _HANDSHAKE and not name.lower().startswith("sec-websocket")
        ]
        self._sockets.add(socket)
        try:
            async with connect(url, additional_headers=more, proxy=None, compression=None) as venue:
                self.connections += 1
                await self._tell()
                inward = asyncio.create_task(self._inward(venue, socket))
                try:
                    async for data in socket:
                        await venue.send(data)
                        await self._tell()
                finally:
                    inward.cancel()
                    await asyncio.gather(inward, return_exceptions=True)
        except (ConnectionClosed, OSError):
            pass
        finally:
            self._sockets.discard(socket)

    async def _inward(self, venue: Any, socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for data in venue:
                if not self.is_hushed:
                    await socket.send(data)
                    self.frames.append((socket, data))
                await self._tell()
        await socket.close()

    async def open(self, http: asyncio.Server, sockets: Server) -> None:
        """Learn on which ports it listens."""
        self._ports = (http.sockets[0].getsockname()[1], next(iter(sockets.sockets)).getsockname()[1])

    async def aclose(self) -> None:
        """Cut everything and close every connection to the venue."""
        for socket in list(self._sockets):
            socket.transport.abort()
        await self._client.aclose()


@asynccontextmanager
async def between(rest_url: str, ws_url: str = "") -> AsyncIterator[Between]:
    """Stand between the product and a venue, on ports of its own (so that it has a request budget of its own)."""
    middle = Between(rest_url, ws_url)
    http = await asyncio.start_server(middle.answer, "127.0.0.1", 0)
    async with (
        http,
        serve(middle.converse, "127.0.0.1", 0, compression=None, process_request=middle.admit) as sockets,
    ):
        await middle.open(http, sockets)
        try:
            yield middle
        finally:
            await middle.aclose()
