"""Rescue plans of every kind of account: amounts, what stands in the way, what is possible, the standing plan."""

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.accounts import Account, Kind, Position
from engine.assess import assess, consensus_by_asset
from engine.document import parse_portfolio
from engine.liquidation import liquidation_points
from engine.plans import Caps, plan, readiness, standing_plan, standing_target
from engine.prices import AssetPrice
from engine.rescue import Facility, Funds, Means, Option, Plan, Standing, Target, Tariff
from engine.severity import DEFAULT_LADDERS
from engine.solvency import solvency_of
from tests.engine.portfolios import NOW, SECOND, amounts, d, example, flat, ladder_of_tiers, loan, loans, perp, price

TOPUPS = Path(__file__).parents[1] / "fixtures" / "risk"
PORTFOLIO = parse_portfolio(example())
MAIN, PERP, BROKER = PORTFOLIO.accounts
AGREED = consensus_by_asset(PORTFOLIO.prices, PORTFOLIO.as_of_ns)
RESCUE = "rescue 0x12..ab"


def wallet(**changes: Any) -> Standing:
    """Return a standing of the example's loan in which ETH can be supplied and USDC supplied and repaid."""
    standing = Standing(
        "main",
        PORTFOLIO.as_of_ns,
        (
            Facility("ETH", frozenset({Means.SUPPLY}), "0xe", 18, liquidation_threshold=d("0.83")),
            Facility(
                "USDC",
                frozenset({Means.SUPPLY, Means.REPAY}),
                "0xu",
                6,
                has_permit=True,
                liquidation_threshold=d("0.78"),
            ),
        ),
        (
            Funds("ETH", d(20), RESCUE, "0x12", d(100), is_owner=False),
            Funds("USDC", d(40_000), RESCUE, "0x12", d(0), is_owner=False),
        ),
        {Means.SUPPLY: Tariff(d("1.1"), d(24), d("0.002")), Means.REPAY: Tariff(d("1.2"), d(24), d("0.002"))},
        d("0.1"),
        "rescue",
        123,
    )
    return replace(standing, **changes)


def facilities(asset: str, **changes: Any) -> tuple[Facility, ...]:
    return tuple(replace(each, **changes) if each.asset == asset else each for each in wallet().facilities)


def funds(asset: str, **changes: Any) -> tuple[Funds, ...]:
    return tuple(replace(each, **changes) if each.asset == asset else each for each in wallet().funds)


def made(
    health: str = "2", standing: Standing | None = None, *, account: Account = MAIN, distance: str = "", **more: Any
) -> Plan:
    target = Target(distance=d(distance)) if distance else Target(health=d(health))
    return plan(account, PORTFOLIO.prices, AGREED, target, standing, PORTFOLIO.as_of_ns, **more)


def only(found: Plan, means: Means, asset: str) -> Option:
    return next(each for each in found.options if (each.means, each.asset, each.is_full_close) == (means, asset, False))


def test_the_worked_example_side_by_side() -> None:
    """X = (2 x 15,000 - 20,750) / 0.83 = 11,144.58 USD; Y = 15,000 - 20,750 / 2 = 4,625 USD, and interest on top."""
    found = made(standing=wallet())
    assert found.health_before == d("25000") * d("0.83") / 15_000
    assert found.block_number == 123
    assert found.possible == ""
    repay, supply = only(found, Means.REPAY, "USDC"), only(found, Means.SUPPLY, "ETH")
    assert d("4625") < repay.amount < d("4625.01")
    assert d("4.4578") < supply.amount < d("4.4579")
    assert found.options[0] == repay
    assert repay.ready
    assert repay.steps == (f"approve exactly {repay.amount} USDC", f"repay {repay.amount} USDC of main")
    assert repay.amount_units == int(repay.amount * 10**6)
    assert (repay.cost_usd, repay.time_to_land_s, repay.source) == (d("1.2"), d(24), RESCUE)
    for each in (repay, supply):
        assert each.health.after is not None
        assert d(2) <= each.health.after < d("2.00001")
        assert each.health.after_at_market is not None
        assert each.health.after_minus_10pct is not None
        assert each.health.after_minus_10pct < each.health.after_at_market < each.health.after
        assert each.distance_after is not None
        assert abs(each.distance_after - d("0.5")) < d("0.00001")


def test_a_full_close_has_headroom_for_interest_and_leaves_nothing_owed() -> None:
    close = next(each for each in made(standing=wallet()).options if each.is_full_close)
    assert d(15_000) < close.amount < d("15000.1")
    assert close.health.after is None
    assert close.ready
    assert close.steps[-1] == "repay all USDC of main"


def test_a_full_close_takes_what_the_wallet_has_when_that_covers_the_debt() -> None:
    held = d("15000.01")
    close = next(each for each in made(standing=wallet(funds=funds("USDC", amount=held))).options if each.is_full_close)
    assert close.amount == held
    assert close.ready
    less = made(standing=wallet(funds=funds("USDC", amount=d(15_000))))
    assert not any(each.is_full_close for each in less.options)


def test_worthless_collateral_leaves_only_the_full_close() -> None:
    bare = replace(MAIN, collateral=(replace(MAIN.collateral[0], liquidation_threshold=d(0)),))
    found = made(account=bare, means=Means.REPAY)
    assert [each.is_full_close for each in found.options] == [True]


def test_without_a_wallet_amounts_are_computed_and_it_says_so() -> None:
    found = made()
    assert {each.means for each in found.options} == {Means.SUPPLY, Means.REPAY, Means.DELEVERAGE}
    assert all("no wallet read" in each.blockers for each in found.options)
    assert found.possible == ""
    assert readiness(found) == "no rescue known"


def test_means_keeps_one_kind() -> None:
    for means in (Means.SUPPLY, Means.REPAY, Means.DELEVERAGE):
        found = made(standing=wallet(), means=means)
        assert found.options
        assert {each.means for each in found.options} == {means}


def test_deleverage_is_explained_and_never_ready() -> None:
    sell = only(made(standing=wallet()), Means.DELEVERAGE, "ETH")
    assert not sell.ready
    assert "its swap is not executed yet" in sell.blockers[0]
    assert sell.cost_usd == sell.amount * 2500 * d("0.005")
    assert sell.steps[0] == f"sell {sell.amount} ETH of the collateral"


def test_deleverage_cannot_reach_a_health_below_the_threshold() -> None:
    """It needs H x (1 - c) > l: selling for a health of 0.8 at a threshold of 0.83 only lowers health."""
    weak = replace(MAIN, debt=(replace(MAIN.debt[0], amount=d(29_000)),))
    found = made("0.8", account=weak, means=Means.DELEVERAGE, swap_cost=d("0.05"))
    assert all(each.health.after is None or each.health.after >= d("0.8") for each in found.options)


@pytest.mark.parametrize(
    ("standing", "said", "word"),
    [
        (
            wallet(funds=funds("ETH", amount=d("0.5"))),
            f"source empty: {RESCUE} has 0.5 ETH, needs 4.45784",
            "source empty",
        ),
        (wallet(funds=()), "source empty: no wallet has 0 ETH, needs 4.45784", "source empty"),
        (wallet(gas_balance=d("0.0001")), "no gas: has 0.0001, needs 0.002", "no gas"),
        (wallet(tariffs={}), "gas needed is unknown", "blocked"),
        (wallet(signer=""), "read-only: no signer is configured", "read-only"),
        (wallet(problems=("the node is on chain 5, the account on chain 1",)), "the node is on chain 5", "blocked"),
        (wallet(read_at_ns=PORTFOLIO.as_of_ns - 90 * SECOND), "wallet read 90 s ago", "stale"),
        (
            wallet(facilities=facilities("ETH", refused="the reserve is frozen")),
            "ETH: the reserve is frozen",
            "blocked",
        ),
        (wallet(facilities=facilities("ETH", room=d(1))), "supply cap: room for 1 ETH, needs 4.45784", "supply cap"),
        (wallet(facilities=facilities("ETH", counts=False)), "supplied ETH would not count as collateral", "blocked"),
        (
            wallet(facilities=facilities("ETH", needs_enabling=True)),
            "only after the account's owner enables",
            "blocked",
        ),
    ],
)
def test_every_blocker_says_why(standing: Standing, said: str, word: str) -> None:
    found = made(standing=standing, means=Means.SUPPLY)
    option = only(found, Means.SUPPLY, "ETH")
    assert not option.ready
    assert any(said in blocker for blocker in option.blockers), option.blockers
    alone = replace(found, options=(option,))
    assert readiness(alone) == word


def test_a_missing_allowance_is_a_step_and_no_blocker() -> None:
    found = made(standing=wallet())
    assert only(found, Means.REPAY, "USDC").ready
    assert readiness(found) == "needs approve"
    allowed = made(standing=wallet(funds=funds("USDC", allowance=d(10**9))))
    assert only(allowed, Means.REPAY, "USDC").steps[0].startswith("repay")
    assert readiness(allowed) == "ready"
    assert only(found, Means.SUPPLY, "USDC").steps[0].startswith("permit exactly")


def test_the_owner_enables_what_would_not_count_by_itself() -> None:
    standing = wallet(facilities=facilities("ETH", needs_enabling=True), funds=funds("ETH", is_owner=True))
    option = only(made(standing=standing), Means.SUPPLY, "ETH")
    assert option.ready
    assert option.steps[-1] == "enable ETH as collateral"


def test_native_coin_is_wrapped_and_gas_stays_behind() -> None:
    native = Funds("ETH", d("4.459"), RESCUE, is_native=True)
    standing = wallet(funds=(native,), gas_balance=d("4.459"))
    short = only(made(standing=standing), Means.SUPPLY, "ETH")
    assert any(blocker.startswith("source empty") for blocker in short.blockers)
    enough = wallet(funds=(replace(native, amount=d("4.47")),), gas_balance=d("4.47"))
    option = only(made(standing=enough), Means.SUPPLY, "ETH")
    assert option.ready
    assert option.steps[0].startswith("wrap 4.45")


@pytest.mark.parametrize(
    ("caps", "said"),
    [
        (Caps(per_action_usd=d(4_000)), "over cap: 4625.01 USD, 4000 per action"),
        (Caps(day_left_usd=d(0)), "over cap: 4625.01 USD, 0 left today"),
        (Caps(account_left_usd=d("4624.5")), "over cap: 4625.01 USD, 4624.5 left for this account"),
    ],
)
def test_caps_hold_back_what_is_over_them(caps: Caps, said: str) -> None:
    option = only(made(standing=wallet(), caps=caps), Means.REPAY, "USDC")
    assert said in option.blockers
    assert only(made(standing=wallet(), caps=Caps(d(5_000), d(5_000), d(5_000))), Means.REPAY, "USDC").ready


def test_a_value_in_an_unknown_currency_is_over_every_cap() -> None:
    odd = replace(MAIN, quote="EUR")
    assert only(made(account=odd, standing=wallet()), Means.REPAY, "USDC").value_usd is None
    option = only(made(account=odd, standing=wallet(), caps=Caps(d(10**9))), Means.REPAY, "USDC")
    assert "over cap: its value in USD is unknown" in option.blockers


def test_a_stale_account_blocks_everything() -> None:
    found = made(standing=wallet(), is_stale=True)
    assert found.options
    assert not any(each.ready for each in found.options)
    assert readiness(found) == "stale"


def test_an_impossible_target_says_what_would_be_possible() -> None:
    poor = wallet(funds=(replace(wallet().funds[0], amount=d("1.2")), replace(wallet().funds[1], amount=d(1_000))))
    found = made("2", poor)
    assert f"repaying 1000 USDC in {RESCUE}: health 1.4821" in found.possible
    assert f"with 1.2 ETH in {RESCUE}: health 1.5493" in found.possible
    assert not any(each.ready for each in found.options)


def test_what_is_refused_is_no_way_out() -> None:
    frozen = wallet(facilities=facilities("ETH", refused="the reserve is frozen"), funds=funds("USDC", amount=d(1_000)))
    found = made("2", frozen)
    assert "with 20 ETH" not in found.possible
    assert f"repaying 1000 USDC in {RESCUE}: health 1.4821" in found.possible
    assert standing_of(MAIN, frozen).options[0].means is Means.REPAY


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target(health=d("1.2")), "health 1.3833 is at or above 1.2000 already; nothing to do"),
        (Target(distance=d("0.1")), "the nearest liquidation is 27.7 % away already; nothing to do"),
        (Target(health=d("Infinity")), "a target must be a number above 0"),
        (Target(health=d("NaN")), "a target must be a number above 0"),
        (Target(health=d("-1")), "a target must be a number above 0"),
        (Target(distance=d(0)), "a target must be a number above 0"),
        (Target(health=d(10) ** 30), "a target must be a number above 0"),
    ],
)
def test_targets_without_a_plan_say_why(target: Target, said: str) -> None:
    found = plan(MAIN, PORTFOLIO.prices, AGREED, target, wallet(), PORTFOLIO.as_of_ns)
    assert found.options == ()
    assert said in found.possible


@pytest.mark.parametrize(
    ("account", "said"),
    [
        (replace(MAIN, debt=()), "nothing is owed; nothing to do"),
        (loan({"DOGE": ("5", "0.5")}, {"USDC": "1"}), "no amount can be computed: no price of DOGE"),
        (perp("10", Position("BTC", d(1), (), d(1), d(1))), "no amount can be computed: no maintenance rate of BTC"),
        (perp("10", Position("BTC", d(1), flat("0.01"))), "no amount can be computed: no entry price of BTC"),
        (perp("10"), "nothing is owed; nothing to do"),
    ],
)
def test_accounts_without_a_plan_say_why(account: Account, said: str) -> None:
    found = made(account=account, standing=wallet())
    assert found.options == ()
    assert found.possible == said


def test_perps_add_margin_or_reduce() -> None:
    """Short 0.5 BTC at 61,000: 20 % higher the margin is 5,000 - 6,600 - 366, so 1,966 are missing."""
    found = made(account=PERP, distance="0.2")
    assert [(each.means, each.asset) for each in found.options] == [(Means.ADD_MARGIN, "USDC"), (Means.REDUCE, "BTC")]
    margin, reduce = found.options
    assert margin.amount == 1_966
    assert margin.distance_after == d("0.2")
    assert reduce.distance_after is not None
    assert d("0.2") <= reduce.distance_after < d("0.2004")
    assert any("reduce-only" in blocker for blocker in reduce.blockers)


def test_a_perp_with_spot_funds_is_ready_without_gas() -> None:
    standing = Standing(
        "hl",
        PORTFOLIO.as_of_ns,
        (Facility("USDC", frozenset({Means.ADD_MARGIN}), "USDC", 6),),
        (Funds("USDC", d(3_000), "spot"),),
        {Means.ADD_MARGIN: Tariff(d(0), d(1))},
        None,
        "agent",
    )
    found = made(account=PERP, distance="0.2", standing=standing)
    assert found.options[0].ready
    assert found.options[0].steps == ("add 1966 USDC of margin from spot",)
    assert readiness(found) == "ready"


def test_a_broker_is_told_how_much_to_deposit() -> None:
    """50,000 of SPY at 25 %: health 3 needs equity 37,500, there are 30,000."""
    found = made("3", account=BROKER, standing=Standing("ib", PORTFOLIO.as_of_ns))
    deposit = next(each for each in found.options if each.means is Means.DEPOSIT)
    assert deposit.amount == 7_500
    assert any("not sent from here" in blocker for blocker in deposit.blockers)
    assert only(found, Means.REDUCE, "SPY").amount == d(20) + 1
    assert found.options[0] == deposit


@settings(max_examples=150, deadline=None)
@given(loans(), st.integers(101, 400))
def test_a_plan_reaches_its_target_by_the_least_unit(
    drawn: tuple[Account, dict[str, AssetPrice]], percent: int
) -> None:
    account, prices = drawn
    before = assess(account, prices, NOW).health_factor
    assume(before is not None and d("0.02") < before < 100)
    assert before is not None
    target = Target(health=(before * percent / 100).quantize(d("0.001")))
    assert target.health is not None
    for option in plan(account, prices, {}, target, None, NOW).options:
        after = option.health.after
        assert after is None or after >= target.health
        if option.is_full_close or option.means not in (Means.SUPPLY, Means.REPAY):
            continue
        unit = d(1).scaleb(-(6 if option.asset == "USDC" else 8))
        moved = apply(account, option.means, option.asset, option.amount - unit)
        short = assess(moved, prices, NOW).health_factor
        assert short is not None
        assert short < target.health


def apply(account: Account, means: Means, asset: str, amount: Decimal) -> Account:
    if means is Means.SUPPLY:
        return replace(
            account,
            collateral=tuple(
                replace(leg, amount=leg.amount + amount) if leg.asset == asset else leg for leg in account.collateral
            ),
        )
    return replace(
        account,
        debt=tuple(replace(leg, amount=leg.amount - amount) if leg.asset == asset else leg for leg in account.debt),
    )


@settings(max_examples=100, deadline=None)
@given(
    amounts("100", "20000"),
    st.lists(st.tuples(amounts("-20", "20"), amounts("50", "3000")), min_size=1, max_size=4),
    st.integers(2, 60),
)
def test_margin_added_reaches_the_distance_over_tiers(
    balance: Decimal, held: list[tuple[Decimal, Decimal]], percent: int
) -> None:
    tiers = ladder_of_tiers([(0, 100), (5_000, 250), (20_000, 500)])
    positions = [
        Position(f"A{index}", quantity, tiers, mark, mark)
        for index, (quantity, mark) in enumerate(held)
        if abs(quantity) > d("0.01")
    ]
    account, distance = perp(str(balance), *positions), d(percent) / 100
    found = plan(account, {}, {}, Target(distance=distance), None, NOW)
    marks = {each.asset: each.mark_price for each in positions if each.mark_price is not None}
    for option in found.options:
        if option.means is not Means.ADD_MARGIN:
            continue
        moved = replace(account, balance=account.balance + option.amount)
        points = liquidation_points(solvency_of(moved), marks)
        assert all(each.distance is None or each.distance >= distance * d("0.999999") for each in points.values())
        short = replace(account, balance=account.balance + option.amount - d("0.000001"))
        points = liquidation_points(solvency_of(short), marks)
        assert any(each.distance is not None and each.distance < distance for each in points.values())


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 30_000),
    st.integers(0, 10),
    st.integers(0, 100),
    st.integers(0, 20_000),
    st.booleans(),
    st.integers(105, 300),
)
def test_ready_means_that_nothing_is_short(
    usdc: int, eth: int, gas_permille: int, cap: int, signs: bool, percent: int
) -> None:
    held = (replace(wallet().funds[0], amount=d(eth)), replace(wallet().funds[1], amount=d(usdc)))
    standing = wallet(funds=held, gas_balance=d(gas_permille) / 1000, signer="rescue" if signs else "")
    found = made(str(d("1.3834") * percent / 100), standing, caps=Caps(d(cap)))
    for option in found.options:
        assert option.ready == (not option.blockers)
        if option.ready:
            assert signs
            assert gas_permille >= 2
            assert option.value_usd is not None
            assert option.value_usd <= cap
            assert option.funds is not None
            assert option.amount <= option.funds.amount
        if option.means in (Means.DELEVERAGE, Means.REDUCE):
            assert not option.ready
    readies = [each.ready for each in found.options]
    assert readies == sorted(readies, reverse=True)


def test_figures_that_others_computed() -> None:
    """Closed forms of the risk cases, without interest: to the last unit of what a document's amounts can say."""
    cases = {each["name"]: each for each in json.loads((TOPUPS / "loans.json").read_text())}
    figures = json.loads((TOPUPS / "topups.json").read_text())
    assert len(figures) == 13
    for each in figures:
        case = cases[each["name"]]
        account, prices = risk_case(case)
        found = plan(account, prices, {}, Target(health=d(each["target"])), None, NOW, swap_cost=d(each["cost"]))
        first = next(iter(case["collateral"]))
        supply = only(found, Means.SUPPLY, first)
        assert close(supply.amount, d(each["supply_value"]) / d(case["prices"][first]))
        for option in found.options:
            value = option.amount * d(case["prices"][option.asset])
            if option.means is Means.REPAY and not option.is_full_close:
                assert close(value, d(each["repay_value"]))
            sold = each["delever_asset"]
            if option.means is Means.DELEVERAGE and option.asset == sold and option.steps[0].startswith("sell"):
                assert close(value, d(each["delever_gross_value"]))


def risk_case(case: Mapping[str, Any]) -> tuple[Account, dict[str, AssetPrice]]:
    collateral = {asset: (amount, case["lt"][asset]) for asset, amount in case["collateral"].items()}
    prices = {asset: price(text, stable=asset == "USDC") for asset, text in case["prices"].items()}
    return loan(collateral, case["debt"]), prices


def close(ours: Decimal, theirs: Decimal) -> bool:
    """Return whether ours is theirs, rounded up to a unit of at most 0.00000001 tokens worth 110,000."""
    return theirs * (1 - d("1e-9")) <= ours <= theirs * (1 + d("1e-9")) + d("0.0012")


def test_standing_targets_leave_the_danger_behind() -> None:
    assert standing_target(Kind.LOAN, DEFAULT_LADDERS[Kind.LOAN]) == Target(health=d("1.53"))
    assert standing_target(Kind.BROKER, DEFAULT_LADDERS[Kind.BROKER]) == Target(health=d("1.275"))
    assert standing_target(Kind.PERP, DEFAULT_LADDERS[Kind.PERP]) == Target(distance=d("0.2"))


def standing_of(account: Account, standing: Standing | None, **more: Any) -> Plan:
    judged = assess(account, PORTFOLIO.prices, PORTFOLIO.as_of_ns, consensus_of=AGREED)
    ladder = DEFAULT_LADDERS[account.kind]
    return standing_plan(account, judged, ladder, PORTFOLIO.prices, AGREED, standing, PORTFOLIO.as_of_ns, **more)


def test_the_standing_plan_goes_as_far_as_funds_and_caps_reach() -> None:
    rich = standing_of(MAIN, wallet())
    assert rich.target == Target(health=d("1.53"))
    assert readiness(rich) == "needs approve"
    capped = standing_of(MAIN, wallet(), caps=Caps(d(500)))
    assert capped.target.health is not None
    assert d("1.43") < capped.target.health < d("1.4311")
    assert capped.options[0].ready
    assert capped.options[0].value_usd is not None
    assert d(490) < capped.options[0].value_usd <= 500
    assert "repaying 500 USDC" in capped.possible
    broke = standing_of(MAIN, wallet(funds=()))
    assert broke.target == Target(health=d("1.53"))
    assert readiness(broke) == "source empty"


def test_an_account_out_of_danger_needs_no_standing_plan() -> None:
    calm = replace(MAIN, debt=(replace(MAIN.debt[0], amount=d(5_000)),))
    found = standing_of(calm, wallet())
    assert found.options == ()
    assert readiness(found) == "not needed"
    assert readiness(None) == "no rescue known"
    assert readiness(standing_of(PERP, None)) == "no rescue known"
    assert readiness(standing_of(BROKER, None)) == "not needed"


def test_a_broker_in_danger_is_rescued_by_hand() -> None:
    low = replace(BROKER, balance=d(-36_000))
    found = standing_of(low, Standing("ib", PORTFOLIO.as_of_ns, signer="x"))
    assert found.options
    assert readiness(found) == "by hand"
