"""Events in, snapshots out: judged, aged, alarmed; no loop, no I/O, and time only as an argument."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from math import inf

import pytest

import desk.accounts
import desk.roster
from desk.actions import ActionState, Stage
from desk.events import (
    Acknowledged,
    Acted,
    Backfilled,
    ClockTicked,
    Delivered,
    Event,
    Idled,
    Linked,
    Readied,
    VolatilityLearned,
)
from desk.settings import DeskSettings
from desk.snapshot import Snapshot
from desk.sources import ACCOUNT, PRICES
from desk.state import LiveState
from engine.accounts import Account, Collateral, Debt, Kind
from engine.alerts import Alert, AlertPhase, AlertPolicy, AlertRule, feed_key, key_of
from engine.assessment import Due, Severity
from engine.prices import OracleLeg, OraclePrice
from engine.severity import Ladder
from providers.ports import LinkState, Reading
from tests.doubles import SECOND_NS, START_NS, link, loan, oracle, perp, reading, tick

VENUES = {"binance": 10.0, "kraken": 10.0}


class Bench:
    """A live state with a clock that the test moves."""

    def __init__(self, settings: DeskSettings | None = None, sources: dict[str, float] | None = None) -> None:
        self.now_ns = START_NS
        budgets = {"main": 30.0, "hl": 10.0} if sources is None else sources
        self.state = LiveState(settings or DeskSettings(), budgets, VENUES, START_NS)

    def apply(self, *events: Event) -> Snapshot:
        for event in events:
            self.state.apply(event, self.now_ns)
        return self.state.settle(self.now_ns)

    def quote(self, asset: str, mid: str) -> Snapshot:
        return self.apply(*(tick(venue, asset, mid, at_ns=self.now_ns) for venue in VENUES))

    def wait(self, seconds: float) -> Snapshot:
        """Let time pass in steps of a second, as the desk does."""
        for _ in range(int(seconds)):
            self.now_ns += SECOND_NS
            self.state.apply(ClockTicked(), self.now_ns)
        return self.state.settle(self.now_ns)


def alert(snapshot: Snapshot, key: str) -> Alert | None:
    return next((each for each in snapshot.alerts if each.key == key), None)


def severity(snapshot: Snapshot, name: str) -> Severity:
    return snapshot.accounts[name].assessment.severity


def test_the_first_snapshot_is_empty_and_names_every_source() -> None:
    snapshot = Bench().state.snapshot
    assert snapshot.accounts == {}
    assert [(source.kind, source.name, source.state) for source in snapshot.sources] == [
        (ACCOUNT, "main", LinkState.CONNECTING),
        (ACCOUNT, "hl", LinkState.CONNECTING),
        (PRICES, "binance", LinkState.CONNECTING),
        (PRICES, "kraken", LinkState.CONNECTING),
    ]


def test_a_reading_is_judged_and_makes_its_source_live() -> None:
    snapshot = Bench().apply(reading("main", loan()))
    state = snapshot.accounts["main"]
    assert state.assessment.severity is Severity.WARN
    assert state.assessment.severity_because == "health_factor 1.3833 < 1.5"
    assert state.health_history == ((START_NS, pytest.approx(1.38333333)),)
    assert snapshot.sources[0].state is LinkState.LIVE
    assert snapshot.sources[0].updated_at_ns == START_NS
    assert snapshot.sequence == 1


def test_settling_without_news_gives_back_the_same_snapshot() -> None:
    bench = Bench()
    snapshot = bench.apply(reading("main", loan()))
    assert bench.state.settle(START_NS) is snapshot


def test_every_second_makes_a_snapshot_while_something_is_expected() -> None:
    bench = Bench()
    snapshot = bench.apply(reading("main", loan()))
    assert not snapshot.is_resting
    assert bench.wait(1).sequence == snapshot.sequence + 1


def test_a_desk_whose_sources_have_nothing_more_to_say_rests() -> None:
    state = LiveState(DeskSettings(), {"main": inf}, {}, START_NS)
    assert not state.snapshot.is_resting
    state.apply(reading("main", loan()), START_NS)
    snapshot = state.settle(START_NS)
    assert snapshot.is_resting
    state.apply(ClockTicked(), START_NS + 3600 * SECOND_NS)
    assert state.settle(START_NS + 3600 * SECOND_NS) is snapshot
    state.apply(Linked(ACCOUNT, "main", link("main", LinkState.DOWN)), START_NS)
    assert not state.settle(START_NS).is_resting


def test_ladders_of_the_account_win_over_those_of_the_source_and_of_the_kind() -> None:
    strict = Ladder(health=(Decimal(9), Decimal(8), Decimal(7)))
    lax = Ladder(health=(Decimal("1.02"), Decimal("1.01"), Decimal("1.005")))
    settings = DeskSettings(account_ladders={"main": strict, "main:b": lax})
    snapshot = Bench(settings).apply(reading("main", loan("main:a"), loan("main:b")))
    assert severity(snapshot, "main:a") is Severity.DANGER
    assert severity(snapshot, "main:b") is Severity.SAFE


def test_a_market_tick_moves_health_at_market_and_leaves_the_trigger_side() -> None:
    bench = Bench()
    bench.apply(reading("main", loan()))
    bench.quote("USDC", "1")
    before = bench.quote("ETH", "2490").accounts["main"].assessment
    after = bench.quote("ETH", "2400").accounts["main"].assessment
    assert before.at_market is not None
    assert after.at_market is not None
    assert before.at_market.health_factor == Decimal("1.3778")
    assert after.at_market.health_factor == Decimal("1.328")
    assert replace(after, at_market=None, at_next_oracle=None) == replace(before, at_market=None, at_next_oracle=None)


def test_an_older_snapshot_keeps_its_prices_when_looked_at_later() -> None:
    bench = Bench()
    bench.apply(reading("main", loan()), tick("binance", "USDC", "1"), tick("kraken", "USDC", "1"))
    former = bench.quote("ETH", "2490")
    bench.quote("ETH", "2400").accounts["main"]
    market = former.accounts["main"].assessment.at_market
    assert market is not None
    assert market.health_factor == Decimal("1.3778")


def test_looking_twice_computes_once() -> None:
    bench = Bench()
    snapshot = bench.apply(reading("main", loan()))
    assert snapshot.accounts["main"] is snapshot.accounts["main"]
    assert bench.quote("BTC", "61000").accounts["main"] is snapshot.accounts["main"]


def test_a_reading_that_is_older_than_the_last_is_ignored() -> None:
    bench = Bench()
    bench.apply(reading("main", loan(price="2500"), at_ns=START_NS))
    snapshot = bench.apply(reading("main", loan(price="9"), at_ns=START_NS - 1))
    assert severity(snapshot, "main") is Severity.WARN


def test_an_account_without_a_fresh_reading_is_unknown_and_keeps_its_figures() -> None:
    bench = Bench()
    bench.apply(reading("main", loan()))
    assert severity(bench.wait(30), "main") is Severity.WARN
    snapshot = bench.wait(1)
    state = snapshot.accounts["main"]
    assert state.is_stale
    assert state.assessment.severity is Severity.UNKNOWN
    assert state.assessment.last_known is Severity.WARN
    assert state.assessment.health_factor is not None
    assert state.assessment.severity_because == "stale: no reading for over 30 s"
    assert state.health_history[-1] == (START_NS + 31 * SECOND_NS, None)
    assert snapshot.sources[0].state is LinkState.STALE
    assert "main: stale: no reading for over 30 s" in snapshot.degraded


def test_a_new_reading_brings_a_stale_account_back() -> None:
    bench = Bench()
    bench.apply(reading("main", loan()))
    bench.wait(40)
    snapshot = bench.apply(reading("main", loan(), at_ns=bench.now_ns))
    assert severity(snapshot, "main") is Severity.WARN
    assert not snapshot.accounts["main"].is_stale
    assert snapshot.sources[0].state is LinkState.LIVE
    assert not any(reason.startswith("main") for reason in snapshot.degraded)


def test_a_silent_market_leaves_the_trigger_side_known() -> None:
    bench = Bench()
    bench.apply(reading("main", loan()))
    bench.quote("USDC", "1")
    bench.quote("ETH", "2490")
    bench.wait(20)
    snapshot = bench.apply(reading("main", loan(), at_ns=bench.now_ns))
    assessment = snapshot.accounts["main"].assessment
    assert assessment.severity is Severity.WARN
    assert assessment.at_market is None
    assert "0 of 2 venues usable" in assessment.missing["at_market"]
    assert snapshot.prices["ETH"].consensus.excluded == {"binance": "stale 20s", "kraken": "stale 20s"}


def test_a_block_that_lags_degrades_its_source_and_an_old_one_makes_the_account_unknown() -> None:
    bench = Bench(DeskSettings(block_stale_after_s=180.0))
    fresh = Reading("main", (loan(),), START_NS, block_number=7, block_time_ns=START_NS - 12 * SECOND_NS)
    snapshot = bench.apply(fresh)
    assert (snapshot.sources[0].state, snapshot.accounts["main"].block_number) == (LinkState.LIVE, 7)
    lagging = replace(fresh, observed_at_ns=START_NS + 1, block_time_ns=START_NS - 60 * SECOND_NS)
    snapshot = bench.apply(lagging)
    assert snapshot.sources[0].state is LinkState.DEGRADED
    assert snapshot.sources[0].detail == "newest block is 60 s old"
    assert severity(snapshot, "main") is Severity.WARN
    stuck = replace(fresh, observed_at_ns=START_NS + 2, block_time_ns=START_NS - 181 * SECOND_NS)
    snapshot = bench.apply(stuck)
    assert severity(snapshot, "main") is Severity.UNKNOWN
    assert snapshot.accounts["main"].assessment.severity_because == "stale: the newest block is over 180 s old"


def test_a_late_oracle_degrades_the_account_and_leaves_its_health_known() -> None:
    late = loan(ETH=oracle("2500", age_s=2 * 3600))
    snapshot = Bench().apply(reading("main", late))
    assessment = snapshot.accounts["main"].assessment
    assert assessment.severity is Severity.WARN
    assert any("ETH oracle is late" in reason for reason in assessment.degraded)
    assert any(reason.startswith("main: ETH oracle is late") for reason in snapshot.degraded)


def test_a_degraded_reading_says_so_on_source_and_account() -> None:
    snapshot = Bench().apply(reading("main", loan(), degraded=("node is 9 blocks behind",)))
    assert snapshot.sources[0].state is LinkState.DEGRADED
    assert snapshot.accounts["main"].assessment.degraded == ("node is 9 blocks behind",)


def test_severity_rises_and_falls_through_its_leave_thresholds() -> None:
    bench = Bench()
    key = key_of(AlertRule.SEVERITY, "main")
    seen = []
    for second, price in enumerate(("2800", "2700", "2720", "2770", "2700", "4000")):
        snapshot = bench.apply(reading("main", loan(price=price), at_ns=START_NS + second))
        found = alert(snapshot, key)
        assert found is not None
        seen.append((severity(snapshot, "main"), found.phase))
    firing = AlertPhase.FIRING
    assert seen == [
        (Severity.WATCH, firing),
        (Severity.WARN, firing),
        (Severity.WARN, firing),  # 1.505 is above 1.5 and not yet above its leave threshold, 1.53
        (Severity.WATCH, firing),
        (Severity.WARN, firing),
        (Severity.SAFE, AlertPhase.RESOLVED),
    ]
    assert bench.state.snapshot.bell == 1


def test_an_account_that_vanishes_is_kept_as_unknown_and_raised_once() -> None:
    bench = Bench()
    bench.apply(reading("main", loan("main:a"), loan("main:b", debt="20000")))
    key = key_of(AlertRule.VANISHED, "main:b")
    for second in range(1, 4):
        snapshot = bench.apply(reading("main", loan("main:a"), at_ns=START_NS + second))
    gone = snapshot.accounts["main:b"]
    assert gone.assessment.severity is Severity.UNKNOWN
    assert gone.assessment.last_known is Severity.DANGER
    assert gone.assessment.severity_because == "gone from its source: liquidated or closed"
    raised = alert(snapshot, key)
    assert raised is not None
    assert (raised.count, raised.escalated, raised.level) == (1, True, 3)
    severity_alert = alert(snapshot, key_of(AlertRule.SEVERITY, "main:b"))
    assert severity_alert is not None
    assert not severity_alert.is_live


def test_a_vanished_account_leaves_the_list_when_its_alert_is_acknowledged() -> None:
    bench = Bench()
    bench.apply(reading("main", loan("main:a"), loan("main:b")))
    bench.apply(reading("main", loan("main:a"), at_ns=START_NS + 1))
    snapshot = bench.apply(Acknowledged(key_of(AlertRule.VANISHED, "main:b")))
    assert list(snapshot.accounts) == ["main:a"]
    snapshot = bench.apply(reading("main", loan("main:a"), at_ns=START_NS + 2))
    assert list(snapshot.accounts) == ["main:a"]


def test_a_vanished_account_that_comes_back_is_judged_again() -> None:
    bench = Bench()
    bench.apply(reading("main", loan("main:a"), loan("main:b")))
    bench.apply(reading("main", loan("main:a"), at_ns=START_NS + 1))
    snapshot = bench.apply(reading("main", loan("main:a"), loan("main:b"), at_ns=START_NS + 2))
    assert severity(snapshot, "main:b") is Severity.WARN
    back = alert(snapshot, key_of(AlertRule.VANISHED, "main:b"))
    assert back is not None
    assert back.phase is AlertPhase.RESOLVED


def test_an_incomplete_reading_lets_nothing_vanish() -> None:
    bench = Bench()
    bench.apply(reading("main", loan("main:a"), loan("main:b")))
    partial = reading("main", loan("main:a"), at_ns=START_NS + 1, degraded=("one market did not answer",))
    assert severity(bench.apply(partial), "main:b") is Severity.WARN


def test_an_account_that_incomplete_readings_leave_out_ages_by_itself() -> None:
    bench = Bench()
    bench.apply(reading("main", loan("main:a"), loan("main:b")))
    bench.wait(31)
    partial = reading("main", loan("main:a"), at_ns=bench.now_ns, degraded=("one market did not answer",))
    snapshot = bench.apply(partial)
    assert severity(snapshot, "main:a") is Severity.WARN
    assert severity(snapshot, "main:b") is Severity.UNKNOWN


def test_a_feed_is_reported_lost_after_its_budget_of_blindness_not_on_each_flap() -> None:
    bench = Bench(DeskSettings(alerts=AlertPolicy(blind_after_ns=60 * SECOND_NS)))
    bench.apply(reading("main", loan(debt="18000")))
    key = feed_key(ACCOUNT, "main")
    for _ in range(10):
        bench.apply(Linked(ACCOUNT, "main", link("main", LinkState.DOWN, detail="connection reset")))
        bench.wait(2)
        bench.apply(reading("main", loan(debt="18000"), at_ns=bench.now_ns))
    assert alert(bench.state.snapshot, key) is None
    bench.apply(Linked(ACCOUNT, "main", link("main", LinkState.DOWN, detail="connection reset")))
    assert alert(bench.wait(59), key) is None
    lost = alert(bench.wait(1), key)
    assert lost is not None
    assert lost.text == "main: no reading for over 60 s: connection reset"
    assert lost.level == 2
    assert lost.escalated


def test_a_lost_feed_resolves_once_data_is_back_for_a_while() -> None:
    bench = Bench(DeskSettings(alerts=AlertPolicy(blind_after_ns=60 * SECOND_NS, back_after_ns=10 * SECOND_NS)))
    bench.apply(reading("main", loan()))
    bench.wait(100)
    key = feed_key(ACCOUNT, "main")
    bench.apply(reading("main", loan(), at_ns=bench.now_ns))
    found = alert(bench.wait(5), key)
    assert found is not None
    assert found.phase is AlertPhase.FIRING
    bench.apply(reading("main", loan(), at_ns=bench.now_ns))
    found = alert(bench.wait(7), key)
    assert found is not None
    assert found.phase is AlertPhase.RESOLVED


def test_a_source_that_was_never_heard_is_lost_too() -> None:
    assert alert(Bench().wait(60), feed_key(ACCOUNT, "main")) is not None


def test_an_idle_venue_is_never_lost() -> None:
    bench = Bench()
    bench.apply(Idled(PRICES, "kraken", "quotes no asset of the accounts", waits=False))
    snapshot = bench.wait(120)
    assert alert(snapshot, feed_key(PRICES, "kraken")) is None
    assert alert(snapshot, feed_key(PRICES, "binance")) is not None


def test_an_account_and_a_venue_of_one_name_are_apart() -> None:
    bench = Bench(sources={"kraken": 30.0})
    bench.apply(reading("kraken", loan("kraken")))
    snapshot = bench.apply(Linked(PRICES, "kraken", link("kraken", LinkState.DOWN)))
    assert [(source.kind, source.state) for source in snapshot.sources if source.name == "kraken"] == [
        (ACCOUNT, LinkState.LIVE),
        (PRICES, LinkState.DOWN),
    ]


def test_a_tick_after_a_drop_makes_the_venue_live_again_and_a_drop_after_a_tick_down() -> None:
    bench = Bench()
    down = Linked(PRICES, "kraken", link("kraken", LinkState.DOWN))
    up = tick("kraken", "ETH", "2490")
    assert bench.apply(up, down).sources[3].state is LinkState.DOWN
    assert bench.apply(down, replace(up, observed_at_ns=START_NS + 1)).sources[3].state is LinkState.LIVE


def test_a_print_into_a_worse_level_alarms_before_it_happens() -> None:
    bench = Bench()
    bench.apply(reading("main", loan(price="2750")))
    bench.quote("USDC", "1")
    key = key_of(AlertRule.ORACLE_DUE, "main")
    assert alert(bench.quote("ETH", "2740"), key) is None
    warned = alert(bench.quote("ETH", "2700"), key)
    assert warned is not None
    assert warned.severity is Severity.WARN
    assert warned.escalated
    assert warned.text == ("main: oracle due, health 1.5216 -> 1.4940, warn (ETH 2700 by deviation)")


def test_the_oracle_alarm_follows_a_market_that_falls_on_and_leaves_after_the_print() -> None:
    bench = Bench()
    bench.apply(reading("main", loan(price="2750")))
    bench.quote("USDC", "1")
    key = key_of(AlertRule.ORACLE_DUE, "main")
    bench.quote("ETH", "2700")
    deeper = alert(bench.quote("ETH", "1700"), key)
    assert deeper is not None
    assert deeper.severity is Severity.LIQUIDATABLE
    assert bench.state.snapshot.bell == 2
    bench.apply(reading("main", loan(price="1700"), at_ns=START_NS + 1))
    found = alert(bench.state.snapshot, key)
    assert found is not None
    assert found.is_live
    found = alert(bench.wait(11), key)
    assert found is not None
    assert found.phase is AlertPhase.RESOLVED


def test_a_composite_oracle_is_watched_through_its_leg() -> None:
    ratio = OracleLeg(Decimal("1.2"), None)
    leg = OracleLeg(Decimal(2500), "ETH", START_NS, Decimal(3600), Decimal(50))
    account = Account(
        name="main",
        kind=Kind.LOAN,
        collateral=(Collateral("wstETH", Decimal(10), Decimal("0.8")),),
        debt=(Debt("USDC", Decimal(15700)),),
        oracles={
            "wstETH": OraclePrice(Decimal(3000), START_NS, START_NS, legs=(ratio, leg)),
            "USDC": oracle("1", deviation_bps="25"),
        },
    )
    bench = Bench()
    bench.apply(reading("main", account))
    bench.quote("USDC", "1")
    snapshot = bench.quote("ETH", "2400")
    warned = alert(snapshot, key_of(AlertRule.ORACLE_DUE, "main"))
    assert warned is not None
    assert "wstETH 2880 by deviation" in warned.text
    assert snapshot.prices["wstETH"].divergence_bps == Decimal(-400)


def test_marks_that_came_along_price_what_has_no_price_of_its_own() -> None:
    bare = loan()
    account = replace(bare, oracles={})
    came = replace(reading("main", account), marks={"ETH": oracle("2000"), "USDC": oracle("1")})
    snapshot = Bench().apply(came)
    assert severity(snapshot, "main") is Severity.DANGER
    assert snapshot.prices["ETH"].price.oracle == oracle("2000")


def test_an_account_without_prices_leans_on_what_another_source_reports() -> None:
    bench = Bench(sources={"manual": 1e9, "main": 30.0})
    leaning = replace(loan("manual"), oracles={})
    snapshot = bench.apply(reading("manual", leaning))
    assert severity(snapshot, "manual") is Severity.UNKNOWN
    assert snapshot.accounts["manual"].assessment.severity_because
    snapshot = bench.apply(reading("main", loan(price="2500")))
    assert severity(snapshot, "manual") is Severity.WARN
    snapshot = bench.apply(reading("main", loan(price="2000"), at_ns=START_NS + 1))
    assert severity(snapshot, "manual") is Severity.DANGER


def test_a_lending_protocols_oracle_is_shared_before_a_venues_mark() -> None:
    bench = Bench(sources={"hl": 10.0, "main": 30.0})
    marked = replace(reading("hl", perp()), marks={"ETH": oracle("2499", deviation_bps=None)})
    assert bench.apply(marked).prices["ETH"].price.oracle == oracle("2499", deviation_bps=None)
    assert bench.apply(reading("main", loan())).prices["ETH"].price.oracle == oracle("2500")


def test_volatility_turns_distance_into_sigma_days() -> None:
    bench = Bench()
    before = bench.apply(reading("main", loan())).accounts["main"].assessment
    after = bench.apply(VolatilityLearned("ETH", Decimal("0.62"))).accounts["main"].assessment
    assert before.sigma_days is None
    assert after.sigma_days == pytest.approx(Decimal("8.5385"), abs=Decimal("0.001"))
    assert bench.state.snapshot.prices["ETH"].price.volatility == Decimal("0.62")


def test_figures_that_break_the_arithmetic_are_unknown_and_never_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(loan(), collateral=(Collateral("ETH", Decimal("1e999999"), Decimal("0.83")),))
    snapshot = Bench().apply(reading("main", broken, loan("main:b")))
    assert severity(snapshot, "main") is Severity.UNKNOWN
    assert severity(snapshot, "main:b") is Severity.WARN


def test_past_readings_fill_the_chart_behind_the_present() -> None:
    bench = Bench()
    bench.apply(reading("main", loan()))
    past = reading("main", loan(price="3000"), at_ns=START_NS - 3600 * SECOND_NS)
    history = bench.apply(Backfilled((past,))).accounts["main"].health_history
    assert [round(health or 0, 2) for _, health in history] == [1.66, 1.38]


def test_delivery_shows_as_a_source_and_on_the_alert() -> None:
    bench = Bench()
    bench.apply(reading("main", loan()))
    rung = bench.state.take_rung()
    snapshot = bench.apply(Delivered(rung, False, "push failed: ntfy #1: unreachable or refused", START_NS + 5))
    assert snapshot.alerts[0].delivery == "push failed: ntfy #1: unreachable or refused"
    assert (snapshot.sources[-1].kind, snapshot.sources[-1].state) == ("notify", LinkState.DOWN)
    snapshot = bench.apply(Delivered(rung, True, "push ok"))
    assert snapshot.alerts[0].delivery == "push ok"
    assert snapshot.sources[-1].state is LinkState.LIVE


def test_a_currency_without_a_dollar_quote_is_named_among_the_reasons_once() -> None:
    bench = Bench()
    snapshot = bench.apply(
        tick("binance", "ETH", "2500", currency="USDT"), tick("kraken", "ETH", "2500", currency="USDT")
    )
    assert [reason for reason in snapshot.degraded if "USDT" in reason] == [
        "USDT taken at 1 USD: no venue quotes it in dollars"
    ]


@pytest.mark.parametrize("count", [10, 1000])
def test_a_tick_computes_only_accounts_that_hold_its_asset(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"main:{index}" for index in range(count)]
    holders = set(names[:3])
    accounts = [loan(name) if name in holders else perp(name) for name in names]
    bench = Bench()
    bench.apply(reading("main", *accounts))
    bench.quote("USDC", "1")
    bench.quote("ETH", "2500")
    bench.quote("BTC", "61000")
    snapshot = bench.state.snapshot
    for name in names:
        assert snapshot.accounts[name]
    touched: list[str] = []

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def counting(account: Account, *prices: object) -> object:
            touched.append(account.name)
            return real(account, *prices)

        return counting

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a tick must not judge the trigger side")

    for computed in ("market_side", "next_oracle"):
        monkeypatch.setattr(desk.roster, computed, counted(getattr(desk.roster, computed)))
    monkeypatch.setattr(desk.accounts, "judged", never)
    snapshot = bench.quote("ETH", "2499")
    assert touched == []
    for name in names:
        assert snapshot.accounts[name]
    assert set(touched) == holders
    touched.clear()
    bench.quote("ETH", "2400")
    assert sorted(touched) == sorted(holders)


def test_rescues_arming_and_readiness_come_with_the_next_snapshot_and_keep_the_desk_awake() -> None:
    state = LiveState(DeskSettings(), {}, {}, START_NS)
    state.settle(START_NS)
    assert state.settle(START_NS).actions == ()
    under_way = ActionState("a", "main", "supply", "ETH", Decimal(2), "rescue", START_NS, Stage.RUNNING)
    state.apply(Acted((under_way,), START_NS + 60 * SECOND_NS), START_NS)
    state.apply(Readied({"main": "ready"}), START_NS)
    snapshot = state.settle(START_NS)
    assert (snapshot.actions, snapshot.armed_until_ns) == ((under_way,), START_NS + 60 * SECOND_NS)
    assert snapshot.readiness == {"main": "ready"}
    assert not snapshot.is_resting
    state.apply(Acted((replace(under_way, stage=Stage.CONFIRMED),), None), START_NS)
    assert state.settle(START_NS).is_resting


def test_a_tick_leaves_the_accounts_at_their_trigger_prices_the_same_and_a_reading_does_not() -> None:
    bench = Bench()
    bench.apply(reading("main", loan()))
    before = bench.quote("ETH", "2490").accounts
    after = bench.quote("ETH", "2400").accounts
    assert desk.roster.at_triggers(before) is desk.roster.at_triggers(after)
    assert desk.roster.at_triggers(after)["main"].assessment.at_market is None
    read = bench.apply(reading("main", loan(price="2450"))).accounts
    assert desk.roster.at_triggers(read) is not desk.roster.at_triggers(after)
    assert desk.roster.at_triggers(after)["main"].account.oracles["ETH"].price == 2500


def test_a_loan_that_comes_later_is_warned_of_its_own_print_where_those_before_it_are_calm() -> None:
    bench = Bench(sources={"main": 30.0, "other": 30.0})
    due = {name: key_of(AlertRule.ORACLE_DUE, name) for name in ("main", "other")}
    bench.apply(reading("main", loan(price="2500")))
    bench.quote("USDC", "1")
    bench.quote("ETH", "2492")
    assert alert(bench.quote("ETH", "2493"), due["main"]) is None
    bench.apply(reading("other", loan("other", price="2505")))
    apart = bench.quote("ETH", "2492")
    assert alert(apart, due["main"]) is None
    assert alert(apart, due["other"]) is not None
    assert alert(bench.quote("ETH", "2487"), due["main"]) is not None


def test_a_shared_oracle_that_prints_the_same_price_again_is_no_longer_due() -> None:
    bench = Bench()
    leaning = replace(loan(), oracles={"USDC": oracle("1", deviation_bps="25")})
    bench.apply(reading("main", leaning))
    bench.apply(Reading("hl", (perp(),), START_NS, marks={"ETH": oracle("2500", age_s=3600)}))
    bench.quote("USDC", "1")
    late = bench.quote("ETH", "2500").accounts["main"].assessment.at_next_oracle
    assert late is not None
    assert late.updates["ETH"].due is Due.HEARTBEAT
    bench.apply(Reading("hl", (perp(),), START_NS + 1, marks={"ETH": oracle("2500", age_s=5)}))
    printed = bench.quote("ETH", "2500.1").accounts["main"].assessment.at_next_oracle
    assert printed is not None
    assert printed.updates == {}
