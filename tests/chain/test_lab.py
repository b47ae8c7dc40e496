"""The lab itself: real contracts that behave as published, prices that move, time that passes, state that comes back."""

from tests.chain.market import Market


def test_ten_ether_against_fifteen_thousand_dollars_have_health_1_38(market: Market) -> None:
    user = market.user("borrower")
    market.supply(user, "WETH", market.units("WETH", 10))
    market.borrow(user, "USDC", market.units("USDC", 15_000))
    assert market.account_data(user).health_factor_wad == 1_383333333333333333
