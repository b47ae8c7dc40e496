"""The table of ways to hedge: estimates and unknowns are marked, sums round up, reasons stand where a figure is not."""

from decimal import Decimal

from engine.hedge_case import Comparison, Hedge
from tui.hedge_table import cannot_lines, hedge_headings, hedge_rows

D = Decimal


def shown(hedge: Hedge, base: str = "1000") -> tuple[str, ...]:
    (row,) = hedge_rows(Comparison("a", 60, (hedge,), base=D(base)))
    return row


def test_a_theoretical_premium_is_an_estimate() -> None:
    put = Hedge("put", "ETH put", "ETH", D("1.00001"), D("20.1"), D(1800), D(200), premium=D(20), premium_from="theory")
    assert shown(put) == ("put", "ETH put", "theory", "1.0001", "~21", "~20.0", "1,800.0000")


def test_what_is_not_known_is_not_zero_and_a_saving_is_negative() -> None:
    assert shown(Hedge("perp", "ETH perp short", "ETH", D(1), D(5), D(1800)))[5] == "?"
    assert shown(Hedge("repay", "USDC", "USDC", D(1), D(5), D(1800)))[5] == ""
    assert shown(Hedge("repay", "USDC", "USDC", D(1), D(5), D(1800), D(-50)))[5] == "-5.0"
    assert shown(Hedge("repay", "USDC", "USDC", D(1), D(5), D(1800), D("-0.1")))[5] == "0.0"


def test_a_way_that_is_not_there_says_why() -> None:
    assert shown(Hedge("put", "", "ETH", None, because="no put lasts"))[:2] == ("put", "no put lasts")


def test_each_sentence_is_said_once_per_means() -> None:
    two = [Hedge("put", str(n), "ETH", D(1), cannot=("it ends", f"on day {n}")) for n in (1, 2)]
    assert cannot_lines(two) == [("put", "it ends"), ("put", "on day 1"), ("put", "on day 2")]
    assert hedge_headings(Comparison("a", 60, base_name="notional"))[5] == "%/Y OF NOTIONAL"
