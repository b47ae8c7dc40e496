"""Shocks and what they do: who follows whom, what betas give, when an account goes, what it costs."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import Account, Collateral, Debt, Kind, Position, Tier
from engine.prices import AssetPrice, OraclePrice
from engine.replays import REPLAYS, replayed
from engine.shocks import Market, Scenario, Step, by_beta, parse_move, scenario, spread
from engine.stress import factor_move, first_to_go, market_of, stressed

D = Decimal
PRICES = {
    "ETH": AssetPrice(OraclePrice(D(2500)), volatility=D("0.62")),
    "wstETH": AssetPrice(OraclePrice(D(3000))),
    "USDC": AssetPrice(OraclePrice(D(1)), stable=True),
}
LOAN = Account(
    "main",
    Kind.LOAN,
    collateral=(Collateral("ETH", D(10), D("0.83"), liquidation_bonus=D("0.05")),),
    debt=(Debt("USDC", D(15_000), D("0.05")),),
    close_factor=D("0.5"),
)
SHORT = Account(
    "hl",
    Kind.PERP,
    quote="USDC",
    balance=D(5000),
    positions=(Position("BTC", D("-0.5"), (Tier(D(0), D("0.01")),), D(60000), D(61000)),),
)
STOCKS = Account(
    "ib", Kind.BROKER, balance=D(-20000), positions=(Position("SPY", D(100), (Tier(D(0), D("0.25")),), None, D(500)),)
)
LOOP = Account(
    "loop",
    Kind.LOAN,
    collateral=(Collateral("wstETH", D(10), D("0.95")),),
    debt=(Debt("ETH", D("10.5")),),
)


def of(account: Account, **moves: str) -> Scenario:
    return scenario("test", {name: D(move) for name, move in moves.items()})


def test_a_fall_past_the_line_liquidates_and_costs_the_bonus_on_what_may_be_repaid() -> None:
    stands = stressed(LOAN, PRICES, of(LOAN, ETH="-0.27"))
    assert (stands.liquidated, stands.at) == (False, None)
    gone = stressed(LOAN, PRICES, of(LOAN, ETH="-0.30"))
    assert gone.health_factor == D("0.968333333333333333") or abs(gone.health_factor or 0) < 1
    assert gone.liquidated is True
    assert gone.loss == D(15_000) * D("0.5") * D("0.05")
    # 27.7 % liquidates: 0.277 of 0.30.
    assert gone.at is not None
    assert abs(gone.at - D("0.2771084337") / D("0.30")) < D("0.0002")


def test_a_perp_loses_what_is_left_at_the_price_that_liquidates() -> None:
    gone = stressed(SHORT, PRICES, of(SHORT, BTC="0.25"))
    assert gone.liquidated is True
    # 4500 of equity at 61,000 against 1 % of the notional: at 69,306.93 about 346.5 are left.
    assert gone.loss is not None
    assert abs(gone.loss - D("346.5")) < D("1")


def test_what_a_broker_sells_at_is_nobodys_to_say() -> None:
    gone = stressed(STOCKS, PRICES, of(STOCKS, SPY="-0.5"))
    assert (gone.liquidated, gone.loss) == (True, None)


def test_without_a_price_or_a_rate_the_outcome_is_unknown_and_never_safe() -> None:
    other = replace(LOAN, collateral=(Collateral("XYZ", D(1), D("0.5")),))
    unpriced = stressed(other, PRICES, of(other, USDC="0"))
    assert (unpriced.liquidated, unpriced.reason) == (None, "no price of XYZ")
    fixed = replace(LOAN, debt=(Debt("USDC", D(15_000)),))
    spike = Scenario("rates", (Step(0, {}),), D("0.3"), D(30))
    assert stressed(fixed, PRICES, spike).reason == "borrow rate of USDC unknown"


def test_a_rate_spike_grows_the_debt_for_its_days() -> None:
    calm = stressed(LOAN, PRICES, Scenario("now", (Step(0, {}),)))
    spike = stressed(LOAN, PRICES, Scenario("spike", (Step(0, {}),), D("0.30"), D(365)))
    assert calm.health_factor is not None
    assert spike.health_factor is not None
    assert abs(calm.health_factor / spike.health_factor - D("0.35").exp()) < D("1e-20")


def test_an_oracle_that_is_behind_holds_a_fall_back_but_never_turns_it_round() -> None:
    behind = replace(of(LOAN, ETH="-0.28"), oracle_behind=D("0.01"))
    assert stressed(LOAN, PRICES, of(LOAN, ETH="-0.28")).liquidated is True
    assert stressed(LOAN, PRICES, behind).liquidated is False
    small = replace(of(LOAN, ETH="-0.001"), oracle_behind=D("0.01"))
    unmoved = stressed(LOAN, PRICES, small).health_factor
    assert unmoved == stressed(LOAN, PRICES, of(LOAN)).health_factor


def test_the_most_particular_move_wins_and_tokens_follow_what_they_stand_for() -> None:
    market = Market(frozenset({"ETH", "wstETH", "WBTC", "LINK", "USDC"}), frozenset({"USDC"}))
    moves, assumed = spread({"ETH": D("-0.2"), "all": D("-0.1"), "stables": D("-0.03")}, market)
    assert moves == {"ETH": D("-0.2"), "wstETH": D("-0.2"), "WBTC": D("-0.1"), "LINK": D("-0.1"), "USDC": D("-0.03")}
    assert assumed == ["wstETH follows ETH"]
    alone, _ = spread({"ETH": D("-0.2"), "staked": D("-0.05")}, market, alone=True)
    assert alone == {"ETH": D("-0.2"), "wstETH": D("-0.05")}
    majors, _ = spread({"majors": D("-0.15")}, market)
    assert set(majors) == {"ETH", "wstETH", "WBTC"}
    with pytest.raises(ValueError, match="no asset 'DOGE'"):
        spread({"DOGE": D(-1)}, market)


def test_a_correlated_loop_stands_a_crash_that_its_token_follows() -> None:
    market = market_of([LOOP], PRICES, {})
    moves, _ = spread({"ETH": D("-0.5")}, market)
    assert stressed(LOOP, PRICES, scenario("crash", moves)).liquidated is False
    alone, _ = spread({"staked": D("-0.09")}, market)
    assert stressed(LOOP, PRICES, scenario("depeg", alone)).liquidated is True


def test_betas_are_of_logs_so_that_no_fall_goes_below_nothing() -> None:
    market = Market(frozenset({"ETH", "BTC", "LINK", "USDC"}), frozenset({"USDC"}), {"LINK": D(2)})
    moves, assumed = by_beta(D("-0.5"), market)
    assert moves["LINK"] == D("-0.75")
    assert abs(moves["BTC"] - (D("0.5") ** D("0.75") - 1)) < D("1e-12")
    assert "USDC" not in moves
    assert assumed == ["beta of BTC taken as 0.75"]


def test_the_market_move_that_liquidates_or_why_none_does() -> None:
    accounts = [LOAN, SHORT, STOCKS, LOOP]
    market = market_of(accounts, PRICES, {})
    loan, short, stocks, loop = (factor_move(account, PRICES, market) for account in accounts)
    assert loan.move is not None
    assert abs(loan.move + D("0.277108433734939759")) < D("1e-9")
    assert short.move is not None
    assert short.move > 0
    assert (stocks.move, stocks.reason) == (None, "does not move with ETH: all its assets have beta 0")
    assert loop.move is None
    assert "no move of ETH" in loop.reason


def test_who_goes_first_is_told_by_how_much_of_the_move_it_takes() -> None:
    thin = replace(LOAN, name="thin", debt=(Debt("USDC", D(19_000), D("0.05")),))
    fall = of(LOAN, ETH="-0.4")
    assert first_to_go([stressed(account, PRICES, fall) for account in (LOAN, SHORT, thin)]) == ["thin", "main"]


def test_every_replay_spreads_over_what_is_held_and_names_its_source() -> None:
    market = market_of([LOAN, SHORT, STOCKS, LOOP], PRICES, {})
    for name, one in REPLAYS.items():
        made = replayed(one, market)
        assert made.source, name
        assert made.steps[-1].hours >= made.steps[0].hours
        for step in made.steps:
            assert all(-1 < move < 1 for move in step.moves.values())
            assert "SPY" not in step.moves
    luna = replayed(REPLAYS["luna"], market).steps[-1].moves
    assert (luna["BTC"], luna["ETH"], luna["wstETH"]) == (D("-0.216"), D("-0.286"), D("-0.286"))
    capped = replayed(REPLAYS["capped-oracle"], market)
    assert capped.steps[0].moves == {"wstETH": D("-0.0285")}
    assert stressed(replace(LOOP, debt=(Debt("ETH", D("11.2")),)), PRICES, capped).liquidated is True


@pytest.mark.parametrize("text", ["ETH", "=-20%", "ETH=", "ETH=down", "ETH=-100%", "ETH=NaN", "ETH=-1.5", "ETH=1e9"])
def test_what_is_no_move_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|cannot move"):
        parse_move(text)


def test_moves_are_read_in_percent_and_in_fractions() -> None:
    assert parse_move("ETH=-20%") == parse_move(" ETH = -0.2 ") == ("ETH", D("-0.2"))


@given(st.decimals("-0.95", "0", places=3), st.decimals("-0.95", "0", places=3))
def test_a_deeper_fall_never_leaves_a_long_healthier(one: Decimal, other: Decimal) -> None:
    deep, shallow = sorted((one, other))
    worse = stressed(LOAN, PRICES, of(LOAN, ETH=str(deep))).health_factor
    better = stressed(LOAN, PRICES, of(LOAN, ETH=str(shallow))).health_factor
    assert worse is not None
    assert better is not None
    assert worse <= better
