"""Transactions as bytes: EIP-1559 (type 2) and EIP-155 (legacy) encoding, the digest to sign, the hash.

Sources: EIP-1559, EIP-155, EIP-2 (s in the lower half), yellow paper appendix B (RLP). The key never comes here: a
`Signer` signs digests, and whatever it returns is checked by recovering the address from it.
"""

from collections.abc import Mapping, Sequence

from engine.record import record
from providers.errors import Refused
from providers.evm.rescue.calls import SUPPLY_WITH_PERMIT, taken_apart, word
from providers.evm.rescue.permit import digest, keccak
from providers.rescue_ports import Signed, Signer, Step

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
VENUE = "signing"

Rlp = bytes | Sequence["Rlp"]


@record
class Signature:
    """One ECDSA signature; `parity` is 0 or 1."""

    parity: int
    r: int
    s: int


def sign(step: Step, signer: Signer) -> Signed:
    """Return the signed transaction of `step`; no I/O.

    A step with a permit has its typed data signed first, and the signature put into its call. Raises `Refused` when
    the signer is not the step's sender, signs with another key, or the permit is not for this call; whatever the
    signer raises when it is locked.
    """
    payload = dict(step.payload)
    sender = str(payload["from"]).lower()
    if signer.address.lower() != sender:
        raise Refused(VENUE, f"the signer is {signer.address}, the step is to be sent by {sender}")
    permit = payload.pop("permit", None)
    if permit is not None:
        payload["data"] = "0x" + _permitted(payload, permit, signer).hex()
    fields = unsigned_fields(payload)
    signature = _signature(signer, keccak(_envelope(payload, fields)))
    raw = _finished(payload, fields, signature)
    return Signed("0x" + keccak(raw).hex(), "0x" + raw.hex(), _number(payload, "nonce"), sender)


def unsigned_size(payload: Mapping[str, object]) -> int:
    """Return how many bytes the unsigned transaction has: what chains that charge for data charge by."""
    return len(_envelope(payload, unsigned_fields(payload)))


def unsigned_fields(payload: Mapping[str, object]) -> list[Rlp]:
    """Return the fields of an unsigned transaction in the order of its type, as RLP items."""
    to, data = bytes.fromhex(str(payload["to"])[2:]), bytes.fromhex(str(payload["data"])[2:])
    gas, value = _integer(payload, "gas"), _integer(payload, "value")
    if payload["type"] == "0x0":
        return [_integer(payload, "nonce"), _integer(payload, "gasPrice"), gas, to, value, data]
    fees = (_integer(payload, "maxPriorityFeePerGas"), _integer(payload, "maxFeePerGas"))
    return [_integer(payload, "chainId"), _integer(payload, "nonce"), *fees, gas, to, value, data, ()]


def rlp(item: Rlp) -> bytes:
    """Return the recursive-length-prefix encoding of bytes and lists of them."""
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else _prefixed(0x80, item)
    return _prefixed(0xC0, b"".join(rlp(one) for one in item))


def _prefixed(base: int, body: bytes) -> bytes:
    if len(body) < 56:
        return bytes([base + len(body)]) + body
    length = _bytes(len(body))
    return bytes([base + 55 + len(length)]) + length + body


def _envelope(payload: Mapping[str, object], fields: Sequence[Rlp]) -> bytes:
    if payload["type"] == "0x0":
        return rlp([*fields, _integer(payload, "chainId"), b"", b""])
    return b"\x02" + rlp(fields)


def _finished(payload: Mapping[str, object], fields: Sequence[Rlp], signature: Signature) -> bytes:
    r, s = _bytes(signature.r), _bytes(signature.s)
    if payload["type"] == "0x0":
        return rlp([*fields, _bytes(35 + 2 * _number(payload, "chainId") + signature.parity), r, s])
    return b"\x02" + rlp([*fields, _bytes(signature.parity), r, s])


def _permitted(payload: Mapping[str, object], permit: object, signer: Signer) -> bytes:
    data = bytes.fromhex(str(payload["data"])[2:])
    parts = taken_apart(data)
    if not isinstance(permit, Mapping) or parts is None or parts[0] != SUPPLY_WITH_PERMIT:
        raise Refused(VENUE, "a permit that belongs to no supply")
    token, amount, _, _, deadline = parts[1][:5]
    raw, message = permit["domain"], permit["message"]
    promised = (
        int(raw["verifyingContract"], 16),
        int(raw["chainId"]),
        int(message["owner"], 16),
        int(message["spender"], 16),
        int(message["value"]),
        int(message["deadline"]),
    )
    meant = (
        token,
        _number(payload, "chainId"),
        int(str(payload["from"]), 16),
        int(str(payload["to"]), 16),
        amount,
        deadline,
    )
    if promised != meant:
        raise Refused(VENUE, "the permit does not say what the supply does")
    try:
        signature = _signature(signer, digest(permit))
    except (ValueError, KeyError) as error:
        raise Refused(VENUE, "a permit of a shape that is not EIP-2612") from error
    return data[: -3 * 32] + word(27 + signature.parity) + word(signature.r) + word(signature.s)


def _signature(signer: Signer, hashed: bytes) -> Signature:
    v, r, s = signer.sign_digest(hashed)
    if v not in (27, 28) or not 0 < r < CURVE_ORDER or not 0 < s < CURVE_ORDER:
        raise Refused(VENUE, "the signer returned no signature")
    parity = v - 27
    if s > CURVE_ORDER // 2:
        parity, s = 1 - parity, CURVE_ORDER - s
    if _recovered(hashed, parity, r, s) != signer.address.lower():
        raise Refused(VENUE, "the signer signed with another key than that of its address")
    return Signature(parity, r, s)


def _recovered(hashed: bytes, parity: int, r: int, s: int) -> str:
    from eth_keys.datatypes import Signature as Recoverable
    from eth_keys.exceptions import BadSignature

    try:
        public = Recoverable(vrs=(parity, r, s)).recover_public_key_from_msg_hash(hashed)
    except BadSignature:
        return ""
    return str(public.to_address())


def _number(payload: Mapping[str, object], key: str) -> int:
    return int(str(payload[key]), 16)


def _integer(payload: Mapping[str, object], key: str) -> bytes:
    return _bytes(_number(payload, key))


def _bytes(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
