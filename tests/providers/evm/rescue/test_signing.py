"""Transactions and permits as bytes: the same as eth_account's own signing, and refused when anything does not fit."""

from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account as Keys
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import Refused
from providers.evm.rescue.calls import SUPPLY_WITH_PERMIT, call, taken_apart, word
from providers.evm.rescue.permit import PermitDomain, digest, parse_domain, typed_data
from providers.evm.rescue.signing import CURVE_ORDER, Rlp, rlp, sign
from providers.rescue_ports import Step

KEY = b"\x11" * 32
SENDER = str(Keys.from_key(KEY).address).lower()
POOL, TOKEN, OWNER = "0x" + "aa" * 20, "0x" + "bb" * 20, "0x" + "cc" * 20
DOMAIN = PermitDomain("USD Coin", "2", 1, TOKEN)
DEADLINE = 1_700_003_600
numbers = st.integers(0, 2**63)


class KeySigner:
    """Signs with a key in memory; `twist` changes what it returns."""

    def __init__(self, key: bytes = KEY, *, is_high: bool = False) -> None:
        self._key = Keys.from_key(key)
        self.address = str(Keys.from_key(KEY).address)
        self.is_high = is_high

    def sign_digest(self, digest: bytes) -> tuple[int, int, int]:
        made = self._key.unsafe_sign_hash(digest)
        return (55 - made.v, made.r, CURVE_ORDER - made.s) if self.is_high else (made.v, made.r, made.s)


def payload(**changes: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "from": SENDER,
        "to": POOL,
        "data": "0x617ba037" + "00" * 64,
        "value": "0x0",
        "chainId": "0x1",
        "nonce": "0x0",
        "gas": "0x5208",
        "type": "0x2",
        "maxFeePerGas": "0x77359400",
        "maxPriorityFeePerGas": "0x0",
    }
    return fields | changes


def theirs(fields: dict[str, object]) -> Any:
    """Return what eth_account makes of the same transaction."""
    given = {key: int(str(value), 16) for key, value in fields.items() if key not in ("from", "to", "data", "type")}
    if fields["type"] == "0x2":
        given["type"] = 2
    to = Keys.from_key(KEY).address if fields["to"] == SENDER else fields["to"]
    from eth_utils.address import to_checksum_address

    return Keys.sign_transaction({**given, "to": to_checksum_address(to), "data": fields["data"]}, KEY)


def permit_step(**changes: object) -> Step:
    message = typed_data(DOMAIN, owner=SENDER, spender=POOL, value=5_000, nonce=3, deadline=DEADLINE)
    data = call(SUPPLY_WITH_PERMIT, TOKEN, 5_000, OWNER, 0, DEADLINE, 0, 0, 0)
    return Step("supply", payload(data="0x" + data.hex(), permit=message, **changes))


@given(
    nonce=numbers,
    gas=numbers,
    value=numbers,
    fees=st.tuples(numbers, numbers),
    chain_id=st.integers(1, 2**32),
    data=st.binary(max_size=300),
)
def test_a_transaction_is_signed_as_eth_account_signs_it(
    nonce: int, gas: int, value: int, fees: tuple[int, int], chain_id: int, data: bytes
) -> None:
    fields = payload(
        nonce=hex(nonce),
        gas=hex(gas),
        value=hex(value),
        maxFeePerGas=hex(max(fees)),
        maxPriorityFeePerGas=hex(min(fees)),
        chainId=hex(chain_id),
        data="0x" + data.hex(),
    )
    signed, expected = sign(Step("x", fields), KeySigner()), theirs(fields)
    assert signed.raw == "0x" + expected.raw_transaction.hex()
    assert signed.reference == "0x" + expected.hash.hex()
    assert (signed.nonce, signed.owner) == (nonce, SENDER)


def test_a_legacy_transaction_is_signed_as_eth_account_signs_it() -> None:
    fields = payload(type="0x0", gasPrice="0x3b9aca00")
    del fields["maxFeePerGas"], fields["maxPriorityFeePerGas"]
    assert sign(Step("x", fields), KeySigner()).raw == "0x" + theirs(fields).raw_transaction.hex()


@pytest.mark.parametrize("length", [0, 1, 55, 56, 255, 256, 70_000])
def test_rlp_of_every_length_class(length: int) -> None:
    import rlp as reference  # type: ignore[import-untyped]  # it has no types

    body = b"\x80" * length
    items: list[Rlp] = [body, [body, [b"", b"\x01"], []]]
    for item in items:
        assert rlp(item) == reference.encode(item)


def test_a_signature_in_the_upper_half_is_turned_into_its_twin() -> None:
    step = Step("x", payload())
    assert sign(step, KeySigner(is_high=True)) == sign(step, KeySigner())


def test_a_signer_with_another_key_than_its_address_is_refused() -> None:
    with pytest.raises(Refused, match="another key"):
        sign(Step("x", payload()), KeySigner(b"\x22" * 32))


def test_a_step_of_another_sender_is_refused() -> None:
    with pytest.raises(Refused, match="the step is to be sent by"):
        sign(Step("x", payload(**{"from": OWNER})), KeySigner())


def test_a_permit_is_what_any_wallet_would_sign() -> None:
    message = typed_data(DOMAIN, owner=SENDER, spender=POOL, value=2**200, nonce=3, deadline=DEADLINE)
    plain = {
        **message,
        "domain": {**message["domain"], "chainId": 1},
        "message": {
            key: int(value) if key in ("value", "nonce", "deadline") else value
            for key, value in message["message"].items()
        },
    }
    signable = encode_typed_data(full_message=plain)
    signed = Keys.sign_message(signable, KEY)
    assert Keys.from_key(KEY).unsafe_sign_hash(digest(message)).signature == signed.signature


def test_the_signature_of_a_permit_is_put_into_its_call() -> None:
    step = permit_step()
    signed = sign(step, KeySigner())
    data = bytes.fromhex(str(step.payload["data"])[2:])
    message = step.payload["permit"]
    assert isinstance(message, dict)
    v, r, s = KeySigner().sign_digest(digest(message))
    filled = data[:-96] + word(v) + word(r) + word(s)
    assert filled.hex() in signed.raw
    parts = taken_apart(filled)
    assert parts is not None
    assert parts[1][:5] == (int(TOKEN, 16), 5_000, int(OWNER, 16), 0, DEADLINE)


@pytest.mark.parametrize(
    "change",
    [{"value": "5001"}, {"spender": OWNER}, {"owner": OWNER}, {"deadline": "99999999999"}],
    ids=["more", "another spender", "another owner", "longer"],
)
def test_a_permit_that_allows_something_else_than_the_supply_is_never_signed(change: dict[str, str]) -> None:
    step = permit_step()
    permit: Any = step.payload["permit"]
    twisted = {**permit, "message": {**permit["message"], **change}}
    with pytest.raises(Refused, match="does not say what the supply does"):
        sign(replace(step, payload={**step.payload, "permit": twisted}), KeySigner())


def test_a_message_that_is_no_permit_is_never_signed() -> None:
    step = permit_step()
    permit: Any = step.payload["permit"]
    twisted = {**permit, "types": {**permit["types"], "Permit": permit["types"]["Permit"][:-1]}}
    with pytest.raises(Refused, match="not EIP-2612"):
        sign(replace(step, payload={**step.payload, "permit": twisted}), KeySigner())


def test_a_domain_is_believed_only_when_it_hashes_to_the_tokens_own() -> None:
    typehash = bytes.fromhex("6e71edae12b1b97f4d1f60370fef10105fa2faae0126114a169c64845d6126c9")
    dai_typehash = bytes.fromhex("ea2aa0a1be11a07ed86d755c93467f4f82362b452371d1ba94d1715123511acb")

    def string(text: str) -> bytes:
        raw = text.encode()
        return word(32) + word(len(raw)) + raw.ljust(-(-len(raw) // 32) * 32, b"\0")

    answers = [string("USD Coin"), string("2"), None, DOMAIN.separator, typehash]
    assert parse_domain(1, TOKEN, answers) == DOMAIN
    assert parse_domain(5, TOKEN, answers) is None
    assert parse_domain(1, TOKEN, [*answers[:4], dai_typehash]) is None
    assert parse_domain(1, TOKEN, [*answers[:4], None]) is None
    assert parse_domain(1, TOKEN, [word(64), *answers[1:]]) is None
