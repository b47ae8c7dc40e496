"""EIP-2612 permits: which tokens have one that we can sign exactly, the typed data, its digest.

The domain is rebuilt from name and version and must hash to the token's own `DOMAIN_SEPARATOR`, and the type must hash
to its `PERMIT_TYPEHASH`; a token of another style (DAI's `allowed`) differs there and is approved instead.
Sources: eips.ethereum.org/EIPS/eip-2612 and eip-712 (read 2026-11).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.record import record
from providers.evm.abi import AbiError, text, uint
from providers.evm.multicall import Call
from providers.evm.rescue.calls import call, word

PERMIT_TYPE = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_NAMES = ("name()", "version()", "EIP712_REVISION()", "DOMAIN_SEPARATOR()", "PERMIT_TYPEHASH()")
PROBES = len(_NAMES)


@record
class PermitDomain:
    """The EIP-712 domain of one token."""

    name: str
    version: str
    chain_id: int
    token: str

    @property
    def separator(self) -> bytes:
        """Return the domain's hash, what the token calls DOMAIN_SEPARATOR."""
        return keccak(
            keccak(DOMAIN_TYPE.encode())
            + keccak(self.name.encode())
            + keccak(self.version.encode())
            + word(self.chain_id)
            + word(self.token)
        )


def keccak(data: bytes) -> bytes:
    """Return the 32-byte hash of Ethereum."""
    from eth_hash.auto import keccak as hashed

    return bytes(hashed(data))


def probe_calls(token: str) -> list[Call]:
    """Return the calls whose answers `parse_domain` takes."""
    return [(token, call(name)) for name in _NAMES]


def parse_domain(chain_id: int, token: str, answers: Sequence[bytes | None]) -> PermitDomain | None:
    """Return the token's domain when we can sign its permits exactly, else `None`."""
    name, version, revision, separator, typehash = answers
    if name is None or separator is None or typehash is None or typehash != keccak(PERMIT_TYPE.encode()):
        return None
    try:
        named = text(name)
        versions = [text(answer) for answer in (version, revision) if answer is not None]
    except AbiError:
        return None
    for tried in (*versions, "1", "2"):
        domain = PermitDomain(named, tried, chain_id, token)
        if domain.separator == separator:
            return domain
    return None


def nonce_call(token: str, wallet: str) -> Call:
    """Return the call that reads the wallet's next permit nonce."""
    return token, call("nonces(address)", wallet)


def parse_nonce(answer: bytes | None) -> int | None:
    """Return the permit nonce, `None` when the token does not tell."""
    try:
        return None if answer is None else uint(answer)
    except AbiError:
        return None


def typed_data(
    domain: PermitDomain, *, owner: str, spender: str, value: int, nonce: int, deadline: int
) -> dict[str, Any]:
    """Return the EIP-712 message as JSON data, numbers as decimal strings, as any wallet signs it."""
    return {
        "types": {"EIP712Domain": _fields(DOMAIN_TYPE), "Permit": _fields(PERMIT_TYPE)},
        "primaryType": "Permit",
        "domain": {
            "name": domain.name,
            "version": domain.version,
            "chainId": str(domain.chain_id),
            "verifyingContract": domain.token,
        },
        "message": {
            "owner": owner,
            "spender": spender,
            "value": str(value),
            "nonce": str(nonce),
            "deadline": str(deadline),
        },
    }


def digest(message: Mapping[str, Any]) -> bytes:
    """Return the 32 bytes to sign for a message made by `typed_data`; raises `ValueError` for any other message."""
    if message.get("primaryType") != "Permit" or message.get("types") != {
        "EIP712Domain": _fields(DOMAIN_TYPE),
        "Permit": _fields(PERMIT_TYPE),
    }:
        raise ValueError("not a permit")
    raw, said = message["domain"], message["message"]
    domain = PermitDomain(raw["name"], raw["version"], int(raw["chainId"]), raw["verifyingContract"])
    struct = keccak(
        keccak(PERMIT_TYPE.encode())
        + word(said["owner"])
        + word(said["spender"])
        + word(int(said["value"]))
        + word(int(said["nonce"]))
        + word(int(said["deadline"]))
    )
    return keccak(b"\x19\x01" + domain.separator + struct)


def _fields(signature: str) -> list[dict[str, str]]:
    inside = signature[signature.index("(") + 1 : -1]
    pairs = (part.split(" ") for part in inside.split(","))
    return [{"name": name, "type": kind} for kind, name in pairs]
