"""Selectors, revert reasons and the judgement of calls: pure functions over bytes."""

import subprocess
import sys
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from providers.evm.rescue.calls import (
    AGGREGATE3_VALUE,
    APPROVE,
    DEPOSIT,
    READ,
    SENT,
    SUPPLY,
    call,
    encode_aggregate3_value,
    objection,
    taken_apart,
)
from providers.evm.rescue.reasons import revert_reason

ROOT = Path(__file__).resolve().parents[4]
POOL, WETH, USDC, OWNER = ("0x" + pair * 20 for pair in ("aa", "bb", "cc", "dd"))


def judged(to: str, data: bytes, value: int = 0, *, wrapped: str = WETH) -> str:
    return objection(to, data, value, pool=POOL, owner=OWNER, wrapped=wrapped, tokens=[WETH, USDC])


def test_every_selector_is_the_hash_of_its_signature() -> None:
    batch = {"aggregate3Value((address,bool,uint256,bytes)[])": AGGREGATE3_VALUE}
    for signature, selector in {**SENT, **READ, **batch}.items():
        assert keccak(text=signature)[:4].hex() == selector


def test_a_batch_is_encoded_as_the_abi_says() -> None:
    calls = [(POOL, b"\x01\x02\x03", 5), (WETH, b"", 0), (USDC, bytes(64), 7)]
    expected = encode(
        ["(address,bool,uint256,bytes)[]"], [[(target, True, value, data) for target, data, value in calls]]
    )
    assert encode_aggregate3_value(calls)[4:] == expected


def test_wrapping_is_allowed_only_where_the_chains_coin_is_wrapped() -> None:
    assert judged(WETH, call(DEPOSIT), 5) == ""
    assert "not of this market" in judged(USDC, call(DEPOSIT), 5)
    assert "not of this market" in judged(WETH, call(DEPOSIT), 5, wrapped="")


def test_data_longer_or_shorter_than_its_function_is_no_call_of_ours() -> None:
    good = call(SUPPLY, WETH, 1, OWNER, 0)
    assert judged(POOL, good) == ""
    for data in (good + b"\0", good[:-1], b"", call(APPROVE, POOL, 1)[:4]):
        assert taken_apart(data) is None
        assert "no rescue makes" in judged(POOL, data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bytes.fromhex("08c379a0") + encode(["string"], ["51"]), "the supply cap is reached (Aave error 51)"),
        (bytes.fromhex("08c379a0") + encode(["string"], ["28"]), "the reserve is frozen (Aave error 28)"),
        (bytes.fromhex("d37f5f1c"), "the reserve is paused (ReservePaused)"),
        (bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big"), "a number overflowed"),
        (bytes.fromhex("e450d38c") + bytes(96), "insufficient balance (ERC20InsufficientBalance)"),
        (bytes.fromhex("12345678"), "reverted with 12345678"),
        (b"", "reverted without a reason"),
        (bytes.fromhex("08c379a0"), "reverted with an empty message"),
    ],
)
def test_a_revert_is_told_in_words(data: bytes, words: str) -> None:
    assert revert_reason(data) == words


def test_a_tokens_own_text_is_inert_and_bounded() -> None:
    hostile = "[red]\x1b[2J‮" + "x" * 10_000
    told = revert_reason(bytes.fromhex("08c379a0") + encode(["string"], [hostile]))
    assert "\x1b" not in told
    assert len(told) <= 120


def test_neither_key_nor_codec_libraries_are_loaded_before_something_is_signed() -> None:
    code = "import sys, providers.evm.rescue.writer; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert "providers.evm.rescue.signing" in loaded
    for heavy in ("eth_account", "eth_abi", "eth_keys", "httpx", "sqlite3"):
        assert f"'{heavy}'" not in loaded
