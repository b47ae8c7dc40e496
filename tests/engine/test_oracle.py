import pytest

from engine.assessment import Due
from engine.oracle import divergence_bps, divergence_in_thresholds, lateness, market_price, next_print
from engine.prices import AssetPrice, Consensus, OracleLeg, OraclePrice
from tests.engine.portfolios import NOW, SECOND, agreed, d, oracle, quote

NOTHING: dict[str, AssetPrice] = {}
STABLE = {"USDC": AssetPrice(stable=True)}


def test_divergence_is_positive_when_the_market_is_above_the_oracle() -> None:
    assert divergence_bps(d("2478.2"), d(2500)) == d("-87.2")
    assert divergence_bps(d(2525), d(2500)) == 100


def test_divergence_in_thresholds_is_a_size_and_needs_a_threshold() -> None:
    assert divergence_in_thresholds(d("2478.2"), oracle("2500", bps=50)) == d("1.744")
    assert divergence_in_thresholds(d("2478.2"), oracle("2500")) is None


@pytest.mark.parametrize(
    ("market", "due"),
    [("2487.5", Due.DEVIATION), ("2487.51", None), ("2512.5", Due.DEVIATION), ("2512.4", None), ("2500", None)],
)
def test_a_print_is_due_at_the_deviation_threshold_exactly(market: str, due: Due | None) -> None:
    printed = next_print("ETH", oracle("2500", age_s=60, heartbeat_s=3600, bps=50), NOTHING, agreed({"ETH": market}))
    assert printed.due is due
    assert printed.price == (d(market) if due else d(2500))


@pytest.mark.parametrize(("age_s", "due"), [(3599, None), (3600, Due.HEARTBEAT), (9000, Due.HEARTBEAT)])
def test_a_print_is_due_at_the_heartbeat_exactly(age_s: int, due: Due | None) -> None:
    printed = next_print("ETH", oracle("2500", age_s=age_s, heartbeat_s=3600, bps=50), NOTHING, agreed({"ETH": "2499"}))
    assert printed.due is due
    assert printed.price == (d(2499) if due else d(2500))


def test_deviation_is_named_before_the_heartbeat() -> None:
    printed = next_print("ETH", oracle("2500", age_s=9999, heartbeat_s=3600, bps=50), NOTHING, agreed({"ETH": "2400"}))
    assert (printed.due, printed.price) == (Due.DEVIATION, 2400)


def test_without_a_consensus_the_next_print_is_unknown() -> None:
    rule = oracle("2500", age_s=60, heartbeat_s=3600, bps=50)
    assert next_print("ETH", rule, NOTHING, {}).reason == "no venue quotes ETH"
    disagree = {"ETH": Consensus(None, reason="venues disagree")}
    told = next_print("ETH", rule, NOTHING, disagree)
    assert (told.due, told.price, told.reason) == (None, None, "no consensus on ETH: venues disagree")


def test_without_any_update_rule_the_next_print_is_unknown() -> None:
    told = next_print("ETH", oracle("2500", age_s=60), NOTHING, agreed({"ETH": "2400"}))
    assert (told.price, told.reason) == (None, "update rule of the ETH oracle unknown")


def test_a_stable_asset_without_quotes_or_rule_is_not_due() -> None:
    told = next_print("USDC", oracle("1"), STABLE, {})
    assert (told.due, told.price, told.reason) == (None, 1, "")


def composite(ratio: str = "1.2") -> OraclePrice:
    base = OracleLeg(d(2500), "ETH", NOW - 60 * SECOND, d(3600), d(50), "ETH / USD")
    return OraclePrice(d(2500) * d(ratio), as_of_ns=NOW, legs=(base, OracleLeg(d(ratio), description="wstETH rate")))


def test_a_composite_prints_per_leg_and_its_rate_stays() -> None:
    quiet = next_print("wstETH", composite(), NOTHING, agreed({"ETH": "2495"}))
    assert (quiet.due, quiet.price) == (None, 3000)
    due = next_print("wstETH", composite(), NOTHING, agreed({"ETH": "2400"}))
    assert (due.due, due.price) == (Due.DEVIATION, 2880)


def test_only_the_legs_that_are_due_print() -> None:
    fresh = OracleLeg(d(2500), "ETH", NOW - 60 * SECOND, d(3600), d(50))
    old = OracleLeg(d("0.001"), "FOO", NOW - 90_000 * SECOND, d(86_400), d(200))
    price = OraclePrice(d("2.5"), as_of_ns=NOW, legs=(fresh, old))
    told = next_print("FOOETH", price, NOTHING, agreed({"ETH": "2495", "FOO": "0.00101"}))
    assert told.due is Due.HEARTBEAT
    assert told.price == d(2500) * d("0.00101")


def test_a_composite_with_an_unquoted_leg_is_unknown() -> None:
    told = next_print("wstETH", composite(), NOTHING, {})
    assert (told.price, told.reason) == (None, "no venue quotes ETH")


def test_the_market_price_is_the_assets_own_consensus_before_its_legs() -> None:
    market = market_price("wstETH", d(3000), composite(), NOTHING, agreed({"ETH": "2495", "wstETH": "3090"}))
    assert (market.price, market.assumed) == (3090, ())


def test_without_its_own_consensus_a_composite_is_the_product_of_its_legs() -> None:
    market = market_price("wstETH", d(3000), composite(), NOTHING, agreed({"ETH": "2495"}))
    assert (market.price, market.assumed) == (2994, ("wstETH rate",))


def test_a_stable_asset_is_assumed_only_while_nobody_quotes_it() -> None:
    assert market_price("USDC", d(1), oracle("1"), STABLE, {}).assumed == ("USDC",)
    quoted = {"USDC": AssetPrice(quotes=(quote("kraken", "0.91", spread="0"),), stable=True)}
    told = market_price("USDC", d(1), oracle("1"), quoted, {"USDC": Consensus(None, reason="1 of 2 venues usable")})
    assert told.price is None
    assert told.reason == "no consensus on USDC: 1 of 2 venues usable"


@pytest.mark.parametrize(
    ("age_s", "heartbeat_s", "late"),
    [(3720, 3600, False), (3961, 3600, True), (3960, 3600, False), (720, 600, False), (721, 600, True)],
)
def test_late_is_beyond_the_heartbeat_by_a_tenth_or_two_minutes(age_s: int, heartbeat_s: int, late: bool) -> None:
    reason = lateness("ETH", oracle("2500", age_s=age_s, heartbeat_s=heartbeat_s), NOW)
    assert reason == (f"ETH oracle is late: {age_s}s old, heartbeat {heartbeat_s}s" if late else "")


def test_a_late_leg_makes_the_composite_late() -> None:
    leg = OracleLeg(d(2500), "ETH", NOW - 9000 * SECOND, d(3600))
    assert "9000s old" in lateness("wstETH", OraclePrice(d(3000), as_of_ns=NOW, legs=(leg,)), NOW)


def test_without_a_block_time_age_counts_against_the_clock() -> None:
    bare = OraclePrice(d(1), updated_at_ns=NOW - 9000 * SECOND, heartbeat_s=d(3600))
    assert "late" in lateness("ETH", bare, NOW)
