"""A loopback proxy before a node that lacks methods, dies after accepting, or lies."""

import asyncio
import http.client
import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self
from urllib.parse import urlsplit


class Proxy:
    """Passes JSON-RPC on to `url`. `lacking` methods do not exist; after `dying` ones the connection just ends.

    `lies` are answers given in place of the node's own. `methods` counts what was asked.
    """

    def __init__(
        self,
        url: str,
        *,
        lacking: Iterable[str] = (),
        dying: Iterable[str] = (),
        lies: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self.lacking, self.dying, self.lies = set(lacking), set(dying), dict(lies)
        self.methods: list[str] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
            )
            asked = json.loads(await reader.readexactly(length))
            reply = await asyncio.to_thread(self._answer, asked)
            if reply is not None:
                body = json.dumps(reply).encode()
                start = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(start.encode() + body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _answer(self, asked: Any) -> Any:
        """Return the reply, `None` to say nothing at all."""
        requests = asked if isinstance(asked, list) else [asked]
        replies = [self._one(request) for request in requests]
        if any(request["method"] in self.dying for request in requests):
            return None
        return replies if isinstance(asked, list) else replies[0]

    def _one(self, request: dict[str, Any]) -> Any:
        method = request["method"]
        self.methods.append(method)
        head = {"jsonrpc": "2.0", "id": request["id"]}
        if method in self.lacking:
            return head | {"error": {"code": -32601, "message": f"the method {method} does not exist"}}
        if method in self.lies:
            return head | {"result": self.lies[method]}
        connection = http.client.HTTPConnection(self._host, self._port, timeout=10)
        try:
            connection.request("POST", "/", json.dumps(request), {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()
