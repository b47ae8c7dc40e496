"""Ticks become dollar quotes and a consensus; other currencies are converted by what venues agree they are worth."""

from decimal import Decimal

from desk.quotes import QuoteBook
from tests.doubles import SECOND_NS, START_NS, tick

NOW = START_NS


def book(configured: int = 3) -> QuoteBook:
    return QuoteBook({"binance": 10.0, "kraken": 10.0, "coinbase": 30.0}, configured)


def test_two_venues_make_a_consensus() -> None:
    quotes = book()
    quotes.take(tick("kraken", "ETH", "2480"))
    assert quotes.settle(NOW) == {"ETH"}
    assert quotes.agreed("ETH").price is None
    quotes.take(tick("coinbase", "ETH", "2482"))
    quotes.settle(NOW)
    assert quotes.agreed("ETH").price == 2481


def test_the_only_configured_venue_is_the_consensus_and_labelled() -> None:
    quotes = book(configured=1)
    quotes.take(tick("kraken", "ETH", "2480"))
    quotes.settle(NOW)
    assert quotes.agreed("ETH").price == 2480
    assert quotes.agreed("ETH").single_venue


def test_an_older_tick_never_replaces_a_newer_one() -> None:
    quotes = book()
    assert quotes.take(tick("kraken", "ETH", "2480"))
    assert not quotes.take(tick("kraken", "ETH", "9", at_ns=NOW - 1))
    quotes.settle(NOW)
    assert [quote.bid for quote in quotes.quotes("ETH")] == [2480]


def test_a_tick_that_is_no_number_is_dropped() -> None:
    quotes = book()
    assert not quotes.take(tick("kraken", "ETH", "NaN"))
    assert not quotes.take(tick("kraken", "ETH", "Infinity"))
    assert not quotes.has_unsettled


def test_a_stablecoin_quote_is_converted_by_what_dollar_venues_agree_the_coin_is_worth() -> None:
    quotes = book()
    quotes.take(tick("kraken", "USDT", "0.98"))
    quotes.take(tick("coinbase", "USDT", "0.98"))
    quotes.take(tick("binance", "ETH", "2500", currency="USDT"))
    quotes.settle(NOW)
    assert quotes.quotes("ETH")[0].bid == Decimal("2450.00")
    assert quotes.assumed == ()


def test_a_currency_is_never_converted_by_itself() -> None:
    quotes = book()
    quotes.take(tick("binance", "USDC", "0.5", currency="USDT"))
    quotes.take(tick("binance", "USDT", "0.5", currency="USDT"))
    quotes.settle(NOW)
    assert quotes.quotes("USDC")[0].bid == Decimal("0.5")
    assert quotes.assumed == ("USDT",)


def test_a_currency_that_nobody_quotes_counts_one_to_one_and_is_named_once() -> None:
    quotes = book()
    quotes.take(tick("binance", "ETH", "2500", currency="USDT"))
    quotes.take(tick("kraken", "BTC", "61000", currency="USDT"))
    quotes.settle(NOW)
    assert quotes.quotes("ETH")[0].bid == 2500
    assert quotes.assumed == ("USDT",)


def test_a_rate_that_goes_stale_is_not_used_on() -> None:
    quotes = book()
    quotes.take(tick("kraken", "USDT", "0.98"))
    quotes.take(tick("binance", "ETH", "2500", currency="USDT"))
    quotes.settle(NOW)
    assert quotes.quotes("ETH")[0].bid == Decimal("2450.00")
    assert "ETH" in quotes.settle_all(NOW + 11 * SECOND_NS)
    assert quotes.assumed == ("USDT",)


def test_a_moving_rate_reaches_an_asset_that_does_not_tick() -> None:
    quotes = book()
    quotes.take(tick("kraken", "USDT", "1"))
    quotes.take(tick("binance", "ETH", "2500", currency="USDT"))
    quotes.settle(NOW)
    quotes.take(tick("kraken", "USDT", "0.9", at_ns=NOW + 1))
    quotes.settle(NOW + 1)
    assert "ETH" in quotes.settle_all(NOW + 2)
    assert quotes.quotes("ETH")[0].bid == Decimal("2250.0")


def test_a_quote_past_its_venues_budget_leaves_the_consensus_by_time_alone() -> None:
    quotes = book()
    for venue in ("binance", "kraken", "coinbase"):
        quotes.take(tick(venue, "ETH", "2480"))
    quotes.settle(NOW)
    assert quotes.settle_all(NOW + 9 * SECOND_NS) == set()
    assert quotes.settle_all(NOW + 11 * SECOND_NS) == {"ETH"}
    agreed = quotes.agreed("ETH")
    assert agreed.price is None
    assert agreed.excluded == {"binance": "stale 11s", "kraken": "stale 11s"}


def test_settling_touches_only_what_ticked() -> None:
    quotes = book()
    quotes.take(tick("kraken", "ETH", "2480"))
    quotes.take(tick("kraken", "BTC", "61000"))
    quotes.settle(NOW)
    quotes.take(tick("kraken", "BTC", "61001", at_ns=NOW + 1))
    assert quotes.settle(NOW + 1) == {"BTC"}
    assert quotes.settle(NOW + 2) == set()
