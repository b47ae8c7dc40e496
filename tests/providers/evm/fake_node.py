"""A loopback JSON-RPC node with an Aave-shaped market behind it, and every fault that a public node has shown.

It speaks real HTTP over real sockets. Contracts are a table from (address, selector) to an answer; Multicall3 is
emulated over the same table, or absent.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from eth_abi.abi import decode, encode

from providers.evm.abi import MULTICALL3, SELECTORS

Answer = bytes | Callable[[bytes], bytes | None] | None
"""What a function answers: bytes, a function of its argument bytes, or `None` to revert."""


@dataclass
class FakeNode:
    """One node. Change its fields while it runs; `requests` counts HTTP requests, `methods` every call in them.

    `raw` replaces whole HTTP replies, first come first served: (status, headers, body).
    """

    chain_id: int = 31337
    block: int = 1000
    timestamp_s: int = 1_700_000_000
    block_hash: str = "0x" + "ab" * 32
    contracts: dict[tuple[str, str], Answer] = field(default_factory=dict)
    has_multicall: bool = True
    takes_batches: bool = True
    raw: list[tuple[int, Mapping[str, str], bytes]] = field(default_factory=list)
    requests: int = 0
    methods: list[str] = field(default_factory=list)
    path: str = ""
    scramble: Callable[[Any], Any] | None = None
    _open: dict[asyncio.StreamWriter, asyncio.Task[None]] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        handlers = list(self._open.values())
        for writer in list(self._open):
            writer.close()
        await asyncio.gather(*handlers)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Return its address, with the `path` that stands for an API key."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    def answer(self, address: str, signature: str, *values: tuple[str, Any]) -> None:
        """Let the contract answer `signature` with (type, value) pairs; with none, revert."""
        types, plain = [kind for kind, _ in values], [value for _, value in values]
        self.contracts[address.lower(), SELECTORS[signature]] = encode(types, plain) if values else None

    def _call(self, to: str, data: bytes) -> bytes | None:
        """Return what a contract answers: empty without code, `None` when it reverts."""
        to, selector = to.lower(), data[:4].hex()
        if to == MULTICALL3.lower() and self.has_multicall:
            return self._multicall(selector, data)
        if not any(address == to for address, _ in self.contracts):
            return b""
        found = self.contracts.get((to, selector))
        return found(data[4:]) if callable(found) else found

    def _multicall(self, selector: str, data: bytes) -> bytes | None:
        if selector == SELECTORS["getBlockNumber()"]:
            return encode(["uint256"], [self.block])
        if selector == SELECTORS["getCurrentBlockTimestamp()"]:
            return encode(["uint256"], [self.timestamp_s])
        (calls,) = decode(["(address,bool,bytes)[]"], data[4:])
        results = [(self._call(to, inner)) for to, _, inner in calls]
        return encode(["(bool,bytes)[]"], [[(one is not None, one or b"") for one in results]])

    def _respond(self, request: dict[str, Any]) -> dict[str, Any]:
        method = request["method"]
        self.methods.append(method)
        head = {"jsonrpc": "2.0", "id": request["id"]}
        if method == "eth_chainId":
            return head | {"result": hex(self.chain_id)}
        if method == "eth_blockNumber":
            return head | {"result": hex(self.block)}
        if method == "eth_getBlockByNumber":
            block = {"number": hex(self.block), "timestamp": hex(self.timestamp_s), "hash": self.block_hash}
            return head | {"result": block}
        if method == "eth_call":
            target = request["params"][0]
            found = self._call(target["to"], bytes.fromhex(target["data"][2:]))
            if found is None:
                return head | {"error": {"code": 3, "message": "execution reverted", "data": "0x"}}
            return head | {"result": "0x" + found.hex()}
        return head | {"error": {"code": -32601, "message": f"method {method} not found"}}

    def _reply(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        if self.raw:
            return self.raw.pop(0)
        asked = json.loads(body)
        if isinstance(asked, list) and not self.takes_batches:
            error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch not supported"}}
            return 200, {}, json.dumps(error).encode()
        reply = [self._respond(one) for one in asked] if isinstance(asked, list) else self._respond(asked)
        return 200, {}, json.dumps(reply if self.scramble is None else self.scramble(reply)).encode()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._open[writer] = task
        try:
            while line := await reader.readline():
                length = 0
                while (header := (await reader.readline()).strip()) != b"":
                    name, _, value = header.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                body = await reader.readexactly(length)
                if not line.startswith(b"POST"):
                    break
                self.requests += 1
                status, headers, reply = self._reply(body)
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(reply)}\r\n"
                head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                writer.write(head.encode() + b"\r\n" + reply)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.pop(writer, None)
            writer.close()


PROVIDER = "0x" + "a0" * 20
POOL = "0x" + "a1" * 20
ORACLE = "0x" + "a2" * 20
USER = "0x" + "ee" * 20
WETH, USDC = "0x" + "b0" * 20, "0x" + "b1" * 20
TOKENS = {WETH: ("WETH", 18, 2500 * 10**8, 0), USDC: ("USDC", 6, 10**8, 1)}
FEEDS = {WETH: "0x" + "f0" * 20, USDC: "0x" + "f1" * 20}


def a_token(token: str) -> str:
    return "0x" + token[2:4].replace("b", "c") * 20


def debt_token(token: str) -> str:
    return "0x" + token[2:4].replace("b", "d") * 20


def configuration(ltv: int, threshold: int, bonus: int, decimals: int) -> int:
    """Return a reserve's configuration word: active, borrowing on, virtual accounting on."""
    return ltv | threshold << 16 | bonus << 32 | decimals << 48 | 1 << 56 | 1 << 58 | 1 << 252


def install_market(node: FakeNode, *, revision: int = 10, health: int = 1383333333333333333) -> None:
    """Put an Aave market on `node` in which `USER` has 10 WETH supplied and 15,000 USDC borrowed."""
    node.answer(PROVIDER, "getPool()", ("address", POOL))
    node.answer(PROVIDER, "getPriceOracle()", ("address", ORACLE))
    node.answer(POOL, "POOL_REVISION()", ("uint256", revision))
    node.answer(POOL, "getReservesList()", ("address[]", list(TOKENS)))
    node.answer(POOL, "getUserConfiguration(address)", ("uint256", 0b0110))
    node.answer(POOL, "getUserEMode(address)", ("uint256", 0))
    totals = (25_000 * 10**8, 15_000 * 10**8, 5_125 * 10**8, 8300, 8050, health)
    node.answer(POOL, "getUserAccountData(address)", *(("uint256", value) for value in totals))
    node.answer(ORACLE, "BASE_CURRENCY_UNIT()", ("uint256", 10**8))
    reserves, prices, sources = {}, {}, {}
    for token, (symbol, decimals, price, reserve_id) in TOKENS.items():
        ray = ("uint128", 10**27)
        zero = ("uint128", 0)
        fields = [("uint256", configuration(8050, 8300, 10_500, decimals)), ray, zero, ray, zero, zero]
        fields += [("uint40", node.timestamp_s - 100), ("uint16", reserve_id), ("address", a_token(token))]
        fields += [("address", "0x" + "00" * 20), ("address", debt_token(token)), ("address", POOL), zero, zero, zero]
        reserves[token] = encode([kind for kind, _ in fields], [value for _, value in fields])
        prices[token] = encode(["uint256"], [price])
        sources[token] = encode(["address"], [FEEDS[token]])
        node.answer(token, "symbol()", ("string", symbol))
        node.answer(a_token(token), "scaledBalanceOf(address)", ("uint256", 10**19 if symbol == "WETH" else 0))
        node.answer(
            debt_token(token), "scaledBalanceOf(address)", ("uint256", 0 if symbol == "WETH" else 15_000 * 10**6)
        )
        rounds = ((1 << 64) + 5, price, node.timestamp_s - 60, node.timestamp_s - 60, (1 << 64) + 5)
        kinds = ("uint80", "int256", "uint256", "uint256", "uint80")
        node.answer(FEEDS[token], "latestRoundData()", *zip(kinds, rounds, strict=True))
        node.answer(FEEDS[token], "decimals()", ("uint8", 8))
        node.answer(FEEDS[token], "description()", ("string", "ETH / USD" if symbol == "WETH" else "USDC / USD"))
    for signature, table in (
        ("getReserveData(address)", reserves),
        ("getAssetPrice(address)", prices),
        ("getSourceOfAsset(address)", sources),
    ):
        at = POOL if signature.startswith("getReserve") else ORACLE
        node.contracts[at, SELECTORS[signature]] = lambda data, table=table: table.get("0x" + data[12:32].hex())
