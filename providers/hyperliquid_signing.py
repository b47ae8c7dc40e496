"""What a Hyperliquid action hashes to, to the byte: pure functions, no key in sight.

Two schemes (hyperliquid.gitbook.io, "Signing" and "Nonces and API wallets", read 2026-11). An L1 action is hashed from
its MessagePack bytes in the order of its keys, and a phantom agent of that hash is signed as EIP-712 data; an API
wallet may do it. A user-signed action is EIP-712 data itself, and only the account's own key may sign it. The hash
covers every key in the order in which it is sent, so what is built here is sent as it is.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

SIGNATURE_CHAIN_ID = 0x66EEE
"""The chain id of user-signed actions: any will do, as long as the action names it; this is the one of the SDK."""

_L1_CHAIN_ID = 1337
_DOMAIN_FIELDS = (("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address"))
_AGENT_FIELDS = (("source", "string"), ("connectionId", "bytes32"))
_NOWHERE = "0x" + "00" * 20
Fields = Sequence[tuple[str, str]]

TRANSFER = "HyperliquidTransaction:UsdClassTransfer"
TRANSFER_FIELDS: Fields = (
    ("hyperliquidChain", "string"),
    ("amount", "string"),
    ("toPerp", "bool"),
    ("nonce", "uint64"),
)

SEND_ASSET = "HyperliquidTransaction:SendAsset"
SEND_ASSET_FIELDS: Fields = (
    ("hyperliquidChain", "string"),
    ("destination", "string"),
    ("sourceDex", "string"),
    ("destinationDex", "string"),
    ("token", "string"),
    ("amount", "string"),
    ("fromSubAccount", "string"),
    ("nonce", "uint64"),
)


def chain_name(*, is_mainnet: bool) -> str:
    """Return the network's name in user-signed actions."""
    return "Mainnet" if is_mainnet else "Testnet"


def wire_number(value: Decimal) -> str:
    """Return a number as the venue writes it: plain, without trailing zeros; raises `ValueError` past 8 decimals."""
    if not value.is_finite() or value != round(value, 8):
        raise ValueError(f"{value} has more than 8 decimals")
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) if value else "0"


def action_hash(
    action: Mapping[str, object], nonce: int, vault: str | None = None, expires_after: int | None = None
) -> bytes:
    """Return the hash of an L1 action: MessagePack, nonce (ms), the account acted for, and when it expires (ms)."""
    said = msgspec.msgpack.encode(action) + nonce.to_bytes(8, "big")
    said += b"\x00" if vault is None else b"\x01" + bytes.fromhex(vault[2:])
    if expires_after is not None:
        said += b"\x00" + expires_after.to_bytes(8, "big")
    return _keccak(said)


def l1_digest(
    action: Mapping[str, object],
    nonce: int,
    *,
    is_mainnet: bool,
    vault: str | None = None,
    expires_after: int | None = None,
) -> bytes:
    """Return the digest that is signed for an L1 action. The source names the network, so neither takes the other's."""
    agent = {"source": "a" if is_mainnet else "b", "connectionId": action_hash(action, nonce, vault, expires_after)}
    return typed_digest("Exchange", _L1_CHAIN_ID, "Agent", _AGENT_FIELDS, agent)


def user_digest(primary_type: str, fields: Fields, action: Mapping[str, object]) -> bytes:
    """Return the digest of a user-signed action; the chain id is the one that the action itself names."""
    chain_id = int(str(action["signatureChainId"]), 16)
    return typed_digest("HyperliquidSignTransaction", chain_id, primary_type, fields, action)


def typed_digest(domain: str, chain_id: int, primary_type: str, fields: Fields, message: Mapping[str, object]) -> bytes:
    """Return the EIP-712 digest (eips.ethereum.org/EIPS/eip-712) of a flat message, the only shape the venue has."""
    separator = _struct(
        "EIP712Domain",
        _DOMAIN_FIELDS,
        {"name": domain, "version": "1", "chainId": chain_id, "verifyingContract": _NOWHERE},
    )
    return _keccak(b"\x19\x01" + separator + _struct(primary_type, fields, message))


def signature_json(vrs: tuple[int, int, int]) -> dict[str, object]:
    """Return a signature as the venue takes it; r and s are numbers, their leading zeros left out or not."""
    v, r, s = vrs
    return {"r": f"0x{r:x}", "s": f"0x{s:x}", "v": v}


def _struct(name: str, fields: Fields, message: Mapping[str, object]) -> bytes:
    described = f"{name}({','.join(f'{kind} {field}' for field, kind in fields)})"
    return _keccak(_keccak(described.encode()) + b"".join(_word(kind, message[field]) for field, kind in fields))


def _word(kind: str, value: object) -> bytes:
    """Return one value as a 32-byte word."""
    match kind, value:
        case "string", str():
            return _keccak(value.encode())
        case "bytes32", bytes() if len(value) == 32:
            return value
        case "address", str():
            return bytes.fromhex(value[2:]).rjust(32, b"\0")
        case "bool", bool():
            return int(value).to_bytes(32, "big")
        case (("uint64" | "uint256"), int()) if not isinstance(value, bool):
            return value.to_bytes(32, "big")
        case _:
            raise TypeError(f"{kind} does not take a {type(value).__name__}")


def _keccak(content: bytes) -> bytes:
    from eth_hash.auto import keccak

    return bytes(keccak(content))
