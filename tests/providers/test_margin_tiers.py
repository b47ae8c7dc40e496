"""Maintenance tiers join continuously, whatever the bounds and rates."""

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.margin_tiers import continuous_tiers

MANY = st.lists(
    st.tuples(st.integers(1, 10**9).map(Decimal), st.integers(1, 999).map(lambda n: Decimal(n) / 1000)),
    min_size=1,
    max_size=12,
    unique_by=lambda step: step[0],
)


def test_published_tiers_of_bitcoin_have_the_published_deduction() -> None:
    tiers = continuous_tiers([(Decimal(0), Decimal("0.0125")), (Decimal(150_000_000), Decimal("0.025"))])
    assert [tier.deduction for tier in tiers] == [0, 1_875_000]


@given(MANY)
def test_the_maintenance_has_no_jump_at_a_floor(steps: list[tuple[Decimal, Decimal]]) -> None:
    floors, rates = sorted(floor for floor, _ in steps), sorted(rate for _, rate in steps)
    floors[0] = Decimal(0)
    tiers = continuous_tiers(zip(floors, rates, strict=True))
    for below, above in pairwise(tiers):
        floor = above.notional_floor
        at_end = floor * below.maintenance_rate - below.deduction
        assert floor * above.maintenance_rate - above.deduction == at_end


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [(1, "0.01")],
        [(0, "0")],
        [(0, "1")],
        [(0, "-0.1")],
        [(0, "0.02"), (5, "0.01")],
        [(0, "0.01"), (0, "0.02")],
    ],
)
def test_steps_that_are_no_tiers_are_refused(steps: list[tuple[int, str]]) -> None:
    with pytest.raises(ValueError, match=r"tier|rate"):
        continuous_tiers((Decimal(floor), Decimal(rate)) for floor, rate in steps)
