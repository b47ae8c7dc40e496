"""No forecast looks ahead, none learns from what it is scored on, and shuffled outcomes teach nothing."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from engine.simulation.candles import HOUR_S, Candles, Floats
from engine.simulation.features import DAYS, NEXT_DAY, NEXT_HOUR, daily, flat, hourly
from engine.simulation.fit import History, excursion, fit_maps, log_distance, prepare
from engine.simulation.model import HORIZONS, SIDES, Model, Outlook, design
from engine.simulation.regression import Rows, logistic
from engine.simulation.scores import cells, score
from tests.engine.simulation.series import START_S, made

NAMES = (*NEXT_HOUR, *NEXT_DAY, *DAYS)
HOURS = 7_200
CUT_S = START_S + 5_600 * HOUR_S


def known(candles: Candles) -> dict[str, Floats]:
    return hourly(candles) | daily(candles, 24)


def learnt(candles: Candles, until_s: float = CUT_S) -> Model:
    hours, days = prepare(History({"x": candles}))
    return Model(fit_maps(hours, days, 0.0, until_s), {})


@pytest.fixture(scope="module")
def walk() -> Candles:
    return made(HOURS)


@pytest.fixture(scope="module")
def model(walk: Candles) -> Model:
    return learnt(walk)


def changed_after(candles: Candles, index: int) -> Candles:
    """Return candles that go another way, threefold as high, after `index`."""
    other = made(len(candles), seed=99, sigma=0.02, price=6000)
    join = [np.concatenate([mine[: index + 1], theirs[index + 1 :]]) for mine, theirs in
            zip((candles.open, candles.high, candles.low, candles.close),
                (other.open, other.high, other.low, other.close), strict=True)]  # fmt: skip
    return Candles(candles.ts, *join)


def test_no_feature_looks_past_its_own_candle(walk: Candles) -> None:
    at = 4_000
    before, after = known(walk), known(changed_after(walk, at))
    for name in NAMES:
        np.testing.assert_allclose(before[name][: at + 1], after[name][: at + 1], rtol=1e-9, atol=1e-9, err_msg=name)
        if name.startswith(("range", "return", "day")):
            assert not np.allclose(before[name][at + 1 : at + 50], after[name][at + 1 : at + 50]), name


def test_shifting_the_data_shifts_every_feature_with_it(walk: Candles) -> None:
    shift = 24 * 7
    whole, later = known(walk), known(walk.part(shift, len(walk)))
    for name in NAMES:
        np.testing.assert_allclose(later[name][2500:], whole[name][shift + 2500 :], rtol=1e-6, atol=1e-8, err_msg=name)


def test_an_outcome_is_of_the_candles_after_the_forecast_only(walk: Candles) -> None:
    moved = excursion(walk, 24, "down")
    at = 777
    assert moved[at] == np.log(walk.close[at] / walk.low[at + 1 : at + 25].min())
    assert np.isnan(moved[-24:]).all()
    assert np.isfinite(moved[:-24]).all()


def test_a_fit_never_sees_an_outcome_that_ends_after_its_time(walk: Candles, model: Model) -> None:
    cut = int((CUT_S - START_S) // HOUR_S) - 1
    again = learnt(changed_after(walk, cut))
    for key, found in model.maps.items():
        for mine, other in zip(found.members, again.maps[key].members, strict=True):
            np.testing.assert_array_equal(mine.beta, other.beta)


def test_a_fit_does_see_what_is_over_before_its_time(walk: Candles, model: Model) -> None:
    again = learnt(changed_after(walk, 3_000))
    assert not np.allclose(model.maps[1, "down"].members[0].beta, again.maps[1, "down"].members[0].beta)


def test_over_a_day_ranges_of_days_say_the_same_of_a_fall_and_a_rise_as_far(walk: Candles, model: Model) -> None:
    calm = {name: values[3000::997] for name, values in known(walk).items()}
    said = []
    for side in SIDES:
        found = model.maps[24, side]
        member = found.members[1]
        standard = member.standard(np.stack([calm[name] for name in member.features], axis=1))
        said.append(
            design(standard, float(np.log(log_distance(0.05, "down"))) - found.centre, member.bent) @ member.beta
        )
    np.testing.assert_allclose(said[0], said[1], atol=0.02)


def test_what_is_learnt_beats_the_closed_form_on_later_data_and_not_when_outcomes_are_shuffled(
    walk: Candles, model: Model
) -> None:
    end_s = START_S + HOURS * HOUR_S
    found = cells(model, {"x": walk}, 1, "down", CUT_S, end_s)
    honest = score(found, 1, "down")
    shuffled = [
        replace(cell, happened=np.random.default_rng(3).permutation(cell.happened)) for cell in found if cell.hits
    ]
    assert honest.ratio < 0.97
    assert score(shuffled, 1, "down").log_loss > honest.log_loss * 1.03


def test_a_forecast_that_peeks_would_show(walk: Candles, model: Model) -> None:
    end_s = START_S + HOURS * HOUR_S
    found = cells(model, {"x": walk}, 1, "down", CUT_S, end_s)
    peeking = [replace(cell, said=np.where(cell.happened > 0, 0.9, 0.001)) for cell in found]
    assert score(peeking, 1, "down").ratio < 0.5 < score(found, 1, "down").ratio


def test_probabilities_fall_with_distance_and_rise_with_the_horizon(walk: Candles, model: Model) -> None:
    features = {name: values[2500::731] for name, values in known(walk).items()}
    distances = np.geomspace(0.0005, 1.5, 40)
    horizons = (0.25, 1, 3, 24, 60, 168, 500)
    for side in SIDES:
        outlook = Outlook(model, features, side)
        said = np.array([[outlook.chances(hours, far) for far in distances] for hours in horizons])
        assert ((said >= 0) & (said <= 1)).all()
        assert (np.diff(said, axis=1) <= 1e-12).all()
        assert (np.diff(said, axis=0) >= -1e-12).all()


def test_the_distance_of_a_probability_is_where_the_map_says_that_probability(walk: Candles, model: Model) -> None:
    features = {name: values[3000::997] for name, values in known(walk).items()}
    for hours in HORIZONS:
        outlook = Outlook(model, features, "down")
        np.testing.assert_allclose(outlook.chances(hours, outlook.distance_at(hours, 0.01)), 0.01, rtol=1e-4)


def test_the_regression_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(8)
    design = np.concatenate([np.ones((3000, 1)), random.standard_normal((3000, 3))], axis=1)
    weight = random.uniform(0.5, 2, 3000)
    outcome = (random.random(3000) < 1 / (1 + np.exp(-design @ [-1.0, 0.8, 0.0, -0.5]))).astype(np.float64)
    ridge = 1e-3
    ours = logistic([Rows(design, outcome, weight, np.arange(3000) // 100)], ridge)
    oracle = LogisticRegression(C=1 / (ridge * weight.sum()), tol=1e-10, max_iter=1000)
    oracle.fit(design[:, 1:], outcome, sample_weight=weight)
    np.testing.assert_allclose(ours.beta, [*oracle.intercept_, *oracle.coef_[0]], atol=1e-6)
    assert (np.linalg.eigvalsh(ours.covariance) > 0).all()


def test_flat_features_are_those_of_a_steady_walk() -> None:
    steady = made(6000, seed=4, sigma=0.005)
    random = np.random.default_rng(4)
    path = np.cumsum(random.standard_normal((6000, 60)) * 0.005 / np.sqrt(60), axis=None).reshape(6000, 60)
    opened = np.concatenate([[0.0], path[:-1, -1]])
    level = np.exp(np.stack([opened, np.maximum(opened, path.max(1)), np.minimum(opened, path.min(1)), path[:, -1]]))
    features = known(Candles(steady.ts, *level))
    said = flat(0.005)
    for name in ("range_24h", "range_7d", "range_30d", "day_range_30", "day_range_90"):
        assert abs(np.nanmean(features[name]) - said[name][0]) < 0.15, name
