"""The closed form against QuantLib's figures, its limits, and simulation of a watched price."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.simulation.first_passage import discretely_watched, driftless, touch_probability

CASES = json.loads((Path(__file__).parents[2] / "fixtures" / "science" / "touch.json").read_text())["touch"]
far = st.floats(0.001, 2.0)
time = st.floats(0.01, 10_000)


@pytest.mark.parametrize("case", CASES)
def test_the_closed_form_is_that_of_the_published_cases(case: dict[str, float]) -> None:
    said = touch_probability(case["S"], case["B"], case["mu"], case["sigma"], case["days"] / 365)
    assert said == pytest.approx(case["closed_form"], abs=1e-10)
    assert said == pytest.approx(case["quantlib"], abs=1e-10)


@given(far, far, time, time)
def test_nearer_or_later_is_never_less_likely(one: float, other: float, soon: float, late: float) -> None:
    assert driftless(min(one, other), 0.01, soon) >= driftless(max(one, other), 0.01, soon)
    assert driftless(one, 0.01, max(soon, late)) >= driftless(one, 0.01, min(soon, late))


@given(st.floats(1, 1e5), st.floats(1, 1e5), st.floats(-5, 5), st.floats(0.01, 5), st.floats(0, 10))
def test_a_probability_stays_between_0_and_1(price: float, level: float, drift: float, sigma: float, t: float) -> None:
    assert 0 <= touch_probability(price, level, drift, sigma, t) <= 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_volatility_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="first passage needs"):
        touch_probability(100, 90, 0, bad, 1)


def test_a_price_looked_at_every_hour_touches_less_often_as_the_shifted_barrier_says() -> None:
    sigma, hours, distance = 0.01, 48, 0.05
    steps = np.random.default_rng(5).standard_normal((60_000, hours)) * sigma
    seen = float((np.cumsum(steps, axis=1).min(axis=1) <= -distance).mean())
    error = np.sqrt(seen * (1 - seen) / 60_000)
    assert abs(seen - driftless(discretely_watched(distance, sigma, 1.0), sigma, hours)) < 4 * error + 0.002
    assert seen < driftless(distance, sigma, hours) - 10 * error
