"""Volatility from daily closes."""

from decimal import Decimal

import pytest

from desk.volatility import annualised


def test_alternating_closes_have_the_volatility_that_the_formula_says() -> None:
    closes = [Decimal(100 if day % 2 else 101) for day in range(31)]
    # log(1.01) = 0.00995033, its sample deviation over 30 alternating returns 0.0101205, x sqrt(365) = 0.193351
    assert annualised(closes) == Decimal("0.1934")


def test_a_price_that_never_moves_has_none() -> None:
    assert annualised([Decimal(100)] * 31) == 0


@pytest.mark.parametrize(
    "closes",
    [[], ["100"] * 8, ["100"] * 20 + ["0"], ["100"] * 20 + ["-1"], ["100"] * 20 + ["NaN"]],
    ids=["none", "too few", "zero", "negative", "not a number"],
)
def test_closes_that_tell_nothing_give_nothing(closes: list[str]) -> None:
    assert annualised([Decimal(close) for close in closes]) is None
