"""JSON-RPC of a chain over one or several URLs: batches, fail-over, chain id first, disagreement noticed.

A node is named by scheme and host only: the path or query of an RPC URL often is an API key. Shapes:
jsonrpc.org/specification 2.0 and ethereum.org/developers/docs/apis/json-rpc (read 2026-11).
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from engine.record import record
from providers.errors import ConfigError, Malformed, ProviderError, RateLimited, Refused, Unreachable
from providers.http import HttpTransport, checked_url, decode
from providers.text import inert

LAG_BLOCKS = 5
COMPARE_EVERY_S = 30.0
REST_AFTER_FAILURE_S = 30.0
TIP_DEPTH = 2
BATCH_SIZE = 100
MAX_BLOCK = 2**63
_HEX = re.compile(r"0x[0-9a-fA-F]*")

Request = tuple[str, Sequence[Any]]


@record
class RpcFault:
    """A node's answer to one request that failed: its code and its words, inert. `data` is a revert's data."""

    code: int
    message: str
    data: bytes | None = None


class Node:
    """One RPC URL. `problem` says what is wrong with it now, or is `None`."""

    def __init__(self, url: str, *, timeout_s: float, attempts: int, tls_ca: str | None) -> None:
        checked_url("rpc", url, "https", "http")
        parts = urlsplit(url)
        self.label = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
        self.venue = f"rpc {self.label}"
        self.problem: str | None = None
        self.is_verified = False
        self.rests_until = 0.0
        self._http = HttpTransport(self.venue, url, timeout_s=timeout_s, attempts=attempts, tls_ca=tls_ca)
        self._last_id = 0
        self._takes_batches = True

    async def request(self, requests: Sequence[Request]) -> list[object]:
        """Return one result or `RpcFault` per request, in order; raises `ProviderError`.

        Sent as batches; singly when the node refuses batches.
        """
        results: list[object] = []
        for start in range(0, len(requests), BATCH_SIZE):
            part = requests[start : start + BATCH_SIZE]
            if len(part) > 1 and self._takes_batches:
                batched = await self._batch(part)
                if batched is not None:
                    results += batched
                    continue
                self._takes_batches = False
            for one in part:
                results.append(await self._single(one))
        return results

    async def verify(self, chain_id: int) -> None:
        """Make sure once that this node speaks for `chain_id`; raises `Refused` naming both ids otherwise."""
        if self.is_verified:
            return
        answer = (await self.request([("eth_chainId", [])]))[0]
        said = quantity(self.venue, "eth_chainId", answer)
        if said != chain_id:
            raise Refused(self.venue, f"is chain {said}, the config says {chain_id}; check rpc_url and chain")
        self.is_verified = True

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    def _next(self, request: Request) -> dict[str, object]:
        self._last_id += 1
        return {"jsonrpc": "2.0", "id": self._last_id, "method": request[0], "params": list(request[1])}

    async def _single(self, request: Request) -> object:
        sent = self._next(request)
        reply = decode(self.venue, request[0], await self._http.post("", sent, is_read=True), object)
        if not isinstance(reply, dict) or reply.get("id") not in (sent["id"], None):
            raise Malformed(self.venue, f"{request[0]}: the reply does not answer our request")
        return self._result(request[0], reply)

    async def _batch(self, requests: Sequence[Request]) -> list[object] | None:
        """Return the results of a batch, or `None` when the node does not take batches."""
        sent = [self._next(request) for request in requests]
        try:
            raw = await self._http.post("", sent, is_read=True)
        except Refused as error:
            if error.status in (400, 404, 405, 413, 415, 422):
                return None
            raise
        reply = decode(self.venue, f"batch of {len(sent)}", raw, object)
        if isinstance(reply, dict) and "error" in reply:
            self._result("batch", reply)
            return None
        if not isinstance(reply, list):
            raise Malformed(self.venue, f"batch of {len(sent)}: the reply is not a list")
        by_id = {item["id"]: item for item in reply if isinstance(item, dict) and type(item.get("id")) is int}
        missing = [item["id"] for item in sent if item["id"] not in by_id]
        if missing or len(reply) != len(sent):
            raise Malformed(self.venue, f"batch of {len(sent)}: {len(reply)} replies, {len(missing)} of ours missing")
        return [self._result(request[0], by_id[item["id"]]) for request, item in zip(requests, sent, strict=True)]

    def _result(self, method: str, reply: dict[str, Any]) -> object:
        error = reply.get("error")
        if error is None:
            if "result" not in reply:
                raise Malformed(self.venue, f"{method}: neither result nor error")
            return reply["result"]
        if not isinstance(error, dict):
            raise Malformed(self.venue, f"{method}: an error that is no object")
        code = error.get("code")
        message = inert(str(error.get("message", "")), 120)
        if code in (-32005, 429) or "rate limit" in message.lower():
            raise RateLimited(self.venue, f"{method}: {message}")
        data = error.get("data")
        is_hex = isinstance(data, str) and len(data) % 2 == 0 and _HEX.fullmatch(data) is not None
        return RpcFault(
            code if isinstance(code, int) else 0, message, bytes.fromhex(data[2:]) if is_hex and data else None
        )


class Rpc:
    """A chain read through `urls`, tried in order; the first that works is stayed with until it fails or lags.

    Raises `ConfigError` for a URL that is none. `clock` is monotonic seconds.
    """

    def __init__(
        self,
        urls: Sequence[str],
        chain_id: int,
        *,
        timeout_s: float = 8.0,
        tls_ca: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not urls:
            raise ConfigError("rpc_url: at least one URL is needed")
        attempts = 3 if len(urls) == 1 else 1
        self.chain_id = chain_id
        self.nodes = [Node(url, timeout_s=timeout_s, attempts=attempts, tls_ca=tls_ca) for url in urls]
        self._clock = clock
        self._compared_at = float("-inf")
        self._conflict: str | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """Return what is wrong with any node now; a reading that rests on the others is degraded by it."""
        found = [node.problem for node in self.nodes if node.problem is not None]
        return (*found, *((self._conflict,) if self._conflict else ()))

    async def request(self, requests: Sequence[Request]) -> list[object]:
        """Return one result or `RpcFault` per request, all from one node; raises `ProviderError` when none answers.

        Every node must first say the right chain id. One that says another is never used.
        """
        errors: list[ProviderError] = []
        for node in self._in_order():
            try:
                await node.verify(self.chain_id)
                results = await node.request(requests)
            except ProviderError as error:
                node.problem = str(error)
                node.is_verified = False
                node.rests_until = self._clock() + REST_AFTER_FAILURE_S
                errors.append(error)
                continue
            if node.rests_until:
                node.rests_until, node.problem = 0.0, None
            return results
        raise _worst(errors)

    async def compare(self) -> None:
        """Ask every node for its head, at most every 30 s, and note who is behind or on another chain of blocks.

        A node more than 5 blocks behind the furthest gets a `problem` and is used only when no other answers.
        Differing hashes at one height, two blocks below the lowest head, are a conflict that nobody here can settle.
        """
        now = self._clock()
        if len(self.nodes) < 2 or now - self._compared_at < COMPARE_EVERY_S:
            return
        self._compared_at = now
        heads = await asyncio.gather(*(self._head(node) for node in self.nodes))
        known = [(node, head) for node, head in zip(self.nodes, heads, strict=True) if head is not None]
        if not known:
            return
        leader, best = max(known, key=lambda pair: pair[1])
        for node, head in known:
            behind = best - head
            lagging = behind > LAG_BLOCKS
            node.problem = f"{node.venue}: {behind} blocks behind {leader.label}" if lagging else None
            node.rests_until = now + 2 * COMPARE_EVERY_S if lagging else 0.0
        current = [(node, head) for node, head in known if best - head <= LAG_BLOCKS]
        self._conflict = await self._hash_conflict([node for node, _ in current], min(head for _, head in current))

    async def aclose(self) -> None:
        """Close every connection; the next request opens new ones."""
        for node in self.nodes:
            await node.aclose()

    def _in_order(self) -> list[Node]:
        now = self._clock()
        return sorted(self.nodes, key=lambda node: node.rests_until > now)

    async def _head(self, node: Node) -> int | None:
        try:
            await node.verify(self.chain_id)
            return block_number(node.venue, (await node.request([("eth_blockNumber", [])]))[0])
        except ProviderError as error:
            node.problem = str(error)
            node.is_verified = False
            node.rests_until = self._clock() + REST_AFTER_FAILURE_S
            return None

    async def _hash_conflict(self, nodes: Sequence[Node], lowest: int) -> str | None:
        height = max(lowest - TIP_DEPTH, 0)
        said: dict[str, str] = {}
        for node in nodes:
            try:
                block = (await node.request([("eth_getBlockByNumber", [hex(height), False])]))[0]
            except ProviderError:
                continue
            if isinstance(block, dict) and isinstance(block.get("hash"), str):
                said.setdefault(inert(block["hash"], 66), node.label)
        if len(said) < 2:
            return None
        claims = ", ".join(f"{label} says {shown[:10]}" for shown, label in said.items())
        return f"rpc nodes disagree about block {height}: {claims}"


def quantity(venue: str, what: str, value: object) -> int:
    """Return a JSON-RPC quantity ("0x1a") of at most 256 bits; raises `Malformed`."""
    if isinstance(value, RpcFault):
        raise Malformed(venue, f"{what}: {value.message or value.code}")
    if not isinstance(value, str) or not 3 <= len(value) <= 66 or not _HEX.fullmatch(value):
        raise Malformed(venue, f"{what}: not a hex number")
    return int(value, 16)


def block_number(venue: str, value: object) -> int:
    """Return a block number that can be one; raises `Malformed`."""
    number = quantity(venue, "eth_blockNumber", value)
    if number >= MAX_BLOCK:
        raise Malformed(venue, "eth_blockNumber: no chain is that long")
    return number


def hex_bytes(venue: str, what: str, value: object) -> bytes:
    """Return JSON-RPC data ("0x...") as bytes; raises `Malformed`."""
    if not isinstance(value, str) or len(value) % 2 or not _HEX.fullmatch(value):
        raise Malformed(venue, f"{what}: not hex data")
    return bytes.fromhex(value[2:])


def _worst(errors: Sequence[ProviderError]) -> ProviderError:
    """Return what to tell of several failures: what may pass by waiting before what will not."""
    for kind in (Unreachable, RateLimited, Malformed):
        for error in errors:
            if isinstance(error, kind):
                return error
    return errors[0]
