"""Books of loans and what absorbs their sale: what is read, what is refused, and what a sale brings."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.depth import Depth, Level, impact
from engine.simulation.cascade_book import BookError, book_of, parse_book, prior
from engine.simulation.cascade_impact import Pool, levels_of, levels_of_depth, parse_depth


def test_a_csv_is_read_with_what_its_loans_lack_named() -> None:
    book = parse_book("collateral,debt,name\n10,15000,main\n\n3,4000,\n1,0,idle\n", source="loans.csv")
    assert book.names == ("main", "")
    assert book.collateral.tolist() == [[10.0], [3.0]]
    assert book.threshold.tolist() == [0.83, 0.83]
    assert book.assumed == (
        "2 loans without a threshold: 0.83 taken",
        "2 loans without a bonus: 0.05 taken",
        "1 loans without debt left out",
    )
    assert book.at("main") == 0


def test_several_collaterals_and_json_say_the_same() -> None:
    table = parse_book("collateral:ETH,collateral:BTC,debt,threshold,bonus\n1,0.5,9000,0.8,0.06\n")
    document = parse_book(
        '{"loans": [{"collateral": {"ETH": 1, "BTC": "0.5"}, "debt": 9000, "threshold": "0.8", "bonus": 0.06}]}'
    )
    assert table.assets == document.assets == ("ETH", "BTC")
    assert table.collateral.tolist() == document.collateral.tolist() == [[1.0, 0.5]]
    assert table.health([3000, 60000]).tolist() == pytest.approx([33000 * 0.8 / 9000])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "b: is empty"),
        ("collateral,debt\n", "b: the book is empty"),
        ("collateral,debt\n1,0\n", "b: the book is empty"),
        ("collateral,debt\n1,nan\n", "b:2: debt: 'nan' is not a number"),
        ("collateral,debt\n1,5\n-1,5\n", "b:3: collateral: '-1' is not between"),
        ("collateral,debt\n1,inf\n", "b:2: debt: 'inf' is not a number"),
        ("collateral,debt,threshold\n1,5,1.2\n", "b:2: threshold: '1.2'"),
        ("collateral,debt\n1\n", "b:2: has 1 columns, the header 2"),
        ("amount,debt\n1,5\n", "b:1: does not know 'amount'"),
        ("collateral,debt,name\n1,5,a\n2,5,a\n", "b: two loans are called 'a'"),
        ('{"loans": []}', "b: the book is empty"),
        ('{"loans": [{"collateral": "1"}]}', "b: loans[0]: is no loan"),
        ('{"loans": [{"collateral": "x", "debt": 1}]}', "b: loans[0]: collateral: 'x' is not a number"),
        ("{", "b: is neither CSV nor JSON"),
    ],
)
def test_a_book_that_is_wrong_names_the_line(text: str, says: str) -> None:
    with pytest.raises(BookError) as error:
        parse_book(text, source="b")
    assert str(error.value).startswith(says)


def test_a_prior_is_drawn_from_its_seed_and_matches_its_calibration() -> None:
    one, same, other = (prior(50_000, 1e9, 3000, seed=seed) for seed in (4, 4, 5))
    assert one.debt.tolist() == same.debt.tolist() != other.debt.tolist()
    assert one.debt.sum() == pytest.approx(1e9)
    health = one.health([3000])
    assert health.min() >= 1.0005
    # Gamma(1.5, 0.5) over 1.0005: about 1.1 % of the loans are liquidatable at -3 %.
    assert 0.005 < float((health * 0.97 < 1).mean()) < 0.02


def test_arrays_that_are_no_loans_are_refused() -> None:
    for collateral, debt in (([1.0], [np.nan]), ([-1.0], [1.0]), ([], [])):
        with pytest.raises(BookError):
            book_of(np.array(collateral), np.array(debt))


levels = st.lists(
    st.tuples(st.integers(1000, 2999), st.integers(1, 10_000)), min_size=1, max_size=20, unique_by=lambda each: each[0]
)


@settings(deadline=None)
@given(levels, st.floats(0.01, 0.99))
def test_a_book_pays_what_the_engines_own_order_book_pays(rows: list[tuple[int, int]], share: float) -> None:
    bids = tuple(Level(Decimal(price), Decimal(size)) for price, size in sorted(rows, reverse=True))
    depth = Depth("x", "ETH", "ETH", bids, (Level(Decimal(6000) - bids[0].price, Decimal(1)),), 0)
    curve = levels_of_depth(depth)
    quantity = round(float(curve.sold[-1]) * share, 6)
    sale = impact(depth, Decimal(str(quantity)))
    assert sale.average_price is not None
    assert curve.proceeds(quantity, 3000.0) == pytest.approx(float(sale.average_price) * quantity, rel=1e-9)
    assert sale.worst_price is not None
    assert float(curve.left(np.array(quantity), np.array(3000.0))) == pytest.approx(float(sale.worst_price) / 3000)


@given(levels, st.floats(0.05, 0.999))
def test_room_is_the_most_that_keeps_the_price(rows: list[tuple[int, int]], fraction: float) -> None:
    price = np.array(3000.0)
    for curve in (levels_of([(float(p), float(s)) for p, s in rows], 3000.0), Pool(1e5, 3000.0)):
        room = curve.room(np.array(fraction), price)
        if room > 0:
            assert float(curve.left(room * (1 - 1e-9), price)) >= fraction * (1 - 1e-6)
        assert float(curve.left(room * (1 + 1e-6) + 1e-6, price)) < fraction * (1 + 1e-6)


def test_a_pool_pays_less_after_others_have_sold_and_as_much_in_two_parts_as_in_one() -> None:
    for curve in (Pool(1000.0, 3000.0), levels_of([(2990.0, 5.0), (2900.0, 50.0)], 3000.0)):
        whole = curve.proceeds(80.0, 2500.0)
        assert curve.proceeds(30.0, 2500.0) + curve.proceeds(50.0, 2500.0, 30.0) == pytest.approx(whole)
        assert curve.proceeds(50.0, 2500.0, 30.0) < curve.proceeds(50.0, 2500.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"bids": [[1, "x"]]}', "d: bids[0]: is no level"),
        ('{"asks": [[3, 1]]}', "d: has no bids"),
        ("side,price,quantity\nbid,-1,2\n", "d:2: is no level"),
        ("price,quantity\n", "d:1: write the header"),
        ("side,price,quantity\nbid,3000,2\n", "d: has a bid above the middle"),
        ("side,price,quantity\nbid,3000,2\nask,2000,2\n", "d: has a bid above the middle"),
    ],
)
def test_a_depth_file_that_is_wrong_names_the_line(text: str, says: str) -> None:
    with pytest.raises(BookError) as error:
        parse_depth(text, "d")
    assert str(error.value).startswith(says)


def test_both_forms_of_a_depth_file_are_the_same() -> None:
    one = parse_depth('{"bids": [["2999", "5"], ["2990", "10"]], "asks": [["3001", "1"]]}', "d")
    other = parse_depth("side,price,quantity\nbid,2999,5\nbid,2990,10\nask,3001,1\n", "d")
    assert one.start == other.start == 3000
    assert one.sold.tolist() == other.sold.tolist() == [5, 15]
