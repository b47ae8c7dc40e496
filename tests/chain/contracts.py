"""Compiled contracts: where they come from, how they are linked, and their calls' encoding.

Aave v3.0 comes as artifacts of npm `@aave/deploy-v3`; v3.6 and our own contracts are compiled here, once, by npm `solc`
(`compile.cjs`) and cached under `.cache/chain/` by a hash of what went in. Nothing compiled is committed or shipped:
Aave's sources are BUSL-1.1.
"""

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from tests.chain.node import ERROR_NAMES, ROOT, Anvil, Receipt, Tx, executable

HERE = Path(__file__).resolve().parent
MODULES = ROOT / "node_modules"
ARTIFACTS = MODULES / "@aave/deploy-v3/artifacts/@aave"
MULTICALL3_SOURCE = MODULES / "viem/_cjs/constants/contracts.js"

Abi = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract: `bytecode` is its unlinked creation code, `links` the libraries it wants linked."""

    name: str
    abi: Abi
    bytecode: str
    links: Mapping[str, tuple[int, ...]]

    def creation(self, arguments: Sequence[Any] = (), libraries: Mapping[str, str] | None = None) -> str:
        """Return the data that creates it; raises `KeyError` naming a library that is not in `libraries`."""
        code = self.bytecode
        for library, starts in self.links.items():
            address = (libraries or {})[library][2:].lower()
            for start in starts:
                code = code[: 2 * start] + address + code[2 * start + 40 :]
        constructor: dict[str, Any] = next(
            (entry for entry in self.abi if entry["type"] == "constructor"), {"inputs": []}
        )
        return "0x" + code + encode(_types(constructor["inputs"]), arguments).hex()


@dataclass(frozen=True, slots=True)
class Contract:
    """A deployed contract on one node."""

    anvil: Anvil
    address: str
    abi: Abi = field(repr=False)

    def data(self, function: str, *arguments: Any) -> str:
        """Return the call data of `function`."""
        entry = self._entry(function, len(arguments))
        types = _types(entry["inputs"])
        return "0x" + (selector(f"{function}({','.join(types)})") + encode(types, arguments)).hex()

    def tx(self, function: str, *arguments: Any, sender: str, value_wei: int = 0) -> Tx:
        """Return a transaction that calls `function`."""
        return Tx(sender, self.address, self.data(function, *arguments), value_wei)

    def send(self, function: str, *arguments: Any, sender: str, value_wei: int = 0) -> Receipt:
        """Call `function` in a block of its own; raises `Reverted`."""
        return self.anvil.send(self.tx(function, *arguments, sender=sender, value_wei=value_wei))

    def read(self, function: str, *arguments: Any, block: str | int = "latest") -> Any:
        """Return what `function` answers: one value, or a tuple of several."""
        answer = self.anvil.call(self.address, self.data(function, *arguments), block=block)
        values = decode(_types(self._entry(function, len(arguments))["outputs"]), answer)
        return values[0] if len(values) == 1 else values

    def _entry(self, function: str, arguments: int) -> dict[str, Any]:
        for entry in self.abi:
            if entry["type"] == "function" and entry["name"] == function and len(entry["inputs"]) == arguments:
                return entry
        raise LookupError(f"no function {function} with {arguments} arguments")


def missing() -> str | None:
    """Return why the chain cannot be had on this machine, or `None` if it can."""
    if executable() is None:
        return "there is no anvil: npm ci --ignore-scripts --legacy-peer-deps, or MARGINLINE_ANVIL=/path/to/anvil"
    if not (MODULES / "@aave-dao/aave-v3-origin").is_dir() or not ARTIFACTS.is_dir():
        return "the npm packages of package.json are not installed (npm ci --ignore-scripts --legacy-peer-deps)"
    if shutil.which("node") is None:
        return "node is not installed; it compiles Aave v3.6 (apt install nodejs)"
    return None


def selector(signature: str) -> bytes:
    """Return the four bytes that select a function or error."""
    return bytes(keccak(text=signature)[:4])


def created_address(creator: str, nonce: int) -> str:
    """Return the checksummed address of the contract that `creator` makes with `nonce` (yellow paper, 7)."""
    number = b"" if nonce == 0 else nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    tail = number if nonce and nonce < 0x80 else bytes([0x80 + len(number)]) + number
    body = b"\x94" + bytes.fromhex(creator[2:]) + tail
    return to_checksum_address(keccak(bytes([0xC0 + len(body)]) + body)[12:])


@cache
def aave30() -> Mapping[str, Artifact]:
    """Return every artifact of Aave v3.0 that deploying a market needs, with its tokens, by name."""
    found = {}
    for path in ARTIFACTS.rglob("*.json"):
        if not path.name.endswith(".dbg.json") and path.parent.name == f"{path.stem}.sol":
            raw = json.loads(path.read_bytes())
            found[path.stem] = _artifact(path.stem, raw["abi"], raw["bytecode"][2:], raw["linkReferences"])
    return found


@cache
def aave36() -> Mapping[str, Artifact]:
    """Return the compiled contracts of Aave v3.6 by name; the first call on a machine takes about 20 s."""
    return _compiled("aave36", [ROOT / "package-lock.json"])


@cache
def own() -> Mapping[str, Artifact]:
    """Return our own contracts by name: SettableFeed and RatioAdapter."""
    return _compiled("own", sorted((HERE / "contracts").glob("*.sol")))


def multicall3() -> str:
    """Return the creation code of Multicall3, as npm `viem` carries it."""
    match = re.search(r"multicall3Bytecode = '(0x[0-9a-f]+)'", MULTICALL3_SOURCE.read_text())
    if match is None:
        raise LookupError(f"no multicall3Bytecode in {MULTICALL3_SOURCE}")
    return match.group(1)


def _compiled(name: str, inputs: Sequence[Path]) -> Mapping[str, Artifact]:
    digest = hashlib.sha256()
    for path in (HERE / "compile.cjs", *inputs):
        digest.update(path.read_bytes())
    target = ROOT / f".cache/chain/{name}-{digest.hexdigest()[:16]}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            part = target.with_suffix(".part")
            command = ["node", str(HERE / "compile.cjs"), name, str(part)]
            subprocess.run(command, cwd=ROOT, check=True, timeout=300)
            part.replace(target)
    raw = json.loads(target.read_bytes())
    found = {key: _artifact(key, it["abi"], it["bytecode"], it["linkReferences"]) for key, it in raw.items()}
    for artifact in found.values():
        for entry in artifact.abi:
            if entry["type"] == "error":
                signature = f"{entry['name']}({','.join(_types(entry['inputs']))})"
                ERROR_NAMES["0x" + selector(signature).hex()] = entry["name"]
    return found


def _artifact(name: str, abi: Abi, bytecode: str, references: Mapping[str, Mapping[str, Any]]) -> Artifact:
    links = {
        library: tuple(place["start"] for place in places)
        for libraries in references.values()
        for library, places in libraries.items()
    }
    return Artifact(name, abi, bytecode, links)


def _types(inputs: Sequence[Mapping[str, Any]]) -> list[str]:
    return [_type(entry) for entry in inputs]


def _type(entry: Mapping[str, Any]) -> str:
    kind = str(entry["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(_types(entry['components']))}){kind.removeprefix('tuple')}"


if __name__ == "__main__":
    aave36()
    own()
