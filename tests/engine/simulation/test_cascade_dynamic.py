"""Cascades over time: the oracle's rules, the liquidators', what is conserved, buckets, and chunks that do not depend
on who runs them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.simulation.cascade_book import BookError, book_of, prior
from engine.simulation.cascade_dynamic import (
    COLUMNS,
    OracleRule,
    Outcomes,
    Setting,
    bucketed,
    chunks,
    here,
    run_chunk,
    simulated,
    walked,
)
from engine.simulation.cascade_impact import Pool, levels_of

START = 3000.0
POOL = Pool(1e6, START)
ONE = book_of(np.array([10.0]), np.array([10 * 2990 * 0.83]))
"""A loan that is liquidated below 2,990."""


def column(found: Outcomes, name: str) -> list[float]:
    """Return one figure of every path."""
    return [float(value) for value in found[:, COLUMNS.index(name)]]


def along(setting: Setting, *prices: float) -> Outcomes:
    """Return what one exogenous path does to the one loan."""
    return walked(bucketed(ONE), POOL, setting, np.array([prices]))


def test_a_calm_path_liquidates_nobody() -> None:
    found = along(Setting(0.8), 3000.0, 2995.0, 3100.0)
    assert [column(found, name) for name in ("repaid", "sold", "bad_debt", "unhealthy")] == [[0.0]] * 4
    assert column(found, "trough") == column(found, "trough_exogenous") == [2995.0]


def test_half_the_debt_is_repaid_just_below_the_line_and_all_of_it_far_below() -> None:
    debt = float(ONE.debt[0])
    assert column(along(Setting(0.8), 2980.0), "repaid") == pytest.approx([debt / 2])
    assert column(along(Setting(0.8), 2700.0), "repaid") == pytest.approx([debt])


def test_the_oracle_follows_at_once_or_past_a_deviation_or_late() -> None:
    by = Setting(0.8, rule=OracleRule.DEVIATION, deviation=0.005)
    assert column(along(Setting(0.8), 2987.0), "repaid")[0] > 0
    assert column(along(by, 2987.0), "repaid") == [0.0]  # 0.43 % away from the last print
    assert column(along(by, 2980.0), "repaid")[0] > 0
    late = Setting(0.8, rule=OracleRule.DELAYED, delay=2)
    assert column(along(late, 2980.0, 3000.0), "repaid") == [0.0]
    dipped = along(late, 2980.0, 3000.0, 3000.0)
    assert column(dipped, "repaid")[0] > 0
    assert column(dipped, "oracle_trough") == [2980.0]


def test_liquidators_wait_while_a_sale_does_not_pay_and_for_no_gas_at_all() -> None:
    shallow = Pool(1e-3, START)
    found = walked(bucketed(ONE), shallow, Setting(0.8), np.array([[2900.0]]))
    assert column(found, "sold")[0] < 1e-4
    assert column(found, "unhealthy")[0] > 0.99 * ONE.debt[0]
    assert column(along(Setting(0.8, gas=1e9), 2900.0), "repaid") == [0.0]


def test_throughput_limits_what_is_repaid_in_a_step() -> None:
    setting = Setting(0.8, throughput=1000.0, heal=1.0)
    assert column(along(setting, 2900.0, 2900.0, 2900.0), "repaid") == pytest.approx([3000.0])


def test_what_was_sold_heals() -> None:
    small = Pool(1000.0, START)
    ends = [
        column(walked(bucketed(ONE), small, Setting(0.8, heal=heal), np.array([[2950.0, 2985.0]])), "final")[0]
        for heal in (0.0, 0.5, 1.0)
    ]
    assert ends[0] < ends[1] < ends[2] <= 2985.0


def test_a_loan_that_a_liquidation_harms_stays_due_when_the_price_comes_back() -> None:
    # threshold x (1 + bonus) > 1: each call lowers its health, so that a price above its own line finds it due still.
    toxic = book_of(np.array([10.0]), np.array([10 * 2990 * 0.97]), threshold=0.97, bonus=0.1)
    setting = Setting(0.8, throughput=5000.0)
    fall = np.array([[2900.0, 2995.0]])
    assert column(walked(bucketed(toxic), POOL, setting, fall), "repaid") == pytest.approx([10_000.0])


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 400), st.integers(0, 2**32), st.floats(0.2, 3), st.floats(1, 1e6), st.booleans())
def test_debt_and_collateral_are_conserved(
    borrowers: int, seed: int, volatility: float, reserve: float, is_book: bool
) -> None:
    book = prior(borrowers, 1e8, START, seed=seed)
    buckets = bucketed(book, 50)
    curve = levels_of([(2995.0, reserve / 50), (2900.0, reserve)], START) if is_book else Pool(reserve, START)
    found = run_chunk(buckets, curve, Setting(volatility, steps=12, step_minutes=120.0), seed, 0, 4)
    figures = dict(zip(COLUMNS, found.T, strict=True))
    assert np.all(found >= 0)
    assert np.all(figures["repaid"] + figures["bad_debt"] + figures["unhealthy"] <= 1e8 * (1 + 1e-9))
    assert np.all(figures["sold"] <= book.collateral.sum() * (1 + 1e-9))
    assert np.all(figures["trough"] <= figures["trough_exogenous"] * (1 + 1e-12))


def test_buckets_hold_what_the_loans_hold_and_give_nearly_their_figures() -> None:
    book = prior(6000, 1e9, START, seed=2)
    exact, rough = bucketed(book, len(book)), bucketed(book, 2853)
    assert len(exact) == 6000
    assert len(rough) <= 2853
    for one in ("debt", "collateral", "loans"):
        assert getattr(rough, one).sum() == pytest.approx(getattr(exact, one).sum())
    setting = Setting(1.2, steps=48, step_minutes=30.0, gas=0.0)
    means = [simulated(each, POOL, setting, paths=64, seed=5).mean(axis=0) for each in (exact, rough)]
    for name in ("trough", "sold", "repaid"):
        assert means[1][COLUMNS.index(name)] == pytest.approx(means[0][COLUMNS.index(name)], rel=0.005)


def test_faster_liquidators_fall_deeper_when_nothing_heals_and_a_deep_pool_makes_speed_harmless() -> None:
    buckets = bucketed(prior(2000, 2e9, START, seed=7))

    def extra(reserve: float, throughput: float) -> float:
        found = simulated(buckets, Pool(reserve, START), Setting(1.2, throughput=throughput), paths=64, seed=3)
        trough, alone = (found[:, COLUMNS.index(name)] for name in ("trough", "trough_exogenous"))
        return float((1 - trough / alone).mean())

    assert extra(2e5, 1e7) > 2 * extra(2e5, 1e6) > 0
    assert extra(2e7, 1e9) < 0.01


def test_a_chunk_is_the_same_whoever_runs_it() -> None:
    buckets, setting = bucketed(prior(500, 1e8, START, seed=1)), Setting(1.0, steps=24)
    whole = simulated(buckets, POOL, setting, paths=150, seed=9)
    assert chunks(150) == [(0, 64), (1, 64), (2, 22)]
    backwards = [run_chunk(buckets, POOL, setting, 9, *part) for part in reversed(chunks(150))]
    assert np.array_equal(whole, np.concatenate(backwards[::-1]))
    assert np.array_equal(whole, np.concatenate(list(here(buckets, POOL, setting, 9, chunks(150)))))
    assert not np.array_equal(whole, simulated(buckets, POOL, setting, paths=150, seed=10))


@pytest.mark.parametrize(
    "setting",
    [
        Setting(math.nan),
        Setting(0.0),
        Setting(0.8, heal=1.5),
        Setting(0.8, throughput=math.nan),
        Setting(0.8, throughput=0.0),
        Setting(0.8, close_factor=0.0),
        Setting(0.8, steps=0),
    ],
)
def test_settings_that_are_none_are_refused(setting: Setting) -> None:
    with pytest.raises(BookError):
        simulated(bucketed(ONE), POOL, setting, paths=1, seed=1)
    with pytest.raises(BookError):
        chunks(0)
