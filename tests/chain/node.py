"""An anvil node of our own on loopback, and the JSON-RPC that drives it.

Facts about anvil 1.7.1 that shape this file (all observed): automine stalls when transactions arrive in one batch, so
`bundle` turns it off, sends, mines one block and turns it on again; requests of one batch run side by side; a reverted
transaction is mined with status 0, and its reason is had by calling it again on the block before.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
CHAIN_ID = 31337
GAS_LIMIT = 15_000_000
MAX_FEE_WEI = 10 * 10**9
START_WITHIN_S = 30.0


class RpcError(Exception):
    """The node answered a request with an error; `data` is the revert data, if it sent any."""

    def __init__(self, method: str, code: int, message: str, data: str | None = None) -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.code = code
        self.data = data


class Reverted(Exception):
    """A contract refused. `data` is its raw revert data, 0x-prefixed; `reason` names the error where it is known."""

    def __init__(self, reason: str, data: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.data = data


@dataclass(frozen=True, slots=True)
class Tx:
    """One transaction to send from an unlocked account; `to` is `None` to create a contract."""

    sender: str
    to: str | None
    data: str
    value_wei: int = 0

    def params(self) -> dict[str, str]:
        """Return the transaction as an RPC object."""
        fields = {"from": self.sender, "data": self.data, "value": hex(self.value_wei), "gas": hex(GAS_LIMIT)}
        return fields if self.to is None else fields | {"to": self.to}


@dataclass(frozen=True, slots=True)
class Receipt:
    """Outcome of a mined transaction; `contract` is the address it created, if it created one."""

    succeeded: bool
    block_number: int
    gas_used: int
    contract: str | None


def executable() -> Path | None:
    """Return the anvil to run: `$MARGINLINE_ANVIL`, the npm package's, or the one on the path; `None` without one."""
    npm = ROOT / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
    wanted = os.environ.get("MARGINLINE_ANVIL") or (str(npm) if npm.exists() else "anvil")
    found = shutil.which(wanted)
    return None if found is None else Path(found)


class Rpc:
    """JSON-RPC over one kept-alive loopback connection; not for use from several threads."""

    def __init__(self, host: str, port: int) -> None:
        self.url = f"http://{host}:{port}"
        self._connection = http.client.HTTPConnection(host, port, timeout=60)
        self._last_id = 0

    def call(self, method: str, *params: Any) -> Any:
        """Return the result of one request; raises `RpcError`."""
        return self._result(method, self._post(self._request(method, params)))

    def batch(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return the results of several requests sent as one, in order; raises `RpcError` for the first that failed."""
        sent = [self._request(method, params) for method, params in requests]
        answers = {answer["id"]: answer for answer in self._post(sent)}
        return [self._result(request["method"], answers[request["id"]]) for request in sent]

    def close(self) -> None:
        self._connection.close()

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        self._last_id += 1
        return {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": list(params)}

    def _post(self, body: Any) -> Any:
        self._connection.request("POST", "/", json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(self._connection.getresponse().read())

    @staticmethod
    def _result(method: str, answer: dict[str, Any]) -> Any:
        error = answer.get("error")
        if error is None:
            return answer["result"]
        data = error.get("data")
        raise RpcError(method, error["code"], error["message"], data if isinstance(data, str) else None)


class Anvil:
    """A running anvil node; a context manager that ends its own process.

    Every account is unlocked (`eth_sendTransaction` from any address). `url` is its HTTP and WebSocket port.
    """

    def __init__(self, *, chain_id: int = CHAIN_ID, timestamp_s: int | None = None) -> None:
        binary = executable()
        if binary is None:
            raise FileNotFoundError("no anvil: run `npm ci`, or name one in MARGINLINE_ANVIL")
        self.chain_id = chain_id
        port = _free_port()
        command = [str(binary), "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id), "--quiet"]
        command += ["--gas-limit", "1000000000", "--auto-impersonate"]
        command += [] if timestamp_s is None else ["--timestamp", str(timestamp_s)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait_for(port, self._process)
            self.rpc = Rpc("127.0.0.1", port)
            self.accounts: tuple[str, ...] = tuple(self.rpc.call("eth_accounts"))
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        """Return the address of its JSON-RPC."""
        return self.rpc.url

    @property
    def ws_url(self) -> str:
        """Return the address of its WebSocket."""
        return self.rpc.url.replace("http", "ws", 1)

    def stop(self) -> None:
        """End the process; harmless when it already ended."""
        if hasattr(self, "rpc"):
            self.rpc.close()
        self._process.terminate()
        self._process.wait(timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def snapshot(self) -> str:
        """Return a mark that `revert` goes back to, once."""
        return str(self.rpc.call("evm_snapshot"))

    def revert(self, mark: str) -> None:
        """Go back to `mark`: state, block number and time."""
        if not self.rpc.call("evm_revert", mark):
            raise LookupError(f"no snapshot {mark}")

    def mine(self, blocks: int = 1) -> None:
        """Mine empty blocks."""
        self.rpc.call("anvil_mine", hex(blocks))

    def set_next_timestamp(self, seconds: int) -> None:
        """Give the next block this timestamp, which must be later than the last block's."""
        self.rpc.call("evm_setNextBlockTimestamp", seconds)

    def skip(self, seconds: int) -> None:
        """Let `seconds` pass on the chain, and mine a block at their end."""
        self.set_next_timestamp(self.timestamp() + seconds)
        self.mine()

    def timestamp(self) -> int:
        """Return the latest block's timestamp in seconds."""
        return int(self.rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def block_number(self) -> int:
        """Return the latest block's number."""
        return int(self.rpc.call("eth_blockNumber"), 16)

    def call(self, to: str, data: str, *, block: str | int = "latest", sender: str | None = None) -> bytes:
        """Return what a read of `to` answers; raises `RpcError` with the revert data when it reverts."""
        fields = {"to": to, "data": data} | ({} if sender is None else {"from": sender})
        tag = hex(block) if isinstance(block, int) else block
        return bytes.fromhex(self.rpc.call("eth_call", fields, tag)[2:])

    def send(self, tx: Tx) -> Receipt:
        """Mine `tx` in a block of its own; raises `Reverted`."""
        return self.bundle([tx])[0]

    def bundle(self, txs: Sequence[Tx], *, timestamp_s: int | None = None, check: bool = True) -> list[Receipt]:
        """Mine `txs` in this order in one block, at `timestamp_s` if given.

        Raises `Reverted` for the first that failed, unless `check` is off; the block stays mined either way.
        """
        prepared = self._in_order(txs)
        self.rpc.call("evm_setAutomine", False)
        hashes = self.rpc.batch([("eth_sendTransaction", [fields]) for fields in prepared])
        if timestamp_s is not None:
            self.set_next_timestamp(timestamp_s)
        self.rpc.call("evm_mine")
        self.rpc.call("evm_setAutomine", True)
        raw = self.rpc.batch([("eth_getTransactionReceipt", [tx_hash]) for tx_hash in hashes])
        receipts = [_receipt(entry) for entry in raw]
        for tx, receipt in zip(txs, receipts, strict=True):
            if check and not receipt.succeeded:
                raise self._reverted(tx, receipt.block_number)
        return receipts

    def _in_order(self, txs: Sequence[Tx]) -> list[dict[str, str]]:
        """Return RPC objects whose nonces and falling tips make any miner keep the order given."""
        senders = list(dict.fromkeys(tx.sender for tx in txs))
        counts = self.rpc.batch([("eth_getTransactionCount", [sender, "latest"]) for sender in senders])
        nonces = {sender: int(count, 16) for sender, count in zip(senders, counts, strict=True)}
        prepared = []
        for place, tx in enumerate(txs):
            tip = hex(len(txs) - place)
            fees = {"maxFeePerGas": hex(MAX_FEE_WEI), "maxPriorityFeePerGas": tip, "nonce": hex(nonces[tx.sender])}
            prepared.append(tx.params() | fees)
            nonces[tx.sender] += 1
        return prepared

    def _reverted(self, tx: Tx, block_number: int) -> Reverted:
        timestamp = self.rpc.call("eth_getBlockByNumber", hex(block_number), False)["timestamp"]
        overrides = {"number": hex(block_number), "time": timestamp}
        for parent in (block_number - 1, block_number):
            try:
                self.rpc.call("eth_call", tx.params(), hex(parent), {}, overrides)
            except RpcError as error:
                if error.data is not None:
                    return Reverted(reason(error.data), error.data)
        return Reverted("unknown", "0x")


ERROR_NAMES: dict[str, str] = {}
"""Names of custom errors by selector ("0x930bb771"); whoever loads an ABI adds its errors here."""


def reason(data: str) -> str:
    """Return a revert's own words: the text of `Error(string)`, the name of a custom error, or the raw data."""
    if data.startswith("0x08c379a0"):
        raw = bytes.fromhex(data[10:])
        length = int.from_bytes(raw[32:64], "big")
        return raw[64 : 64 + length].decode()
    return ERROR_NAMES.get(data[:10], data)


def _receipt(raw: dict[str, Any] | None) -> Receipt:
    if raw is None:
        raise RpcError("eth_getTransactionReceipt", 0, "the transaction was not mined")
    return Receipt(
        succeeded=raw["status"] == "0x1",
        block_number=int(raw["blockNumber"], 16),
        gas_used=int(raw["gasUsed"], 16),
        contract=raw["contractAddress"],
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"anvil ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise TimeoutError(f"anvil did not answer within {START_WITHIN_S} s")
