"""Whatever happens in whatever order, every account has a severity, and a stale one is never called safe."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from desk.events import Acknowledged, ClockTicked, Event, Linked, VolatilityLearned
from desk.settings import DeskSettings
from desk.sources import ACCOUNT, PRICES
from desk.state import LiveState
from engine.alerts import AlertPhase, AlertRule, key_of
from engine.assessment import Severity
from engine.severity import rank
from providers.ports import LinkState
from tests.doubles import SECOND_NS, START_NS, link, loan, oracle, perp, reading, tick

NAMES = ("main:a", "main:b", "main:c")
BUDGET_S = 30.0


def later(at_ns: int, kind: int, pick: int, price: int) -> Event:
    """Return one of everything that can happen, at `at_ns`."""
    name = NAMES[pick % 3]
    match kind:
        case 0 | 1:
            accounts = [
                perp(each, mark=str(price * 20))
                if index == 2
                else loan(each, price=str(price), debt=str(4000 * (index + 2)))
                for index, each in enumerate(NAMES)
                if pick & (1 << index)
            ]
            return reading("main", *accounts, at_ns=at_ns, degraded=("partial",) if pick == 5 else ())
        case 2:
            late = loan(name, ETH=oracle(str(price), age_s=9000, now_ns=at_ns))
            return replace(
                reading("main", late, at_ns=at_ns - pick * SECOND_NS), block_time_ns=at_ns - pick * 100 * SECOND_NS
            )
        case 3 | 4 | 5:
            venue = ("binance", "kraken", "coinbase")[pick % 3]
            asset = ("ETH", "USDC", "BTC")[kind - 3]
            return tick(
                venue, asset, str(price if asset == "ETH" else 1), at_ns=at_ns, currency="USDT" if pick == 7 else "USD"
            )
        case 6:
            return Linked(ACCOUNT, "main", link("main", list(LinkState)[pick % 5], at_ns=at_ns))
        case 7:
            return Linked(PRICES, "kraken", link("kraken", list(LinkState)[pick % 5], at_ns=at_ns))
        case 8:
            return VolatilityLearned("ETH", loan().debt[0].amount / price / 10)
        case 9:
            return Acknowledged(key_of(list(AlertRule)[pick % 4], name))
        case _:
            return ClockTicked()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 12), st.integers(0, 7), st.integers(1500, 4000), st.sampled_from([0, 1, 5, 29, 31, 200])
        ),
        max_size=40,
    )
)
def test_every_account_is_judged_and_a_stale_one_is_never_safe(story: list[tuple[int, int, int, int]]) -> None:
    state = LiveState(DeskSettings(), {"main": BUDGET_S}, {"binance": 10.0, "kraken": 10.0, "coinbase": 30.0}, START_NS)
    now_ns, sequence, bell = START_NS, 0, 0
    for kind, pick, price, wait_s in story:
        now_ns += wait_s * SECOND_NS
        state.apply(later(now_ns, kind, pick, price), now_ns)
        state.apply(ClockTicked(), now_ns)
        snapshot = state.settle(now_ns)
        assert snapshot.sequence in (sequence, sequence + 1)
        assert snapshot.bell >= bell
        sequence, bell = snapshot.sequence, snapshot.bell
        for name, account in snapshot.accounts.items():
            assessment = account.assessment
            assert assessment.name == name
            is_old = now_ns - account.observed_at_ns > BUDGET_S * SECOND_NS
            assert account.is_stale or not is_old
            if account.is_stale:
                assert assessment.severity is Severity.UNKNOWN
                assert rank(assessment.severity, assessment.last_known) >= rank(Severity.WARN)
            elif assessment.health_factor is not None and assessment.health_factor < 1:
                assert assessment.severity is Severity.LIQUIDATABLE
        firing = {alert.subject for alert in snapshot.alerts if alert.phase is not AlertPhase.RESOLVED}
        for name, account in snapshot.accounts.items():
            if (
                rank(account.assessment.severity, account.assessment.last_known) >= rank(Severity.WARN)
                and not account.is_stale
            ):
                assert name in firing
        assert len({alert.key for alert in snapshot.alerts}) == len(snapshot.alerts)


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(6)))
def test_ticks_of_one_moment_give_the_same_prices_in_any_order(order: list[int]) -> None:
    ticks = [
        tick(venue, asset, mid)
        for venue, mid in (("binance", "2490"), ("kraken", "2491"), ("coinbase", "2489"))
        for asset in ("ETH", "BTC")
    ]
    state = LiveState(DeskSettings(), {"main": 30.0}, {"binance": 10.0, "kraken": 10.0, "coinbase": 30.0}, START_NS)
    state.apply(reading("main", loan()), START_NS)
    for index in order:
        state.apply(ticks[index], START_NS)
        state.settle(START_NS)
    assert state.snapshot.prices["ETH"].consensus.price == 2490
