from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings

from engine.accounts import Account, Collateral, Debt, Kind, Position, VenueReport
from engine.assess import assess, market_side, trigger_side, with_market
from engine.assessment import Direction, Due, LiquidationPoint, Method, Severity
from engine.market import next_oracle
from engine.prices import AssetPrice, OraclePrice
from engine.severity import Ladder, rank
from tests.engine.portfolios import NOW, SECOND, agreed, amounts, d, flat, loan, loans, oracle, perp, price, quote

ETH = AssetPrice(oracle("2500", age_s=60, heartbeat_s=3600, bps=50), volatility=d("0.62"))
PRICES = {"ETH": ETH, "USDC": price("1", stable=True)}
LOAN = loan({"ETH": ("10", "0.83")}, {"USDC": "15000"})
SHORT = perp("5000", Position("BTC", d("-0.5"), flat("0.01"), d(60_000), d(61_000)))


class IntegerLedger:
    """A ledger of one collateral and one debt with round integer arithmetic of its own."""

    def __init__(self, collateral: int, debt: int) -> None:
        self.collateral = collateral
        self.debt = debt

    def health_factor_wad(self, moved: Mapping[str, Decimal] | None = None) -> int | None:
        eth = int((moved or {}).get("ETH", Decimal(2500)) * 10**8)
        return self.collateral * eth * 83 // 100 * 10**18 // (self.debt * 10**8) if self.debt else None

    def liquidation_price(self, asset: str) -> Decimal | None:
        return d("1807.22891566") if asset == "ETH" else None

    def uniform_shock(self, assets: frozenset[str]) -> Decimal | None:
        return d("-0.277") if "ETH" in assets else None

    def loss_at_liquidation(self) -> Decimal | None:
        return d(375)


@settings(deadline=None, max_examples=100)
@given(loans(), amounts("1.0001", "3"))
def test_a_higher_collateral_price_never_lowers_a_longs_health(
    case: tuple[Account, dict[str, AssetPrice]], factor: Decimal
) -> None:
    account, prices = case
    owed = {leg.asset for leg in account.debt}
    before = trigger_side(account, prices, NOW)
    for leg in account.collateral:
        if leg.asset in owed:
            continue
        old = prices[leg.asset].oracle
        assert old is not None
        raised = {**prices, leg.asset: AssetPrice(OraclePrice(old.price * factor))}
        after = trigger_side(account, raised, NOW)
        assert before.health_factor is not None
        assert after.health_factor is not None
        assert after.health_factor >= before.health_factor
        assert rank(after.severity) <= rank(before.severity)


@settings(deadline=None, max_examples=60)
@given(loans())
def test_an_assessment_says_why_whenever_a_figure_is_missing(case: tuple[Account, dict[str, AssetPrice]]) -> None:
    account, prices = case
    assessment = assess(account, prices, NOW)
    for name in ("health_factor", "equity", "leverage", "capital_efficiency", "at_market", "at_next_oracle"):
        assert (getattr(assessment, name) is None) is (name in assessment.missing), name


def test_a_missing_price_makes_severity_unknown_and_names_it() -> None:
    assessment = assess(LOAN, {"USDC": PRICES["USDC"]}, NOW, last_known=Severity.DANGER)
    assert (assessment.severity, assessment.severity_because) == (Severity.UNKNOWN, "no price of ETH")
    assert assessment.last_known is Severity.DANGER
    assert assessment.health_factor is None
    assert assessment.liquidation == {"ETH": LiquidationPoint(), "USDC": LiquidationPoint()}
    for name in ("health_factor", "collateral_value", "equity", "buffer", "uniform_shock", "at_market", "liquidation"):
        assert assessment.missing[name] == "no price of ETH"
    assert assessment.debt_value == 15_000


@pytest.mark.parametrize("bad", ["0", "-1", "NaN", "Infinity"])
def test_a_price_that_is_not_positive_counts_as_missing(bad: str) -> None:
    assessment = assess(LOAN, {**PRICES, "ETH": AssetPrice(OraclePrice(Decimal(bad)))}, NOW)
    assert (assessment.severity, assessment.severity_because) == (Severity.UNKNOWN, "price of ETH is not positive")


def test_a_disabled_collateral_without_a_price_leaves_health_known() -> None:
    account = replace(LOAN, collateral=(*LOAN.collateral, Collateral("JUNK", d(5), d(0))))
    assessment = assess(account, PRICES, NOW, consensus_of=agreed({"ETH": "2500"}))
    assert assessment.health_factor == trigger_side(LOAN, PRICES, NOW).health_factor
    assert assessment.missing["collateral_value"] == "no price of JUNK"
    assert assessment.at_market is not None


def test_the_accounts_own_oracle_wins_over_the_shared_one() -> None:
    account = replace(LOAN, oracles={"ETH": OraclePrice(d(2000))})
    assert trigger_side(account, PRICES, NOW).collateral_value == 20_000


def test_a_stale_reading_keeps_its_figures_and_is_unknown() -> None:
    assessment = assess(LOAN, PRICES, NOW, is_stale=True, previous=Severity.SAFE)
    assert (assessment.severity, assessment.severity_because) == (Severity.UNKNOWN, "reading is stale")
    assert assessment.health_factor is not None
    assert assessment.last_known is Severity.WARN


def test_a_stale_reading_remembers_the_worse_of_before_and_its_own_figures() -> None:
    assert assess(LOAN, PRICES, NOW, is_stale=True, previous=Severity.DANGER).last_known is Severity.DANGER
    again = assess(LOAN, PRICES, NOW, is_stale=True, previous=Severity.UNKNOWN, last_known=Severity.DANGER)
    assert again.last_known is Severity.DANGER
    assert assess(LOAN, PRICES, NOW, is_stale=True).last_known is Severity.WARN


def test_known_severity_carries_no_last_known() -> None:
    assert assess(LOAN, PRICES, NOW, previous=Severity.UNKNOWN, last_known=Severity.DANGER).last_known is None


def test_the_last_known_level_is_held_through_an_unknown_spell() -> None:
    edge = loan({"ETH": ("10", "0.83")}, {"USDC": "13700"})
    assert trigger_side(edge, PRICES, NOW).severity is Severity.WATCH
    held = trigger_side(edge, PRICES, NOW, previous=Severity.UNKNOWN, last_known=Severity.WARN)
    assert held.severity is Severity.WARN


def test_an_own_ladder_wins_over_the_kinds() -> None:
    strict = Ladder(health=(d(5), d(4), d(3)))
    assert assess(LOAN, PRICES, NOW, ladder=strict).severity is Severity.DANGER


@pytest.mark.parametrize(
    ("account", "because"), [(loan({"ETH": ("1", "0.8")}, {}), "no debt"), (perp("100"), "no position")]
)
def test_nothing_owed_is_safe_and_has_no_health_factor(account: Account, because: str) -> None:
    assessment = assess(account, PRICES, NOW)
    assert (assessment.severity, assessment.severity_because) == (Severity.SAFE, because)
    assert (assessment.health_factor, assessment.has_debt) == (None, False)
    assert "health_factor" not in assessment.missing


def test_a_negative_balance_without_positions_is_liquidatable() -> None:
    assert assess(perp("-5"), {}, NOW).severity is Severity.LIQUIDATABLE


def test_debt_without_collateral_has_health_zero() -> None:
    assessment = assess(loan({}, {"USDC": "10"}), PRICES, NOW)
    assert (assessment.health_factor, assessment.severity) == (0, Severity.LIQUIDATABLE)
    assert assessment.missing["leverage"] == "equity is not positive"


def test_the_integer_ledger_wins_over_the_plain_formula() -> None:
    account = replace(LOAN, ledger=IntegerLedger(10, 15_000))
    assessment = assess(account, PRICES, NOW, consensus_of=agreed({"ETH": "2400"}))
    assert assessment.health_factor_wad == 1_383_333_333_333_333_333
    assert assessment.health_factor == d("1.383333333333333333")
    assert assessment.liquidation["ETH"].price == d("1807.22891566")
    assert assessment.liquidation["ETH"].direction is Direction.DOWN
    assert assessment.liquidation["USDC"] == LiquidationPoint()
    assert assessment.uniform_shock == d("-0.277")
    assert assessment.loss_at_liquidation == 375
    assert assessment.at_next_oracle is not None
    assert assessment.at_next_oracle.health_factor == d("1.328")


def test_the_contracts_own_health_factor_wins_over_our_integer_one() -> None:
    reported = VenueReport(health_factor=d("1.383333333333333334"))
    account = replace(LOAN, ledger=IntegerLedger(10, 15_000), reported=reported, degraded=("they differ",))
    assessment = trigger_side(account, PRICES, NOW)
    assert assessment.health_factor_wad == 1_383_333_333_333_333_334
    assert assessment.degraded == ("they differ",)


def test_a_ledger_without_debt_has_no_health_factor() -> None:
    account = replace(loan({"ETH": ("10", "0.83")}, {}), ledger=IntegerLedger(10, 0))
    assessment = assess(account, PRICES, NOW)
    assert (assessment.health_factor, assessment.health_factor_wad, assessment.has_debt) == (None, None, False)


def test_a_liquidatable_account_with_a_ledger_keeps_the_plain_distances() -> None:
    account = replace(LOAN, debt=(Debt("USDC", d(21_000)),), ledger=IntegerLedger(10, 21_000))
    assessment = trigger_side(account, PRICES, NOW)
    assert assessment.severity is Severity.LIQUIDATABLE
    assert (assessment.uniform_shock, assessment.liquidation["ETH"].distance) == (0, 0)


def test_loss_at_liquidation_is_the_bonus_on_what_may_be_repaid() -> None:
    held = replace(LOAN.collateral[0], liquidation_bonus=d("0.05"))
    account = replace(LOAN, collateral=(held,), close_factor=d("0.5"))
    assert trigger_side(account, PRICES, NOW).loss_at_liquidation == 375
    no_factor = trigger_side(replace(account, close_factor=None), PRICES, NOW)
    assert (no_factor.loss_at_liquidation, no_factor.missing["loss_at_liquidation"]) == (None, "close factor unknown")
    no_bonus = trigger_side(replace(LOAN, close_factor=d("0.5")), PRICES, NOW)
    assert no_bonus.missing["loss_at_liquidation"] == "liquidation bonus of ETH unknown"


def test_sigma_days_is_distance_over_one_days_volatility() -> None:
    assessment = trigger_side(LOAN, PRICES, NOW)
    assert assessment.nearest == "ETH"
    assert assessment.sigma_days == pytest.approx(d("0.27710843") / (d("0.62") / d(365).sqrt()), rel=d("1e-7"))


def test_a_correlated_pair_has_no_sigma_days_without_its_correlation() -> None:
    pair = loan({"wstETH": ("10", "0.93")}, {"ETH": "9"})
    assessment = trigger_side(pair, {**PRICES, "wstETH": price("3000", volatility="0.6")}, NOW)
    assert assessment.sigma_days is None
    assert assessment.missing["sigma_days"] == "correlation of ETH and wstETH unknown"


def test_the_nearest_asset_is_a_stable_one_only_where_nothing_else_liquidates() -> None:
    spread = loan({"ETH": ("2", "0.8"), "BTC": ("0.1", "0.8")}, {"USDC": "7500"})
    prices = {**PRICES, "BTC": price("50000")}
    assessment = trigger_side(spread, prices, NOW)
    usdc, nearest = assessment.liquidation["USDC"], assessment.nearest
    assert nearest in ("ETH", "BTC")
    assert usdc.distance is not None
    stables = {"DAI": price("1", stable=True), "USDC": price("1", stable=True)}
    assert trigger_side(loan({"DAI": ("10", "0.9")}, {"USDC": "8"}), stables, NOW).nearest == "DAI"


def test_a_late_oracle_degrades_the_account_and_keeps_its_health() -> None:
    late = {**PRICES, "ETH": AssetPrice(oracle("2500", age_s=9000, heartbeat_s=3600))}
    assessment = trigger_side(LOAN, late, NOW)
    assert assessment.degraded == ("ETH oracle is late: 9000s old, heartbeat 3600s",)
    assert assessment.severity is Severity.WARN


def test_margin_used_over_equity_is_a_perps_capital_efficiency() -> None:
    used = replace(SHORT.positions[0], margin_used=d(900))
    assert trigger_side(replace(SHORT, positions=(used,)), {}, NOW).capital_efficiency == d("0.2")


def test_a_perp_position_without_an_entry_price_is_unknown() -> None:
    account = replace(SHORT, positions=(replace(SHORT.positions[0], entry_price=None),))
    assert trigger_side(account, {}, NOW).severity_because == "no entry price of BTC"


def test_what_the_venue_says_stands_in_where_our_formula_lacks_an_input() -> None:
    position = replace(SHORT.positions[0], tiers=(), venue_liquidation_price=d(64_000))
    report = VenueReport(equity=d(4500), maintenance_requirement=d(450))
    assessment = trigger_side(replace(SHORT, positions=(position,), reported=report), {}, NOW)
    assert (assessment.health_factor, assessment.method) == (10, Method.VENUE)
    assert assessment.liquidation["BTC"].price == 64_000
    assert (assessment.severity, assessment.nearest) == (Severity.DANGER, "BTC")
    silent = trigger_side(replace(SHORT, positions=(replace(position, venue_liquidation_price=None),)), {}, NOW)
    assert (silent.severity, silent.severity_because) == (Severity.UNKNOWN, "no maintenance rate of BTC")


def test_a_venue_price_already_passed_is_liquidatable() -> None:
    position = replace(SHORT.positions[0], tiers=(), venue_liquidation_price=d(60_500))
    assert trigger_side(replace(SHORT, positions=(position,)), {}, NOW).severity is Severity.LIQUIDATABLE


def test_two_contracts_on_one_asset_keep_their_own_marks() -> None:
    other = Position("BTC", d(1), flat("0.01"), d(60_000), d(61_500))
    assessment = trigger_side(replace(SHORT, positions=(*SHORT.positions, other)), {}, NOW)
    assert assessment.equity == 4500 + 1500
    assert assessment.maintenance_requirement == pytest.approx(d(920), rel=d("1e-25"))
    # The larger one's mark is the reference: 5000 - 0.5 (p x 61000/61500 - 60000) + (p - 60000) = 0.01 (...).
    point = assessment.liquidation["BTC"]
    assert point.direction is Direction.DOWN
    ratio = d(61_000) / d(61_500)
    assert point.price is not None
    assert abs(point.price - d(25_000) / (d("0.99") - d("0.505") * ratio)) < d("1e-18")


def test_an_empty_position_changes_nothing() -> None:
    ghost = Position("DOGE", d(0), (), None, None)
    assert trigger_side(replace(SHORT, positions=(*SHORT.positions, ghost)), {}, NOW).health_factor == (
        trigger_side(SHORT, {}, NOW).health_factor
    )


def test_marks_of_perps_and_brokers_move_to_the_consensus_at_market() -> None:
    side = market_side(SHORT, {}, agreed({"BTC": "62000"}))
    assert side.at_market is not None
    assert side.at_market.health_factor == d(4000) / d(310)
    assert side.at_next_oracle is None
    assert "at_next_oracle" not in side.missing


def test_an_asset_without_consensus_makes_at_market_unknown_with_the_reason() -> None:
    side = market_side(LOAN, PRICES, {})
    assert (side.at_market, side.at_next_oracle) == (None, None)
    assert side.missing == {"at_market": "no venue quotes ETH", "at_next_oracle": "no venue quotes ETH"}


def test_with_no_print_due_the_next_print_health_is_the_present_one() -> None:
    side = market_side(LOAN, PRICES, agreed({"ETH": "2495"}))
    assert side.at_next_oracle is not None
    assert side.at_next_oracle.health_factor == trigger_side(LOAN, PRICES, NOW).health_factor
    assert not side.at_next_oracle.updates


def test_the_market_can_be_known_while_the_next_print_is_not() -> None:
    bare = {**PRICES, "ETH": price("2500")}
    side = market_side(LOAN, bare, agreed({"ETH": "2400"}))
    assert side.at_market is not None
    assert side.missing == {"at_next_oracle": "update rule of the ETH oracle unknown"}


def test_assess_is_the_trigger_side_with_the_market_side_put_in() -> None:
    agreed_prices = agreed({"ETH": "2400"})
    whole = assess(LOAN, PRICES, NOW, consensus_of=agreed_prices)
    assert whole == with_market(trigger_side(LOAN, PRICES, NOW), market_side(LOAN, PRICES, agreed_prices))
    assert whole.at_next_oracle is not None
    assert whole.at_next_oracle.updates["ETH"].due is Due.DEVIATION


def test_a_new_market_side_replaces_the_old_reasons() -> None:
    blind = assess(LOAN, PRICES, NOW, consensus_of={})
    assert "at_market" in blind.missing
    seeing = with_market(blind, market_side(LOAN, PRICES, agreed({"ETH": "2400"})))
    assert "at_market" not in seeing.missing
    assert seeing == assess(LOAN, PRICES, NOW, consensus_of=agreed({"ETH": "2400"}))


def test_quotes_in_the_prices_make_the_consensus_when_none_is_given() -> None:
    quoted = {**PRICES, "ETH": replace(ETH, quotes=(quote("binance", "2400"), quote("kraken", "2400")))}
    assessment = assess(LOAN, quoted, NOW)
    assert assessment.at_market is not None
    assert assessment.at_market.divergence_bps == {"ETH": -400}
    stale = assess(LOAN, quoted, NOW + 60 * SECOND)
    assert stale.missing["at_market"] == "no consensus on ETH: 0 of 2 venues usable, 2 needed"


@pytest.mark.parametrize(("kind", "trigger"), [(Kind.LOAN, "oracle"), (Kind.PERP, "mark"), (Kind.BROKER, "broker")])
def test_every_distance_names_its_trigger(kind: Kind, trigger: str) -> None:
    account: Any = {Kind.LOAN: LOAN, Kind.PERP: SHORT, Kind.BROKER: Account("ib", Kind.BROKER)}[kind]
    assert assess(account, PRICES, NOW).trigger == trigger


def test_a_broker_account_without_a_price_says_so_of_every_figure() -> None:
    account = Account("ib", Kind.BROKER, balance=d(-100), positions=(Position("SPY", d(1), flat("0.25")),))
    assessment = assess(account, {}, NOW)
    assert (assessment.severity, assessment.severity_because) == (Severity.UNKNOWN, "no price of SPY")
    for name in ("collateral_value", "debt_value", "equity", "leverage", "capital_efficiency", "at_market"):
        assert getattr(assessment, name) is None
        assert assessment.missing[name] == "no price of SPY"


def test_a_debt_without_a_price_leaves_the_collateral_known() -> None:
    assessment = assess(LOAN, {"ETH": ETH}, NOW)
    assert (assessment.collateral_value, assessment.debt_value) == (25_000, None)
    assert assessment.missing["debt_value"] == "no price of USDC"


@pytest.mark.parametrize("eth", ["2500", "2487.5", "2400", "2700", None])
def test_the_next_print_alone_is_what_the_whole_market_side_tells(eth: str | None) -> None:
    consensus = agreed({"ETH": eth}) if eth is not None else {}
    assert next_oracle(LOAN, PRICES, consensus) == market_side(LOAN, PRICES, consensus).at_next_oracle
    assert next_oracle(LOAN, {}, consensus) is None
