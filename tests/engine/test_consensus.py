from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.consensus import consensus, median
from engine.prices import Quote
from tests.engine.portfolios import NOW, SECOND, amounts, d, quote


def test_two_fresh_venues_agree_on_the_mean_of_their_mids() -> None:
    agreed = consensus([quote("binance", "2478.2"), quote("kraken", "2478.4")], NOW)
    assert agreed.price == d("2478.3")
    assert agreed.venues == ("binance", "kraken")
    assert not agreed.excluded
    assert not agreed.single_venue


def test_a_stale_venue_leaves_and_is_named_with_its_age() -> None:
    quotes = [quote("binance", "100"), quote("kraken", "100"), quote("okx", "90", age_s=42)]
    agreed = consensus(quotes, NOW)
    assert agreed.price == 100
    assert agreed.excluded == {"okx": "stale 42s"}


@pytest.mark.parametrize(
    ("venue", "age_s", "fresh"),
    [("binance", 15, True), ("binance", 16, False), ("coinbase", 30, True), ("coinbase", 31, False)],
)
def test_the_default_budget_is_15_seconds_and_30_for_coinbase(venue: str, age_s: int, fresh: bool) -> None:
    agreed = consensus([quote(venue, "100", age_s=age_s), quote("okx", "100"), quote("bybit", "100")], NOW)
    assert (venue in agreed.venues) is fresh


def test_a_given_budget_wins_over_the_default() -> None:
    quotes = [quote("binance", "100", age_s=20), quote("kraken", "100", age_s=20)]
    assert consensus(quotes, NOW, {"binance": 60.0, "kraken": 60.0}).price == 100
    assert consensus(quotes, NOW, {"binance": 60.0}).price is None


def test_a_quote_of_unknown_age_never_enters() -> None:
    agreed = consensus([replace(quote("binance", "100"), observed_at_ns=None), quote("kraken", "100")], NOW)
    assert agreed.price is None
    assert agreed.excluded == {"binance": "age unknown"}
    assert agreed.reason == "1 of 2 venues usable, 2 needed"


def test_a_quote_from_the_future_leaves_but_a_small_clock_difference_does_not() -> None:
    quotes = [quote("binance", "100", age_s=-60), quote("kraken", "100", age_s=-2), quote("okx", "100")]
    agreed = consensus(quotes, NOW)
    assert agreed.venues == ("kraken", "okx")
    assert agreed.excluded == {"binance": "from the future by 60s"}


@pytest.mark.parametrize(
    ("bid", "ask", "reason"),
    [
        ("101", "100", "crossed"),
        ("0", "100", "not a price"),
        ("-1", "100", "not a price"),
        ("NaN", "100", "not a price"),
        ("100", "Infinity", "not a price"),
    ],
)
def test_an_unusable_quote_leaves_and_says_why(bid: str, ask: str, reason: str) -> None:
    broken = Quote("binance", Decimal(bid), Decimal(ask), NOW)
    agreed = consensus([broken, quote("kraken", "100"), quote("okx", "100")], NOW)
    assert agreed.price == 100
    assert agreed.excluded == {"binance": reason}


def test_of_three_the_outlier_leaves_and_its_distance_from_the_median_is_named() -> None:
    agreed = consensus([quote("binance", "100"), quote("kraken", "100.1"), quote("okx", "103.2")], NOW)
    assert agreed.excluded == {"okx": "outlier +3.1 %"}
    assert agreed.price == d("100.05")


def test_within_one_percent_nobody_is_an_outlier_however_tight_the_others_are() -> None:
    agreed = consensus([quote("binance", "100"), quote("kraken", "100"), quote("okx", "100.9")], NOW)
    assert not agreed.excluded
    assert agreed.price == 100


def test_in_a_wild_market_the_bound_widens_with_the_spread() -> None:
    mids = {"binance": "96", "kraken": "98", "okx": "100", "bybit": "102", "coinbase": "104"}
    agreed = consensus([quote(venue, mid) for venue, mid in mids.items()], NOW)
    assert not agreed.excluded
    assert agreed.price == 100


def test_two_venues_more_than_a_percent_apart_have_no_consensus() -> None:
    agreed = consensus([quote("binance", "100"), quote("kraken", "101.1")], NOW)
    assert (agreed.price, agreed.reason) == (None, "venues disagree")


def test_two_that_remain_after_an_outlier_must_agree_too() -> None:
    agreed = consensus([quote("binance", "100"), quote("kraken", "101.4"), quote("okx", "130")], NOW)
    assert (agreed.price, agreed.reason) == (None, "venues disagree")
    assert "okx" in agreed.excluded


def test_one_venue_suffices_only_when_it_is_the_only_one_configured() -> None:
    alone = consensus([quote("binance", "100")], NOW)
    assert (alone.price, alone.single_venue) == (100, True)
    one_of_three = consensus([quote("binance", "100")], NOW, configured=3)
    assert (one_of_three.price, one_of_three.single_venue) == (None, False)
    assert one_of_three.reason == "1 of 3 venues usable, 2 needed"


def test_no_quotes_at_all_is_no_consensus_with_its_reason() -> None:
    nothing = consensus([], NOW)
    assert (nothing.price, nothing.reason) == (None, "no venue quotes it")


def test_the_newest_quote_of_a_venue_counts() -> None:
    quotes = [quote("binance", "100", age_s=1), quote("binance", "90", age_s=9), quote("kraken", "100")]
    assert consensus(quotes, NOW).price == 100


@given(st.lists(amounts("90", "110"), min_size=1, max_size=9))
def test_the_median_is_between_the_extremes_and_splits_the_values(values: list[Decimal]) -> None:
    middle = median(values)
    assert min(values) <= middle <= max(values)
    half = len(values) / 2
    assert sum(value < middle for value in values) <= half
    assert sum(value > middle for value in values) <= half


@given(st.lists(amounts("50", "150"), min_size=3, max_size=8), amounts("1", "1000000"))
def test_one_wild_venue_cannot_move_the_price_beyond_the_honest_ones(honest: list[Decimal], wild: Decimal) -> None:
    quotes = [Quote(f"v{index}", mid, mid, NOW - SECOND) for index, mid in enumerate(honest)]
    agreed = consensus([*quotes, Quote("wild", wild, wild, NOW)], NOW)
    assert agreed.price is None or min(honest) <= agreed.price <= max(honest)
