"""Published and contract figures, assessed as documents; `python -m benchmarks.accuracy` prints the errors."""

from decimal import Decimal

import pytest

from benchmarks.accuracy import aave, binance, binance_tiers, hyperliquid, loans, main, venues


def worst(compared: list[tuple[Decimal, str]]) -> tuple[Decimal, str]:
    return max(compared)


def test_every_loan_case_agrees_to_rounding() -> None:
    errors = [(each.error, f"{each.case} {each.figure}") for each in loans()]
    assert len(errors) == 76
    assert worst(errors)[0] < Decimal("1e-14"), worst(errors)


def test_every_liquidation_price_hyperliquid_reported_agrees() -> None:
    errors = [(each.error, each.case) for each in hyperliquid()]
    assert len(errors) == 15
    assert worst(errors)[0] < Decimal("1e-7"), worst(errors)


def test_both_prices_of_the_binance_cross_example_agree_to_the_cent() -> None:
    compared = list(binance())
    assert [each.theirs for each in compared] == [Decimal("1153.26"), Decimal("26316.89")]
    for each in compared:
        assert each.ours is not None
        assert each.ours.quantize(Decimal("0.01")) == each.theirs


def test_the_plain_formula_comes_within_a_millionth_of_the_aave_contract() -> None:
    errors = [(each.error, each.case) for each in aave()]
    assert len(errors) == 12
    assert worst(errors)[0] < Decimal("1e-6"), worst(errors)


def test_every_figure_of_the_venues_agrees_to_a_millionth() -> None:
    compared = list(venues())
    assert len(compared) == 25
    errors = [(each.error, f"{each.case} {each.figure}") for each in compared]
    assert worst(errors)[0] < Decimal("1e-6"), worst(errors)


def test_deductions_left_out_are_the_ones_binance_prints() -> None:
    compared = list(binance_tiers())
    assert len(compared) == 34
    assert all(each.ours == each.theirs for each in compared)


def test_the_report_names_every_group(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    report = capsys.readouterr().out
    assert all(name in report for name in ("loans", "hyperliquid", "binance", "aave 3.5-3.7", "venues"))
    assert "okx-inverse health_factor: 74.3202921231 ours, 74.32029212310307 theirs" in report
