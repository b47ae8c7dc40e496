"""A loopback gate before the node: passes JSON-RPC on, counts what passes, and stops, lies or dies where it is told."""

import http.client
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

Forward = Callable[[], Any]
Rule = Callable[[dict[str, Any], Forward], Any]
"""Gets one request and how to pass it on; returns its result, or raises `Dies` to end the connection."""


class Dies(Exception):
    """The node ends the connection without a reply."""


class Gate:
    """A context manager; `url` stands for the node's.

    `rules` by method answer instead of the node. `stop_at` is the number (from 1) of the HTTP request that stays
    without an answer, passed on before if `passes`; `reached` is set then. `raw` are the transactions handed over.
    """

    def __init__(self, node_url: str) -> None:
        parts = urlsplit(node_url)
        self._node = (str(parts.hostname), int(parts.port or 80))
        self._guard = threading.Lock()
        self._closing = threading.Event()
        self.reached = threading.Event()
        self.rules: dict[str, Rule] = {}
        self.stop_at: int | None = None
        self.passes = False
        self.requests = 0
        self.raw: list[str] = []

    def __enter__(self) -> Self:
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                reply = gate._answer(asked)
                if reply is None:
                    self.close_connection = True
                    return
                body = json.dumps(reply).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:
                    return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, asked: Any) -> Any:
        with self._guard:
            self.requests += 1
            stops = self.requests == self.stop_at
        if stops and not self.passes:
            return self._stop()
        requests = asked if isinstance(asked, list) else [asked]
        try:
            replies = [self._one(request) for request in requests]
        except Dies:
            return None
        if stops:
            return self._stop()
        return replies if isinstance(asked, list) else replies[0]

    def _stop(self) -> None:
        """Stay silent until the gate closes: whoever asked is killed meanwhile."""
        self.reached.set()
        self._closing.wait(60)

    def _one(self, request: dict[str, Any]) -> dict[str, Any]:
        def forward() -> dict[str, Any]:
            if request["method"] == "eth_sendRawTransaction":
                with self._guard:
                    self.raw.append(request["params"][0])
            connection = http.client.HTTPConnection(*self._node, timeout=30)
            try:
                connection.request("POST", "/", json.dumps(request), {"Content-Type": "application/json"})
                reply: dict[str, Any] = json.loads(connection.getresponse().read())
                return reply
            finally:
                connection.close()

        rule = self.rules.get(request["method"])
        return forward() if rule is None else {"jsonrpc": "2.0", "id": request["id"]} | rule(request, forward)
