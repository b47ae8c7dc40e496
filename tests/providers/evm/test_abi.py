"""The hand-written ABI against eth-abi and keccak; addresses against the published checksum examples."""

import contextlib

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import ConfigError
from providers.evm.abi import (
    SELECTORS,
    AbiError,
    address,
    addresses,
    decode_aggregate3,
    encode_aggregate3,
    encode_call,
    signed,
    text,
    uint,
    words,
)
from providers.evm.address import checked_address, checksummed, shortened

TARGET = "0x" + "1f" * 20


@pytest.mark.parametrize("signature", sorted(SELECTORS))
def test_every_selector_is_the_hash_of_its_signature(signature: str) -> None:
    assert keccak(text=signature)[:4].hex() == SELECTORS[signature]


def test_a_call_is_its_selector_and_its_words() -> None:
    assert encode_call("getUserEMode(address)", TARGET) == bytes.fromhex("eddf1b79") + encode(["address"], [TARGET])
    assert encode_call("getEModeCategoryData(uint8)", 7)[4:] == encode(["uint8"], [7])


@given(st.lists(st.tuples(st.binary(min_size=20, max_size=20), st.binary(max_size=70)), max_size=6))
def test_a_multicall_is_encoded_as_the_reference_does(calls: list[tuple[bytes, bytes]]) -> None:
    ours = encode_aggregate3([("0x" + target.hex(), data) for target, data in calls])
    reference = encode(["(address,bool,bytes)[]"], [[(target, True, data) for target, data in calls]])
    assert ours[4:] == reference


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=70)), max_size=6))
def test_a_multicall_answer_is_read_as_the_reference_wrote_it(results: list[tuple[bool, bytes]]) -> None:
    decoded = decode_aggregate3(encode(["(bool,bytes)[]"], [results]), len(results))
    assert decoded == tuple((data or None) if succeeded else None for succeeded, data in results)


@given(st.binary(max_size=400), st.integers(0, 5))
def test_any_bytes_either_decode_or_say_that_they_cannot(data: bytes, count: int) -> None:
    for read in (text, addresses, uint, lambda raw: decode_aggregate3(raw, count)):
        with contextlib.suppress(AbiError):
            assert read(data) is not None


@given(st.text(max_size=50))
def test_strings_come_back(value: str) -> None:
    plain = value.encode("utf-8", "replace").decode()
    encoded = encode(["string"], [plain])
    assert text(encoded) == plain


def test_old_tokens_answer_their_symbol_in_one_word() -> None:
    assert text(b"MKR".ljust(32, b"\0")) == "MKR"


def test_numbers_and_addresses_are_checked() -> None:
    assert signed(2**256 - 5) == -5
    assert signed(5) == 5
    assert address(0x1F << 8) == "0x" + "0" * 36 + "1f00"
    assert addresses(encode(["address[]"], [[TARGET, TARGET]])) == (TARGET, TARGET)
    with pytest.raises(AbiError):
        address(1 << 160)
    with pytest.raises(AbiError):
        uint(encode(["uint256"], [256]), 8)
    with pytest.raises(AbiError):
        words(b"\0" * 63, 2)
    with pytest.raises(AbiError):
        addresses(encode(["uint256", "uint256"], [32, 2**40]))


@pytest.mark.parametrize(
    "spelled",
    [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ],
)
def test_the_checksum_examples_of_eip_55_hold(spelled: str) -> None:
    assert checksummed(spelled.lower()) == spelled
    assert checked_address(spelled, "address") == spelled.lower()
    assert checked_address(spelled.lower(), "address") == spelled.lower()
    assert checked_address("0x" + spelled[2:].upper(), "address") == spelled.lower()
    wrong = spelled[:-1] + spelled[-1].swapcase()
    with pytest.raises(ConfigError, match=rf"account a: address.*{spelled}"):
        checked_address(wrong if wrong != spelled else spelled[:2] + spelled[2:].swapcase(), "account a: address")


@pytest.mark.parametrize("bad", ["", "0x", "0x123", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x" + "g" * 40])
def test_what_is_no_address_is_named(bad: str) -> None:
    with pytest.raises(ConfigError, match="account a: address"):
        checked_address(bad, "account a: address")


def test_a_shortened_address_keeps_both_ends() -> None:
    assert shortened("0x5424384b256154046e9667ddfaaa5e550145215e") == "0x5424…215e"
