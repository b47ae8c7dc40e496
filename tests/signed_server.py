"""A loopback venue that takes signed requests over HTTP and pushes over a WebSocket: what is the same for all of them.

    venue = SignedServer(answer=my_venue.answer, hear=my_venue.hear)
    async with venue:
        ...AccountOptions(rest_url=venue.url_rest, ws_url=venue.url_ws)
        venue.fail(Reply(503), times=2)
        await venue.push({"e": "ACCOUNT_UPDATE"})

`answer` is the venue itself: it checks the signature of each `Asked` and returns a `Reply`. A test makes requests late,
cuts them before or after they were carried out, and limits or fails the next ones; writes alone, or all.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as Handshake
from websockets.http11 import Response


@dataclass(frozen=True, slots=True)
class Asked:
    """One HTTP request as it arrived. `query` and `body` are raw, as they were signed; `headers` by lower-case name."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: str

    @property
    def fields(self) -> dict[str, str]:
        """Return the parameters of the query and of a form body, in their order."""
        body = "" if self.body.lstrip().startswith(("{", "[")) else self.body
        return dict(parse_qsl(self.query, keep_blank_values=True) + parse_qsl(body, keep_blank_values=True))

    @property
    def json(self) -> object:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered. `value` is sent as JSON, `bytes` as they are."""

    status: int = 200
    value: object = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """Return what goes over the wire."""
        return self.value if isinstance(self.value, bytes) else json.dumps(self.value).encode()


@dataclass(frozen=True, slots=True)
class Cut:
    """The line is cut without an answer: before the request is carried out, or after."""

    is_carried_out: bool = False


@dataclass(frozen=True, slots=True)
class Late:
    """The request is carried out at once, and answered only once `release` is set."""

    release: asyncio.Event


Mishap = Reply | Cut | Late
Answer = Callable[[Asked], Reply]
Hear = Callable[["SignedServer", ServerConnection, str], Awaitable[None]]
Admit = Callable[[str], int]


async def _deaf(server: "SignedServer", socket: ServerConnection, text: str) -> None:
    """Hear nothing: a venue that pushes by the address alone."""


class SignedServer:
    """One fake venue on two loopback ports. `asked` are all HTTP requests, `heard` all WebSocket texts, in order.

    `hear` is told what a WebSocket client sends. `admit` returns the HTTP status for a WebSocket path, 101 to let it
    in. `paths` are those of the connections now open.
    """

    def __init__(self, answer: Answer, hear: Hear = _deaf, admit: Admit = lambda _: 101) -> None:
        self._answer_of, self._hear, self._admit_of = answer, hear, admit
        self.asked: list[Asked] = []
        self.heard: list[str] = []
        self.connections = 0
        self._mishaps: list[tuple[Mishap, Callable[[Asked], bool]]] = []
        self._sockets: dict[ServerConnection, str] = {}
        self._changed = asyncio.Condition()
        self._lines: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._http: asyncio.Server | None = None
        self._ws: Server | None = None

    async def __aenter__(self) -> Self:
        self._http = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._ws = await serve(self._converse, "127.0.0.1", 0, compression=None, process_request=self._admit)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._http is not None
        assert self._ws is not None
        self.drop()
        self._ws.close()
        self._http.close()
        for writer in self._lines.values():
            writer.transport.abort()
        await asyncio.gather(*self._lines, return_exceptions=True)
        await self._ws.wait_closed()

    @property
    def url_rest(self) -> str:
        """Return the base to configure as `rest_url`."""
        assert self._http is not None
        return f"http://127.0.0.1:{self._http.sockets[0].getsockname()[1]}"

    @property
    def url_ws(self) -> str:
        """Return the base to configure as `ws_url`."""
        assert self._ws is not None
        return f"ws://127.0.0.1:{next(iter(self._ws.sockets)).getsockname()[1]}"

    @property
    def paths(self) -> list[str]:
        """Return the path and query of every open WebSocket."""
        return list(self._sockets.values())

    @property
    def writes(self) -> list[Asked]:
        """Return the requests that are no GET, in order."""
        return [each for each in self.asked if each.method != "GET"]

    def fail(self, how: Mishap, times: int = 1, *, only: Callable[[Asked], bool] = lambda _: True) -> None:
        """Let the next `times` requests that `only` picks go wrong."""
        self._mishaps.extend([(how, only)] * times)

    def fail_writes(self, how: Mishap, times: int = 1, path: str = "") -> None:
        """Let the next `times` requests to `path` that are no GET go wrong."""
        self.fail(how, times, only=lambda asked: asked.method != "GET" and path in asked.path)

    def heal(self) -> None:
        """Forget every mishap that did not happen yet."""
        self._mishaps.clear()

    async def push(self, frame: object, *, to: str = "") -> None:
        """Send one frame to every open connection whose path holds `to`; text and bytes go as they are."""
        data = frame if isinstance(frame, str | bytes) else json.dumps(frame)
        for socket, path in list(self._sockets.items()):
            if to in path:
                await say(socket, data)

    def drop(self, *, to: str = "", mid_frame: bool = False) -> None:
        """Cut connections whose path holds `to` without a close frame; `mid_frame` sends half a text first."""
        for socket, path in list(self._sockets.items()):
            if to not in path:
                continue
            if mid_frame:
                socket.transport.write(b"\x81\x7e\x01\x00" + b'{"trunca')
                socket.transport.close()
            else:
                socket.transport.abort()

    async def until(self, fact: Callable[[], bool]) -> None:
        """Return once `fact` holds; it is looked at after every request, connection and text that arrives."""
        async with self._changed:
            await self._changed.wait_for(fact)

    async def until_asked(self, path: str, times: int = 1) -> None:
        """Return once `path` has been asked `times` times, whatever was answered."""
        await self.until(lambda: sum(path in each.path for each in self.asked) >= times)

    async def until_connected(self, path: str, times: int = 1) -> None:
        """Return once `times` WebSockets whose path holds `path` are open."""
        await self.until(lambda: sum(path in each for each in self._sockets.values()) >= times)

    def _mishap(self, asked: Asked) -> Mishap | None:
        for index, (how, only) in enumerate(self._mishaps):
            if only(asked):
                del self._mishaps[index]
                return how
        return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines[task] = writer
        try:
            while True:
                asked = await _read(reader)
                mishap = self._mishap(asked)
                reply = mishap if isinstance(mishap, Reply) else None
                if reply is None and not (isinstance(mishap, Cut) and not mishap.is_carried_out):
                    reply = self._answer_of(asked)
                async with self._changed:
                    self.asked.append(asked)
                    self._changed.notify_all()
                if isinstance(mishap, Late):
                    waiting = asyncio.create_task(mishap.release.wait())
                    gone = asyncio.create_task(reader.read(1))
                    await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
                    for each in (waiting, gone):
                        each.cancel()
                    await asyncio.gather(waiting, gone, return_exceptions=True)
                    if not mishap.release.is_set():
                        return
                if isinstance(mishap, Cut) or reply is None:
                    writer.transport.abort()
                    return
                await _write(writer, reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            del self._lines[task]
            writer.close()

    def _admit(self, connection: ServerConnection, handshake: Handshake) -> Response | None:
        status = self._admit_of(handshake.path)
        return None if status == 101 else connection.respond(status, "no\n")

    async def _converse(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        async with self._changed:
            self._sockets[socket] = socket.request.path
            self.connections += 1
            self._changed.notify_all()
        try:
            async for message in socket:
                text = message if isinstance(message, str) else message.decode()
                async with self._changed:
                    self.heard.append(text)
                    self._changed.notify_all()
                await self._hear(self, socket, text)
        except ConnectionClosed:
            pass
        finally:
            async with self._changed:
                del self._sockets[socket]
                self._changed.notify_all()


async def say(socket: ServerConnection, data: str | bytes) -> None:
    """Send to one client, who may have left."""
    try:
        await socket.send(data)
    except ConnectionClosed:
        return


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Asked(method, parts.path, parts.query, headers, body.decode())


async def _write(writer: asyncio.StreamWriter, reply: Reply) -> None:
    head = {"Content-Type": "application/json", "Content-Length": str(len(reply.body))} | dict(reply.headers)
    lines = [f"HTTP/1.1 {reply.status} x", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    writer.write("\r\n".join(lines).encode() + reply.body)
    await writer.drain()
