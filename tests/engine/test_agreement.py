"""Our figures beside the venue's own: what is said when they disagree, and when nothing is."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from engine.accounts import Account, Collateral, Position, VenueReport
from engine.assess import trigger_side
from engine.prices import OraclePrice
from tests.engine.portfolios import NOW, d, flat, ladder_of_tiers, loan, perp, price

HELD = Position("BTC", d(1), flat("0.01"), d(60_000), d(60_000), contract="BTCUSDT")


def said(account: Account) -> tuple[str, ...]:
    return trigger_side(account, {}, NOW).degraded


def reporting(account: Account | None = None, **figures: Any) -> Account:
    """Return an account of 6,000 equity, 600 maintenance and health 10 whose venue reports `figures`."""
    read = {name: d(figure) if isinstance(figure, str) else figure for name, figure in figures.items()}
    return replace(account or perp("6000", HELD), reported=VenueReport(**read))


def priced(figure: str, held: Position = HELD, balance: str = "6000", **report: Any) -> Account:
    return reporting(perp(balance, replace(held, venue_liquidation_price=d(figure))), **report)


def test_what_agrees_within_the_tolerance_is_not_mentioned() -> None:
    assert said(reporting(equity="6050", maintenance_requirement="595", health_factor="10.05")) == ()
    assert said(priced("54800")) == ()


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        ({"equity": "6100"}, "equity 6000 computed, 6100 reported by the venue: 1.64 % apart"),
        (
            {"maintenance_requirement": "660"},
            "maintenance 600 computed, 660 reported by the venue: 9.09 % apart",
        ),
        ({"health_factor": "8"}, "health 10 computed, 8 reported by the venue: 20 % apart"),
        ({"equity": "0"}, "equity 6000 computed, 0 reported by the venue: 100 % apart"),
    ],
)
def test_a_disagreement_says_by_how_much_and_whose_figure_is_whose(figures: dict[str, str], sentence: str) -> None:
    assert said(reporting(**figures)) == (sentence,)


def test_a_liquidation_price_is_compared_relative_to_the_mark() -> None:
    (sentence,) = said(priced("53000"))
    assert sentence == (
        "liquidation price of BTCUSDT 54545.45 computed, 53000 reported by the venue: 2.58 % of the mark apart"
    )


def test_a_tolerance_of_the_venue_counts() -> None:
    assert said(priced("53000", tolerance="0.03")) == ()
    assert len(said(priced("54545", tolerance="0.000001"))) == 1


def test_what_the_venue_does_not_say_cannot_disagree() -> None:
    assert said(perp("6000", HELD)) == ()
    assert said(reporting()) == ()


def test_a_venue_price_where_we_find_none_is_told() -> None:
    backed = priced("20000", balance="90000")
    assert said(backed) == (
        "liquidation price of BTCUSDT none computed below the mark, 20000 reported by the venue: "
        "33.33 % of the mark apart",
    )
    assert said(priced("1.5", balance="90000")) == ()
    assert said(priced("90000")) == (
        "liquidation price of BTCUSDT: none computed above the mark, 90000 reported by the venue",
    )


def test_a_price_on_the_farther_side_is_compared_with_ours_on_that_side() -> None:
    """In the upper tier maintenance grows faster than profit: 45,000 at 100,000 is used up at half a dollar each."""
    held = replace(HELD, tiers=ladder_of_tiers([(0, 100), (100_000, 15_000)]))
    assert said(priced("190000", held)) == ()
    assert said(priced("170000", held)) == (
        "liquidation price of BTCUSDT 190000 computed, 170000 reported by the venue: 33.33 % of the mark apart",
    )


def test_hedge_legs_share_the_price_of_their_account() -> None:
    legs = (
        replace(HELD, venue_liquidation_price=d("54545.45")),
        replace(HELD, quantity=d("-0.0001"), venue_liquidation_price=d("54545.45"), contract="BTCUSDT short"),
    )
    assert said(reporting(perp("6000", *legs))) == ()


def test_another_contract_is_compared_at_its_own_mark() -> None:
    dated = replace(HELD, quantity=d("0.01"), mark_price=d(66_000), entry_price=d(66_000), contract="BTC-DEC")
    account = perp("6000", HELD, dated)
    ours = trigger_side(account, {}, NOW).liquidation["BTC"].price
    assert ours is not None
    at_own_mark = replace(dated, venue_liquidation_price=ours * d("1.1"))
    assert said(reporting(perp("6000", HELD, at_own_mark))) == ()
    assert len(said(reporting(perp("6000", HELD, replace(dated, venue_liquidation_price=ours))))) == 1


def test_a_liquidatable_account_has_no_price_of_ours_to_compare() -> None:
    """Long and short cancel and the balance is negative: no price of BTC brings back what is missing."""
    legs = (
        replace(HELD, venue_liquidation_price=d(61_000)),
        replace(HELD, quantity=d(-1), venue_liquidation_price=d(59_000)),
    )
    assert said(reporting(perp("-100", *legs))) == ()


def test_equity_may_be_told_with_or_without_haircuts() -> None:
    coin = Collateral("SOL", d(100), d("0.8"))
    account = perp("6000", HELD, collateral=(coin,), oracles={"SOL": OraclePrice(d(100))})
    for equity in ("16000", "14000"):
        assert said(reporting(account, equity=equity)) == ()
    assert len(said(reporting(account, equity="15000"))) == 1


def test_maintenance_and_health_are_compared_each_on_its_own_side_of_the_multiple() -> None:
    account = replace(perp("6000", HELD), liquidation_multiple=Decimal("1.05"))
    assert said(reporting(account, maintenance_requirement="600", health_factor=str(d(6000) / 630))) == ()
    assert len(said(reporting(account, maintenance_requirement="630"))) == 1


def test_a_loan_is_compared_where_it_is_read() -> None:
    account = replace(loan({"ETH": ("1", "0.8")}, {"USDC": "1000"}), reported=VenueReport(health_factor=d(3)))
    assert trigger_side(account, {"ETH": price("2000"), "USDC": price("1")}, NOW).degraded == ()
