"""Plans over the contract's own integers: per-revision rounding, and targets reached by the least unit."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.aave import AaveHolding, AaveReserve, AaveUser, account_data, debt_balance, supply_balance
from engine.aave_ledger import AaveLedger
from engine.aave_math import RAY, AaveVersion
from engine.accounts import Account, Collateral, Debt, Kind
from engine.plan_case import LANDING_S
from engine.plans import plan
from engine.prices import AssetPrice, OraclePrice
from engine.rescue import Facility, Funds, Means, Plan, Standing, Target, Tariff

SECOND_NS = 1_000_000_000
BLOCK_S = 1_700_000_000
ASSETS = ("ETH", "BTC", "LINK", "USDC")
DECIMALS = {"ETH": 18, "BTC": 8, "LINK": 18, "USDC": 6}
PRICES = {"ETH": 2_500, "BTC": 60_000, "LINK": 15, "USDC": 1}
OLD, NEW = AaveVersion.V3_0, AaveVersion.V3_6


def reserve(asset: str, *, threshold: int = 8_000, index: int = RAY, rate: int = 0, age_s: int = 0) -> AaveReserve:
    return AaveReserve(
        asset,
        ASSETS.index(asset),
        DECIMALS[asset],
        PRICES[asset] * 10**8,
        threshold - 300,
        threshold,
        10_500,
        index,
        index + RAY // 50,
        rate // 2,
        rate,
        BLOCK_S - age_s,
    )


def account(ledger: AaveLedger) -> Account:
    """Return the account as a provider makes it from a ledger."""
    collateral = tuple(
        Collateral(leg.reserve.asset, Decimal(leg.supplied).scaleb(-leg.reserve.decimals), Decimal(8) / 10)
        for leg in ledger.legs
        if leg.supplied
    )
    debt = tuple(
        Debt(leg.reserve.asset, Decimal(leg.owed).scaleb(-leg.reserve.decimals)) for leg in ledger.legs if leg.owed
    )
    oracles = {leg.reserve.asset: OraclePrice(Decimal(leg.price).scaleb(-8)) for leg in ledger.legs}
    return Account("main", Kind.LOAN, collateral=collateral, debt=debt, oracles=oracles, ledger=ledger)


def rich(*assets: str, **more: object) -> Standing:
    """Return a standing in which everything that is asked for is there."""
    base = Standing(
        "main",
        BLOCK_S * SECOND_NS,
        tuple(
            Facility(
                asset,
                frozenset({Means.SUPPLY, Means.REPAY}),
                f"0x{asset}",
                DECIMALS[asset],
                liquidation_threshold=Decimal("0.7"),
                price=Decimal(PRICES[asset]),
            )
            for asset in assets
        ),
        tuple(Funds(asset, Decimal(10) ** 12, "rescue", allowance=Decimal(0)) for asset in assets),
        dict.fromkeys((Means.SUPPLY, Means.REPAY), Tariff(Decimal(1), Decimal(24), Decimal("0.001"))),
        Decimal(1),
        "rescue",
        7,
    )
    return replace(base, **more)  # type: ignore[arg-type]  # fields by name


def made(ledger: AaveLedger, target: Target, standing: Standing | None) -> Plan:
    return plan(account(ledger), {"USDC": AssetPrice(stable=True)}, {}, target, standing, BLOCK_S * SECOND_NS)


def landed(ledger: AaveLedger, means: Means, asset: str, units: int, later_s: int) -> int:
    """Return the contract's health after the amount moved `later_s` on."""
    if means is Means.SUPPLY:
        new = [AaveReserve(asset, 99, DECIMALS[asset], PRICES[asset] * 10**8, 7_000, 7_000, 10_500, RAY, RAY, 0, 0, 0)]
        held = {holding.reserve.asset for holding in ledger.user.holdings}
        moved = ledger.changed(
            supplied={asset: units}, later_s=later_s, enabled=(asset,), listed=() if asset in held else new
        )
    else:
        moved = ledger.changed(repaid={asset: units}, later_s=later_s)
    return account_data(moved.user).health_factor_wad


@st.composite
def users(draw: st.DrawFn) -> AaveUser:
    """Return a user of any revision with up to three collaterals and two debts, somewhat above liquidation."""
    version = draw(st.sampled_from(list(AaveVersion)))
    held = draw(st.lists(st.sampled_from(ASSETS), min_size=1, max_size=3, unique=True))
    owed = draw(st.lists(st.sampled_from(ASSETS), min_size=1, max_size=2, unique=True))
    reserves = {
        asset: reserve(
            asset,
            threshold=draw(st.integers(5_000, 9_300)),
            index=RAY + draw(st.integers(0, RAY)),
            rate=draw(st.integers(0, RAY // 2)),
            age_s=draw(st.integers(0, 100_000)),
        )
        for asset in {*held, *owed}
    }
    supplies = {asset: draw(st.integers(500, 500_000)) for asset in held}
    debts = {asset: draw(st.integers(100, 100_000)) for asset in owed}
    holdings = tuple(
        AaveHolding(
            each,
            scaled_supply=supplies.get(asset, 0) * 10 ** DECIMALS[asset] // PRICES[asset],
            scaled_debt=debts.get(asset, 0) * 10 ** DECIMALS[asset] // PRICES[asset],
            is_collateral=asset in supplies,
            is_borrowing=asset in debts,
        )
        for asset, each in reserves.items()
    )
    return AaveUser(version, BLOCK_S, 10**8, holdings)


@settings(max_examples=120, deadline=None)
@given(users(), st.integers(101, 300), st.integers(0, LANDING_S))
def test_a_plan_reaches_its_health_whenever_it_lands_and_by_less_than_half_a_percent(
    user: AaveUser, percent: int, later_s: int
) -> None:
    ledger = AaveLedger(user)
    now = account_data(user).health_factor_wad
    target = (Decimal(now) / 10**18 * percent / 100).quantize(Decimal("0.0001"))
    if not Decimal("0.01") < target < 50:
        return
    wanted = int(target.scaleb(18))
    found = made(ledger, Target(health=target), rich(*ASSETS))
    assert found.options
    for option in found.options:
        if option.means not in (Means.SUPPLY, Means.REPAY) or option.is_full_close:
            continue
        units = option.amount_units
        assert units is not None
        assert option.amount == Decimal(units).scaleb(-DECIMALS[option.asset])
        reached = landed(ledger, option.means, option.asset, units, later_s)
        assert reached >= wanted
        assert reached <= wanted * 1005 // 1000


@settings(max_examples=60, deadline=None)
@given(users(), st.integers(105, 200))
def test_a_little_less_misses_the_target(user: AaveUser, percent: int) -> None:
    if user.version < AaveVersion.V3_5:
        user = replace(user, version=AaveVersion.V3_5)
    ledger = AaveLedger(user)
    target = (Decimal(account_data(user).health_factor_wad) / 10**18 * percent / 100).quantize(Decimal("0.0001"))
    if not Decimal("0.01") < target < 50:
        return
    for option in made(ledger, Target(health=target), rich(*ASSETS)).options:
        units = option.amount_units
        if option.means not in (Means.SUPPLY, Means.REPAY) or option.is_full_close or units is None:
            continue
        held = {holding.reserve.asset for holding in user.holdings}
        if option.means is Means.SUPPLY and option.asset not in held:
            continue
        short = [
            landed(ledger, option.means, option.asset, units * 99 // 100 - 10, later_s) for later_s in (0, LANDING_S)
        ]
        assert min(short) < int(target.scaleb(18))


@settings(max_examples=60, deadline=None)
@given(users(), st.integers(5, 60))
def test_a_plan_reaches_its_distance_by_the_contracts_own_liquidation_prices(user: AaveUser, percent: int) -> None:
    ledger, distance = AaveLedger(user), Decimal(percent) / 100
    if account_data(user).health_factor_wad < 10**18:
        return
    for option in made(ledger, Target(distance=distance), rich(*ASSETS)).options:
        if option.means not in (Means.SUPPLY, Means.REPAY) or option.is_full_close or option.amount_units is None:
            continue
        if option.means is Means.SUPPLY and option.asset not in {leg.reserve.asset for leg in ledger.legs}:
            continue
        key = "supplied" if option.means is Means.SUPPLY else "repaid"
        extra = {"enabled": (option.asset,)} if option.means is Means.SUPPLY else {}
        after = ledger.changed(**{key: {option.asset: option.amount_units}}, later_s=60, **extra)  # type: ignore[arg-type]
        for leg in after.legs:
            asset = leg.reserve.asset
            price = after.liquidation_price(asset)
            now = Decimal(leg.price).scaleb(-8)
            if price is not None and (asset != "USDC" or len(after.legs) == 1):
                assert abs(price - now) / now >= distance * Decimal("0.9998")


@settings(max_examples=80, deadline=None)
@given(users(), st.integers(0, 3_000))
def test_a_full_repayment_leaves_nothing_and_more_than_all_changes_nothing(user: AaveUser, later_s: int) -> None:
    ledger = AaveLedger(user)
    for holding in user.holdings:
        if not holding.is_borrowing:
            continue
        asset = holding.reserve.asset
        owed = debt_balance(user.version, holding, user.timestamp_s + later_s)
        exact = ledger.changed(repaid={asset: owed}, later_s=later_s)
        assert all(leg.owed == 0 for leg in exact.legs if leg.reserve.asset == asset)
        assert exact == ledger.changed(repaid={asset: owed + 10**20}, later_s=later_s)
        if owed > 2:
            some = ledger.changed(repaid={asset: owed - 2}, later_s=later_s)
            assert any(leg.owed for leg in some.legs if leg.reserve.asset == asset)


@settings(max_examples=80, deadline=None)
@given(users(), st.integers(0, 3_000), st.integers(1, 10**21))
def test_what_is_supplied_is_there_to_within_two_units(user: AaveUser, later_s: int, amount: int) -> None:
    ledger = AaveLedger(user)
    for holding in user.holdings:
        asset = holding.reserve.asset
        before = supply_balance(user.version, holding, user.timestamp_s + later_s)
        after = ledger.changed(supplied={asset: amount}, later_s=later_s)
        now = next(leg.supplied for leg in after.legs if leg.reserve.asset == asset)
        assert amount - 2 <= now - before <= (amount if user.version >= AaveVersion.V3_5 else amount + 2)


def worked(version: AaveVersion) -> AaveLedger:
    """Ten ETH at 2,500 and threshold 0.80 against 15,000 USDC: health 1.3333."""
    eth = AaveHolding(reserve("ETH"), scaled_supply=10**19, is_collateral=True)
    usdc = AaveHolding(
        replace(reserve("USDC"), variable_borrow_index_ray=RAY), scaled_debt=15_000 * 10**6, is_borrowing=True
    )
    return AaveLedger(AaveUser(version, BLOCK_S, 10**8, (eth, usdc)))


@pytest.mark.parametrize("version", list(AaveVersion))
def test_the_worked_example_needs_these_units_and_no_more_than_rounding(version: AaveVersion) -> None:
    """X = (1.6 x 15,000 - 20,000) / 0.8 = 5,000 USD = 2 ETH; Y = 15,000 - 20,000 / 1.6 = 2,500 USDC."""
    found = {
        (each.means, each.asset): each.amount_units
        for each in made(worked(version), Target(health=Decimal("1.6")), rich("ETH", "USDC")).options
        if not each.is_full_close
    }
    repaid, supplied = found[Means.REPAY, "USDC"], found[Means.SUPPLY, "ETH"]
    assert repaid is not None
    assert supplied is not None
    assert 2_500 * 10**6 <= repaid <= 2_500 * 10**6 + 8
    # One unit of USDC more of debt is 0.000001 x 1.6 / 0.8 USD, 8e8 wei of ETH; old pools round half up.
    assert -(10**8) <= supplied - 2 * 10**18 <= 2 * 10**9


def test_the_rounding_of_a_mint_and_a_burn_follows_the_revision() -> None:
    index = RAY * 3 // 2
    for version, minted, burnt in ((OLD, 67, 67), (NEW, 66, 66)):
        eth = AaveHolding(reserve("ETH", index=index), scaled_supply=1_000, is_collateral=True)
        usdc = replace(reserve("USDC"), variable_borrow_index_ray=index)
        owed = AaveHolding(usdc, scaled_debt=1_000, is_borrowing=True)
        after = AaveLedger(AaveUser(version, BLOCK_S, 10**8, (eth, owed))).changed(
            supplied={"ETH": 100}, repaid={"USDC": 100}
        )
        assert after.user.holdings[0].scaled_supply == 1_000 + minted
        assert after.user.holdings[1].scaled_debt == 1_000 - burnt


def test_a_first_supply_counts_by_itself_unless_its_ltv_is_zero() -> None:
    for ltv, counts in ((7_500, True), (0, False)):
        link = replace(reserve("LINK"), ltv_bps=ltv)
        user = replace(worked(NEW).user, holdings=(*worked(NEW).user.holdings, AaveHolding(link)))
        after = AaveLedger(user).changed(supplied={"LINK": 10**20})
        assert after.user.holdings[2].is_collateral is counts
        assert AaveLedger(user).changed(supplied={"LINK": 10**20}, enabled=("LINK",)).user.holdings[2].is_collateral


def test_a_withdrawal_takes_what_is_there_and_no_more() -> None:
    after = worked(NEW).changed(withdrawn={"ETH": 4 * 10**18})
    assert after.legs[0].supplied == 6 * 10**18
    gone = worked(OLD).changed(withdrawn={"ETH": 10**20})
    assert gone.legs[0].supplied == 0
    assert not gone.user.holdings[0].is_collateral


def test_an_unknown_reserve_cannot_be_moved() -> None:
    with pytest.raises(ValueError, match="no reserve of DOGE"):
        worked(NEW).changed(supplied={"DOGE": 1})


def test_a_debt_that_the_token_itself_tells_grows_and_is_repaid() -> None:
    usdc = AaveHolding(reserve("USDC", rate=RAY // 10), scaled_debt=10**9, is_borrowing=True, debt_balance=10**9)
    ledger = AaveLedger(replace(worked(AaveVersion.V3_3).user, holdings=(worked(NEW).user.holdings[0], usdc)))
    later = ledger.changed(repaid={"USDC": 4 * 10**8}, later_s=31_536_000)
    assert 7 * 10**8 < later.legs[1].owed < 71 * 10**7
    assert ledger.changed(repaid={"USDC": 10**9}).legs[1].owed == 0


def test_a_contract_that_says_less_than_our_arithmetic_is_believed() -> None:
    ledger = replace_reported(worked(NEW), 13 * 10**17)
    found = made(ledger, Target(health=Decimal("1.6")), rich("USDC")).options
    repay = next(each for each in found if each.means is Means.REPAY and not each.is_full_close)
    assert repay.amount > Decimal(2_800)


def replace_reported(ledger: AaveLedger, wad: int) -> AaveLedger:
    return AaveLedger(ledger.user, wad)


def test_interest_of_a_quiet_chain_is_added_but_not_that_of_another_clock() -> None:
    usdc = AaveHolding(reserve("USDC", rate=RAY), scaled_debt=15_000 * 10**6, is_borrowing=True)
    ledger = AaveLedger(replace(worked(NEW).user, holdings=(worked(NEW).user.holdings[0], usdc)))
    amounts = []
    for behind_s in (0, 3_600, 10**7):
        now_ns = (BLOCK_S + behind_s) * SECOND_NS
        standing = rich("USDC", read_at_ns=now_ns)
        found = plan(account(ledger), {}, {}, Target(health=Decimal(2)), standing, now_ns, means=Means.REPAY)
        amounts.append(next(each.amount for each in found.options if not each.is_full_close))
    assert amounts[1] > amounts[0] == amounts[2]
