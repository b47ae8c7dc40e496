"""Fees from history: headroom that survives full blocks, tips, crowded chains, chains without EIP-1559, bumps."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import Malformed
from providers.evm.rescue.fees import SURVIVED_BLOCKS, Fees, bumped, parse_fee_history, survived

GWEI = 10**9


def history(**changes: object) -> dict[str, Any]:
    said: dict[str, Any] = {
        "oldestBlock": "0x1",
        "baseFeePerGas": [hex(10 * GWEI), hex(11 * GWEI), hex(12 * GWEI)],
        "gasUsedRatio": [0.5, 0.4],
        "reward": [[hex(GWEI)], [hex(2 * GWEI)]],
    }
    return said | changes


@given(st.integers(1, 10**12), st.integers(0, SURVIVED_BLOCKS))
def test_the_fee_offered_survives_full_blocks(base: int, blocks: int) -> None:
    fees = parse_fee_history("x", history(baseFeePerGas=[hex(base)]), None)
    highest = base
    for _ in range(blocks):
        highest += max(highest * 1 // 8, 1)
    assert fees.tip is not None
    assert fees.max_fee - fees.tip >= highest
    assert survived(base, blocks) == highest


def test_the_fees_of_a_quiet_chain() -> None:
    fees = parse_fee_history("x", history(), Decimal(12))
    assert fees.tip == 2 * GWEI
    assert fees.base_fee == 12 * GWEI
    assert fees.expected == 14 * GWEI
    assert fees.time_to_land_s == 24
    assert fees.fields()["type"] == "0x2"


def test_full_blocks_make_landing_slower() -> None:
    crowded = parse_fee_history("x", history(gasUsedRatio=[1.0, 0.99, 0.97]), Decimal(12))
    assert crowded.time_to_land_s == 60


def test_a_history_without_rewards_still_tips_something() -> None:
    assert parse_fee_history("x", history(reward=None), None).tip == 1


def test_a_chain_without_base_fee_pays_a_gas_price() -> None:
    fees = Fees(max_fee=5, tip=None, expected=5)
    assert fees.fields() == {"type": "0x0", "gasPrice": "0x5"}
    assert fees.time_to_land_s is None


@pytest.mark.parametrize("said", [{"baseFeePerGas": []}, {"baseFeePerGas": "0x1"}, {"baseFeePerGas": [None]}])
def test_a_history_that_cannot_be_read_is_malformed(said: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        parse_fee_history("x", history(**said), None)


@given(st.integers(0, 2**80))
def test_a_bump_is_more_than_an_eighth(fee: int) -> None:
    assert bumped(fee) * 8 > fee * 9
