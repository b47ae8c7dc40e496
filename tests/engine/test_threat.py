"""Options sized by the engine hold every price between now and the floor, and nothing less than that would."""

from dataclasses import replace
from decimal import Decimal
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.accounts import Account, Collateral, Debt, Kind, Position, Tier
from engine.assess import assess
from engine.options import Right
from engine.plan_moves import grown
from engine.prices import AssetPrice, OracleLeg, OraclePrice
from engine.threat import NoHedge, Threat, threat_of
from tests.engine.hedge_books import Book, loan, position
from tests.engine.portfolios import venue_accounts

D = Decimal
NOW = 1_795_341_600 * 1_000_000_000


def threat(book: Book) -> Threat:
    return threat_of(book.account, assess(book.account, book.prices, NOW), book.prices)


def test_no_price_between_now_and_the_floor_liquidates_in_two_thousand_books() -> None:
    random = Random(20261127)
    held = thinner = calls = priced = 0
    for number in range(2000):
        book = loan(random) if number % 2 else position(random)
        found = threat(book)
        far = D(f"{random.uniform(0.05, 0.95):.4f}")
        protected = found.line * (1 - far if found.falls else 1 + far)
        deep = D(f"{random.uniform(0, 1.2):.4f}")
        strike = found.line + deep * (found.price - found.line)
        quantity = float(found.quantity(strike, protected))
        at = np.linspace(float(protected), float(book.price), 201)
        side = 1 if found.falls else -1
        payoff = np.maximum(side * (float(strike) - at), 0)
        margin = book.margin(at)
        scale = float(np.abs(margin).max())
        priced += at.size
        held += bool((margin + quantity * payoff >= -1e-9 * scale).all())
        thinner += bool((margin + 0.999 * quantity * payoff < -1e-9 * scale).any())
        calls += not found.falls
        assert margin.min() < 0, "the book stands without a hedge, so that it shows nothing"
    assert (held, thinner, priced) == (2000, 2000, 2000 * 201)
    assert 300 < calls < 700


def eth(amount: str, owed: str, price: str = "3000", weight: str = "0.83") -> Book:
    account = Account(
        "main", Kind.LOAN, collateral=(Collateral("ETH", D(amount), D(weight)),), debt=(Debt("USDC", D(owed)),)
    )
    prices = {"ETH": AssetPrice(OraclePrice(D(price))), "USDC": AssetPrice(OraclePrice(D(1)), stable=True)}
    return Book(account, prices, lambda at: at, D(price))


def test_the_worked_example_of_full_protection() -> None:
    """1,000 ETH at 3,000, two million owed at a threshold of 0.83: debt over strike against any fall."""
    found = threat(eth("1000", "2000000"))
    assert (found.underlying, found.right) == ("ETH", Right.PUT)
    assert found.line.quantize(D("0.1")) == D("2409.6")
    sizes = [found.quantity(D(strike), D(0)).quantize(D(1)) for strike in (2450, 2500, 2600, 2800)]
    assert sizes == [816, 800, 769, 714]


def test_quantity_is_what_is_missing_at_the_floor_over_the_payoff_there() -> None:
    found = threat(eth("1000", "2000000"))
    assert found.missing(D(1800)) == D(2000000) - 830 * 1800
    assert found.quantity(D(2600), D(1800)) == D("632.5")
    assert found.quantity(D(2600), D(2450)) == 0


@pytest.mark.parametrize("strike", ["2409", "1800", "1700"])
def test_a_strike_below_the_line_is_refused(strike: str) -> None:
    with pytest.raises(ValueError, match="pays too late"):
        threat(eth("1000", "2000000")).quantity(D(strike), D(1800))


def test_tokens_of_one_underlying_move_together() -> None:
    book = eth("50", "200000")
    both = (*book.account.collateral, Collateral("wstETH", D(50), D("0.8")))
    account = replace(book.account, collateral=both)
    prices = book.prices | {"wstETH": AssetPrice(OraclePrice(D(3600)))}
    found = threat_of(account, assess(account, prices, NOW), prices)
    assert (found.underlying, set(found.moving)) == ("ETH", {"ETH", "wstETH"})
    assert abs(found.line - D(200000) / (D(50) * D("0.83") + D(50) * D("0.8") * D("1.2"))) < D("1e-20")
    assert found.margin(D(1500)) == 50 * D("0.83") * 1500 + 50 * D("0.8") * 1800 - 200000


def refused(collateral: str, owed: str, debt: str = "USDC", amount: str = "10") -> str:
    prices = {
        "ETH": AssetPrice(OraclePrice(D(3000))),
        "wstETH": AssetPrice(OraclePrice(D(3600))),
        "USDC": AssetPrice(OraclePrice(D(1)), stable=True),
        "DAI": AssetPrice(OraclePrice(D(1)), stable=True),
    }
    legs = (Collateral(collateral, D(amount), D("0.9")),)
    account = Account("a", Kind.LOAN, collateral=legs, debt=(Debt(debt, D(owed)),) if D(owed) else ())
    with pytest.raises(NoHedge) as reason:
        threat_of(account, assess(account, prices, NOW), prices)
    return str(reason.value)


def test_what_no_option_can_protect_says_why() -> None:
    assert refused("wstETH", "10", "ETH").endswith("their ratio liquidates, and no option on ETH pays for it")
    assert "owes nothing" in refused("ETH", "0")
    assert "liquidatable already" in refused("ETH", "50000")
    assert "leaving its peg" in refused("USDC", "7", "DAI")
    assert "no price of SOL" in refused("SOL", "7")


def test_a_token_whose_underlying_has_no_price_says_so() -> None:
    prices = {"wstETH": AssetPrice(OraclePrice(D(3600))), "USDC": AssetPrice(OraclePrice(D(1)), stable=True)}
    account = Account(
        "a", Kind.LOAN, collateral=(Collateral("wstETH", D(10), D("0.8")),), debt=(Debt("USDC", D(20000)),)
    )
    judged = assess(account, prices, NOW)
    with pytest.raises(NoHedge, match="no price of ETH, which wstETH stands for"):
        threat_of(account, judged, prices)
    assert threat_of(account, judged, prices, {"ETH": D(3000)}).price == 3000
    legs = (OracleLeg(D(3000), "ETH"), OracleLeg(D("1.2")))
    composite = prices | {"wstETH": AssetPrice(OraclePrice(D(3600), legs=legs))}
    assert threat_of(account, judged, composite).price == 3000
    wrapped = replace(account, collateral=(Collateral("WETH", D(10), D("0.8")),))
    prices = {"WETH": AssetPrice(OraclePrice(D(3000))), "USDC": prices["USDC"]}
    found = threat_of(wrapped, assess(wrapped, prices, NOW), prices)
    assert (found.underlying, found.price, found.line) == ("ETH", 3000, 2500)


def test_a_loan_that_its_own_interest_liquidates_is_not_hedged() -> None:
    book = eth("1000", "2480000")
    dear = replace(book.account, debt=(Debt("USDC", D(2480000), D(2)),))
    with pytest.raises(NoHedge, match="its own interest within the horizon"):
        threat_of(grown(dear, {}, 30 * 86_400), assess(dear, book.prices, NOW), book.prices)


def test_a_tier_that_begins_on_the_way_can_ask_for_more_than_the_floor() -> None:
    """A table whose rates fall with size bends the other way, so that the kink at 80 decides and not the floor."""
    tiers = (Tier(D(0), D("0.5")), Tier(D(80), D(0), D(-40)))
    held = Position("ETH", D(1), tiers, entry_price=D(100), mark_price=D(100))
    account = Account("p", Kind.PERP, quote="USDC", balance=D(45), positions=(held,))
    found = threat_of(account, assess(account, {}, NOW), {})
    assert (found.line, found.kinks) == (95, (80,))
    assert (found.margin(D(80)), found.margin(D(60))) == (-15, -25)
    assert found.quantity(D(96), D(60)) == D("0.9375")
    assert found.missing(D(60)) == 25


@settings(max_examples=150, deadline=None)
@given(venue_accounts(most=6), st.integers(1, 94), st.integers(0, 100))
def test_any_venue_account_is_held_from_the_line_or_refused_with_a_reason(
    account: Account, far: int, deep: int
) -> None:
    judged = assess(account, {}, NOW)
    try:
        found = threat_of(account, judged, {})
    except NoHedge:
        assert judged.nearest is None or (judged.health_factor or 0) < 1 or not judged.has_debt
        return
    protected = found.line * (100 - far if found.falls else 100 + far) / 100
    strike = found.line + (found.price - found.line) * deep / 100
    quantity = found.quantity(strike, protected)
    assert found.missing(protected) >= 0
    for step in range(41):
        at = protected + (found.price - protected) * step / 40
        payoff = quantity * max((strike - at) * (1 if found.falls else -1), D(0))
        scale = abs(found.solvency.cover(found.prices_at(at))) + abs(found.solvency.fixed) + 1
        assert found.margin(at) + payoff >= -scale * D("1e-12"), at
