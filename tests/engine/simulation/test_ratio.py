"""The ratio that is simulated against the solvency that it stands for."""

import pytest
from hypothesis import assume, given, settings

from engine.accounts import Account, Debt, Position
from engine.prices import OraclePrice
from engine.simulation.ratio import ratio_of
from engine.solvency import solvency_of, trigger_prices
from tests.engine.portfolios import d, flat, perp, venue_accounts


@settings(deadline=None, max_examples=100)
@given(venue_accounts())
def test_the_ratio_of_a_venue_account_has_the_margin_of_its_solvency(account: Account) -> None:
    known, _ = trigger_prices(account, {})
    solvency = solvency_of(account)
    assume(len(solvency.exposures) > 1)
    prices = {asset: float(price) for asset, price in known.items()}
    have, must = ratio_of(account, prices, frozenset(), 0.0).sides(prices)
    margin = float(solvency.cover(known) - solvency.requirement(known))
    assert have - must == pytest.approx(margin, rel=1e-9, abs=1e-9 * (have + must))


def test_carry_is_funding_on_face_value_and_interest_on_borrowed_coins() -> None:
    held = Position("BTC", d(1), flat("0.01"), d(60_000), d(66_000), funding_rate=d("0.1"), inverse=True)
    account = perp("9000", held, debt=(Debt("SOL", d(10), d("0.2")),), oracles={"SOL": OraclePrice(d(100))})
    prices = {"BTC": 66_000.0, "SOL": 100.0}
    sides = [ratio_of(account, prices, frozenset(), hours).sides(prices) for hours in (0.0, 8_760.0)]
    now, later = (have - must for have, must in sides)
    assert now - later == pytest.approx(6_000 + 1_000 * (2.718281828459045**0.2 - 1), rel=1e-6)
    unpriced = perp("9000", held, debt=(Debt("SOL", d(10)),), oracles=account.oracles)
    assert ratio_of(unpriced, prices, frozenset(), 1.0).drift_unknown == ("borrow rate of SOL",)
