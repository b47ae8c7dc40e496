"""Cascades at rest and in rounds: the published figures, the invariants, and where both must agree."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.simulation.cascade_book import BookError, LoanBook, book_of, prior
from engine.simulation.cascade_impact import Impact, Pool, levels_of
from engine.simulation.cascade_place import liquidators_view, offer, place, raises_health
from engine.simulation.cascade_rounds import Terms, in_rounds
from engine.simulation.cascade_static import at_rest, in_order, liquidation_prices, reach, reproduction, shocked

CASES = json.loads((Path(__file__).parents[2] / "fixtures/cascade/rounds.json").read_text())
START = 3000.0

loans = st.lists(
    st.tuples(
        st.floats(0.01, 1000),
        st.floats(1.0001, 3),
        st.sampled_from((0.6, 0.83, 0.97)),
        st.sampled_from((0.0, 0.05, 0.1)),
    ),
    min_size=1,
    max_size=12,
)
shocks = st.floats(-0.6, 0)
reserves = st.floats(10, 1e6)


def book(rows: list[tuple[float, float, float, float]]) -> LoanBook:
    """Return healthy loans of (collateral, health, threshold, bonus) at the start price."""
    units, health, threshold, bonus = (np.array(each) for each in zip(*rows, strict=True))
    return book_of(units, units * START * threshold / health, threshold=threshold, bonus=bonus)


@pytest.mark.parametrize("depth", list(CASES["by_pool_depth"]))
def test_the_rounds_give_the_published_figures(depth: str) -> None:
    expected, given_ = CASES["by_pool_depth"][depth], CASES["params"]
    case = book_of(*np.array(CASES["loans"]).T, threshold=given_["lt"], bonus=given_["bonus"])
    terms = Terms(fee=given_["fee"], gas=given_["gas"])
    found = in_rounds(case, [START], [given_["shock"]], [float(depth)], terms)
    assert found.settled
    assert found.rounds == expected["rounds"]
    figures = (found.exogenous[0], found.final[0], found.endogenous_drop, found.repaid, found.bad_debt)
    names = ("exog_price", "final_price", "endogenous_drop", "repaid", "bad_debt")
    assert figures == pytest.approx([expected[name] for name in names], rel=1e-12)


def test_a_uniform_book_falls_by_the_shock_over_one_less_r0() -> None:
    due = START * np.linspace(1, 0.5, 100_000, endpoint=False)
    debt = np.ones_like(due)
    pool = Pool(1e6, START)
    scale = 0.0779 / reproduction(in_order(book_of(debt / (due * 0.83), debt)), pool, START)
    queue = in_order(book_of(debt / (due * 0.83) * scale, debt * scale))
    assert reproduction(queue, pool, START) == pytest.approx(0.0779, rel=1e-3)
    fall = 1 - at_rest(queue, pool, shocked(START, [-0.05]))[0] / START
    assert 0.05402 <= fall <= 0.05422  # a simulation gave 5.402 %, the geometric series 5 % / (1 - R0) = 5.422 %


@settings(deadline=None)
@given(loans, reserves)
def test_without_a_shock_nothing_is_liquidated(rows: list[tuple[float, float, float, float]], reserve: float) -> None:
    case = book(rows)
    assert at_rest(in_order(case), Pool(reserve, START), np.array([START]))[0] == START
    found = in_rounds(case, [START], [0.0], [reserve])
    assert (found.repaid, found.sold, found.bad_debt, found.order) == (0.0, (0.0,), 0.0, ())


@settings(deadline=None)
@given(loans, shocks, reserves, st.floats(1, 100))
def test_a_deeper_pool_falls_less(
    rows: list[tuple[float, float, float, float]], shock: float, reserve: float, deeper: float
) -> None:
    queue, from_ = in_order(book(rows)), shocked(START, [shock])
    shallow = at_rest(queue, Pool(reserve, START), from_)[0]
    assert shallow <= at_rest(queue, Pool(reserve * deeper, START), from_)[0] * (1 + 1e-9) <= from_[0] * (1 + 2e-9)


@settings(deadline=None)
@given(loans, st.lists(shocks, min_size=2, max_size=6), reserves)
def test_a_larger_shock_ends_no_higher(
    rows: list[tuple[float, float, float, float]], moves: list[float], reserve: float
) -> None:
    ends = at_rest(in_order(book(rows)), Pool(reserve, START), shocked(START, sorted(moves)))
    assert np.all(np.diff(ends) >= -1e-9 * START)


@settings(deadline=None)
@given(loans, shocks, reserves)
def test_no_more_is_repaid_than_owed_nor_seized_than_held(
    rows: list[tuple[float, float, float, float]], shock: float, reserve: float
) -> None:
    case = book(rows)
    found = in_rounds(case, [START], [shock], [reserve])
    assert found.repaid + found.bad_debt <= case.debt.sum() * (1 + 1e-9)
    assert found.sold[0] <= case.collateral.sum() * (1 + 1e-9)
    rest = at_rest(in_order(case), Pool(reserve, START), shocked(START, [shock]))
    assert in_order(case).seized(rest)[0] <= case.collateral.sum() * (1 + 1e-9)
    assert in_order(case).bad_debt(rest)[0] <= in_order(case).liquidated(rest)[0] * (1 + 1e-9)


@settings(deadline=None)
@given(loans, shocks, reserves)
def test_rest_is_a_fixed_point_that_a_loop_over_the_loans_confirms(
    rows: list[tuple[float, float, float, float]], shock: float, reserve: float
) -> None:
    case, pool, from_ = book(rows), Pool(reserve, START), START * (1 + shock)
    price = float(at_rest(in_order(case), pool, np.array([from_]))[0])
    units = sum(
        min(debt * (1 + bonus) / price, held)
        for held, debt, bonus, due in zip(
            case.collateral[:, 0], case.debt, case.bonus, liquidation_prices(case), strict=True
        )
        if price < due
    )
    held = reserve * (START / from_) ** 0.5
    assert price == pytest.approx(from_ * (held / (held + units)) ** 2, rel=1e-7)


@settings(deadline=None)
@given(loans, shocks, reserves)
def test_rounds_never_end_below_the_static_fixed_point(
    rows: list[tuple[float, float, float, float]], shock: float, reserve: float
) -> None:
    case = book(rows)
    rest = at_rest(in_order(case), Pool(reserve, START), shocked(START, [shock]))[0]
    for terms in (Terms(), Terms(fee=0.0, gas=0.0, close_factor=1.0)):
        assert in_rounds(case, [START], [shock], [reserve], terms).final[0] >= rest * (1 - 1e-9)


def test_rounds_and_the_fixed_point_agree_when_all_collateral_goes_in_one_round() -> None:
    case = book([(10.0, 1.001, 0.97, 0.1), (4.0, 1.002, 0.97, 0.1)])
    found = in_rounds(case, [START], [-0.5], [1e6], Terms(fee=0.0, gas=0.0, close_factor=1.0))
    assert found.sold == (14.0,)
    assert found.final[0] == pytest.approx(
        at_rest(in_order(case), Pool(1e6, START), shocked(START, [-0.5]))[0], rel=1e-12
    )


def test_a_fall_of_one_collateral_reaches_the_other_only_by_its_cross_impact() -> None:
    case = LoanBook(
        ("ETH", "BTC"),
        np.array([[100.0, 0.0], [0.0, 10.0]]),
        np.array([240_000.0, 497_500.0]),
        np.array([0.83, 0.83]),
        np.array([0.05, 0.05]),
    )
    start, shock, pools = [3000.0, 60_000.0], [-0.05, 0.0], [2000.0, 1000.0]
    apart = in_rounds(case, start, shock, pools)
    joined = in_rounds(case, start, shock, pools, cross=[[0.0, 0.5], [0.0, 0.0]])
    assert apart.final[1] == pytest.approx(60_000)
    assert apart.order == (0,)
    assert joined.order == (0, 1)
    assert joined.final[1] < 60_000
    assert joined.repaid > apart.repaid
    with pytest.raises(ValueError, match="for every collateral"):
        in_rounds(case, [3000.0], shock, pools)
    with pytest.raises(BookError, match="one collateral"):
        in_order(case)


@settings(deadline=None)
@given(loans, reserves, st.data())
def test_the_least_shock_that_reaches_a_loan_reaches_it_and_a_smaller_one_does_not(
    rows: list[tuple[float, float, float, float]], reserve: float, data: st.DataObject
) -> None:
    case = book(rows)
    row = data.draw(st.integers(0, len(rows) - 1))
    curve: Impact = data.draw(
        st.sampled_from((Pool(reserve, START), levels_of([(2995.0, reserve / 50), (2900.0, reserve)], START)))
    )
    queue, due = in_order(case), float(liquidation_prices(case)[row])
    where = place(case, row, queue, curve, volatility=0.8)
    assert where.shock_alone <= where.shock_cascade <= 0
    from_ = START * (1 + where.shock_cascade)
    below, above = at_rest(queue, curve, np.array([from_ * (1 - 1e-6), min(START, from_ * (1 + 1e-6))]))
    assert below < due
    assert above >= due * (1 - 1e-9) or where.shock_cascade == 0
    assert where.chance_alone is not None
    assert where.chance_cascade is not None
    assert where.chance_alone <= where.chance_cascade
    assert where.sooner is not None
    assert where.sooner >= 0


def test_a_queue_counts_who_goes_before() -> None:
    case = book([(1.0, 1.1, 0.83, 0.05), (2.0, 1.2, 0.83, 0.05), (3.0, 1.3, 0.83, 0.05)])
    where = place(case, 2, in_order(case), Pool(1e6, START))
    assert (where.rank, where.of) == (3, 3)
    assert where.debt_ahead == pytest.approx(case.debt[:2].sum())
    assert where.shock_alone == pytest.approx(1 / 1.3 - 1)
    assert (where.chance_alone, where.sigma_days_alone, where.sooner) == (None, None, None)
    assert not where.liquidatable
    under = book([(1.0, 1.1, 0.83, 0.05)]).with_loan([1.0], 2600.0, 0.83, 0.05)
    assert place(under, 1, in_order(under), Pool(1e6, START)).liquidatable
    assert reach(in_order(under), Pool(1e6, START), START) is None


@given(st.floats(0.5, 0.9999), st.floats(0.3, 0.95), st.floats(0, 0.3))
def test_a_liquidation_raises_health_iff_health_is_above_threshold_times_one_plus_bonus(
    health: float, threshold: float, bonus: float
) -> None:
    debt = START * threshold / health
    case = book_of(np.array([1.0]), np.array([debt]), threshold=threshold, bonus=bonus)
    call = offer(case, 0, Pool(1e9, START), Terms(close_factor=0.25), START)
    left, owed = 1.0 - call.seize, debt - call.repay
    edge = threshold * (1 + bonus)
    if owed < 1e-6 or abs(health - edge) < 1e-9:
        return
    assert (left * START * threshold / owed > call.health) == raises_health(health, threshold, bonus)


def test_a_liquidator_gains_the_bonus_less_slippage_fee_gas_and_latency() -> None:
    case = book([(100.0, 1.2, 0.83, 0.05), (1000.0, 1.1, 0.83, 0.05)])
    queue = in_order(case)
    view = liquidators_view(case, 0, queue, Pool(20_000.0, START), Terms(gas=30.0), volatility=0.8, latency_s=12)
    one = view.first
    assert one.price == pytest.approx(2500)
    assert one.repay == pytest.approx(case.debt[0] / 2)
    assert one.profit == pytest.approx(one.bonus_value - one.slippage - one.fee - one.gas - one.latency_cost)
    assert view.profitable_from == one.price
    assert view.queued.slippage > one.slippage
    assert view.queued.profit < one.profit
    assert view.raises_health
    shallow = liquidators_view(case, 0, queue, Pool(100.0, START), Terms())
    assert shallow.profitable_from is None
    assert shallow.first.profit < 0


def test_a_million_loans_and_many_shocks_take_no_loop_over_either() -> None:
    queue = in_order(prior(100_000, 1e9, START, seed=1))
    ends = at_rest(queue, Pool(1e6, START), np.linspace(1500, START, 2000))
    assert ends[-1] == START
    assert np.all(np.diff(ends) >= 0)
