"""The desk's live state: every change goes into `apply`, every `Snapshot` comes out of `settle`. No I/O, no clock."""

from collections.abc import Mapping
from typing import assert_never

from desk.accounts import AccountBook
from desk.alert_book import AlertBook
from desk.events import (
    Acknowledged,
    Acted,
    Backfilled,
    ClockTicked,
    Delivered,
    Event,
    Foreseen,
    Idled,
    Linked,
    Readied,
    VolatilityLearned,
)
from desk.market import MarketBook
from desk.quotes import QuoteBook
from desk.settings import DeskSettings
from desk.snapshot import Snapshot
from desk.sources import ACCOUNT, HISTORY, NOTIFY, PRICES, SEEING, SourceBook
from engine.alerts import Alert, AlertRule, feed_key, source_condition, venue_condition
from providers.ports import LinkChange, LinkState, PriceTick, Reading

NOTIFIER = "push"


class LiveState:
    """Applies events one after another and makes one immutable snapshot after another.

    Readings are judged, and their alert rules run, within `apply`. Price ticks are kept by `apply` and judged by
    `settle`: of two quotes by one venue between two settlings only the later ever counts.
    """

    def __init__(
        self,
        settings: DeskSettings,
        sources: Mapping[str, float],
        venues: Mapping[str, float],
        now_ns: int,
    ) -> None:
        """Start with nothing known; `sources` and `venues` give the stale budget in seconds by name."""
        budgets = {**venues, **settings.price_stale_after_s}
        self._settings = settings
        self._quotes = QuoteBook(budgets, len(settings.venues or venues))
        self._market = MarketBook(self._quotes, sources, settings.stables)
        self._alerts = AlertBook(settings.alerts)
        self._accounts = AccountBook(settings, sources, self._market, self._alerts)
        self._sources = SourceBook()
        for name, budget_s in sources.items():
            self._sources.register(ACCOUNT, name, budget_s, now_ns)
        for venue in venues:
            self._sources.register(PRICES, venue, budgets[venue], now_ns)
        self._budgets_s = dict(sources)
        self._heard: dict[str, int] = {}
        self._acted = Acted((), None)
        self._readied = Readied({})
        self._foreseen = Foreseen({})
        self._changed = False
        self._snapshot = Snapshot(0, now_ns, sources=self._sources.states, simulated=settings.simulated)

    @property
    def snapshot(self) -> Snapshot:
        """Return the latest snapshot."""
        return self._snapshot

    @property
    def has_rung(self) -> bool:
        """Return whether an alert waits to be sent."""
        return self._alerts.has_rung

    @property
    def markets(self) -> frozenset[str]:
        """Return every asset whose market price accounts follow, and those the settings ask for."""
        return self._accounts.markets | self._settings.assets

    @property
    def firing(self) -> tuple[str, ...]:
        """Return the keys of alerts that no one has acknowledged."""
        return self._alerts.firing()

    @property
    def _is_resting(self) -> bool:
        """Return whether nothing more is expected: of no source, of no rescue under way, of no time that is armed."""
        moves = self._acted.armed_until_ns is not None or any(action.is_open for action in self._acted.actions)
        return self._sources.are_resting and not moves

    def take_rung(self) -> tuple[Alert, ...]:
        """Return alerts that rang since the last call, worst first, to be sent."""
        return self._alerts.take_rung()

    def send_again(self, alerts: tuple[Alert, ...]) -> None:
        """Put back alerts that could not be sent, as far as they still fire."""
        self._alerts.send_again(alerts)

    def apply(self, event: Event, now_ns: int) -> None:
        """Take in one event that happened at `now_ns`."""
        match event:
            case PriceTick():
                self._tick(event)
                return
            case Reading():
                self._read(event, now_ns)
            case Linked():
                self._mark_heard()
                self._sources.linked(event.kind, event.name, event.change)
            case Idled():
                self._sources.idle(event.kind, event.name, event.detail, waits=event.waits)
            case ClockTicked():
                self._pass_time(now_ns)
                return
            case VolatilityLearned():
                self._market.learn_volatility(event.asset, event.volatility)
                self._accounts.reassess(event.asset, now_ns)
            case Backfilled():
                self._accounts.backfill(event.readings)
            case Acknowledged():
                self._acknowledge(event.key, now_ns)
            case Delivered():
                self._deliver(event, now_ns)
            case Acted():
                self._acted = event
            case Readied():
                self._readied = event
            case Foreseen():
                self._foreseen = event
            case _:
                assert_never(event)
        self._changed = True

    def settle(self, now_ns: int) -> Snapshot:
        """Judge what ticked, run the rules it touches, and return the latest snapshot.

        It is a new one if anything changed, or if time passed while something is still expected of a source.
        """
        self._mark_heard()
        if self._quotes.has_unsettled:
            self._reprice(self._quotes.settle(now_ns), now_ns)
        if self._changed:
            self._changed = False
            self._snapshot = Snapshot(
                self._snapshot.sequence + 1,
                now_ns,
                self._accounts.view(),
                self._market.states,
                self._sources.states,
                self._alerts.listed,
                self._degraded(),
                self._settings.simulated,
                self._alerts.bell,
                self._is_resting,
                self._acted.actions,
                self._acted.armed_until_ns,
                self._readied.readiness,
                self._foreseen.outlooks,
                self._foreseen.requirements,
                self._foreseen.what_if,
                self._foreseen.made_at_ns,
            )
        return self._snapshot

    def _tick(self, tick: PriceTick) -> None:
        if self._quotes.take(tick):
            self._heard[tick.venue] = max(tick.observed_at_ns, self._heard.get(tick.venue, 0))

    def _mark_heard(self) -> None:
        for venue, at_ns in self._heard.items():
            self._sources.heard(PRICES, venue, at_ns)
        self._heard.clear()

    def _read(self, reading: Reading, now_ns: int) -> None:
        if not self._accounts.read(reading, now_ns):
            return
        wrong = "; ".join(reading.degraded)
        if not wrong and reading.block_time_ns is not None and not reading.blocks_on_demand:
            behind_s = (now_ns - reading.block_time_ns) / 1e9
            if behind_s > self._budgets_s[reading.source]:
                wrong = f"newest block is {behind_s:.0f} s old"
        self._sources.heard(ACCOUNT, reading.source, reading.observed_at_ns, wrong, reading.warnings)

    def _reprice(self, assets: set[str], now_ns: int) -> None:
        before = {asset: self._market.market.agreed.get(asset) for asset in assets}
        self._market.refresh(assets)
        self._changed = self._changed or bool(assets)
        for asset in sorted(assets):
            former, agreed = before[asset], self._quotes.agreed(asset)
            if former is None or former.price != agreed.price:
                self._accounts.reprice(asset, agreed.price, now_ns)

    def _pass_time(self, now_ns: int) -> None:
        self._mark_heard()
        before = self._alerts.listed
        if self._sources.age(now_ns):
            self._changed = True
        if self._accounts.age(now_ns):
            self._changed = True
        if not self._is_resting:
            self._changed = True  # ages grow, and whoever looks must see that the desk is alive
        self._reprice(self._quotes.settle_all(now_ns), now_ns)
        self._watch_sources(now_ns)
        self._alerts.tick(now_ns)
        if self._alerts.listed is not before:
            self._changed = True

    def _watch_sources(self, now_ns: int) -> None:
        policy = self._settings.alerts
        for name, state in self._sources.of_kind(ACCOUNT).items():
            key, blind = feed_key(ACCOUNT, name), self._sources.blind_ns(ACCOUNT, name, now_ns)
            worst = None if blind is None else self._accounts.worst_known(name)
            self._alerts.observe(key, source_condition(key, name, blind, state.detail, worst, policy), now_ns)
        venues = self._sources.of_kind(PRICES)
        others_see = any(state.state in SEEING and state.updated_at_ns is not None for state in venues.values())
        for name, state in venues.items():
            key, blind = feed_key(PRICES, name), self._sources.blind_ns(PRICES, name, now_ns)
            self._alerts.observe(key, venue_condition(key, name, blind, state.detail, others_see, policy), now_ns)

    def _acknowledge(self, key: str, now_ns: int) -> None:
        alert = self._alerts.acknowledge(key, now_ns)
        if alert is not None and alert.rule is AlertRule.VANISHED and alert.is_live:
            self._accounts.drop_vanished(alert.subject)
            self._alerts.observe(key, None, now_ns)

    def _deliver(self, event: Delivered, now_ns: int) -> None:
        self._alerts.delivered(event.alerts, event.delivery)
        if event.ok:
            self._sources.heard(NOTIFY, NOTIFIER, now_ns)
        else:
            change = LinkChange(NOTIFIER, LinkState.DOWN, now_ns, event.delivery, event.again_at_ns)
            self._sources.linked(NOTIFY, NOTIFIER, change)

    def _degraded(self) -> tuple[str, ...]:
        sick = tuple(
            f"{state.name}: {state.state}" + (f": {state.detail}" if state.detail else "")
            for state in self._sources.states
            if state.state is not LinkState.LIVE and state.kind != HISTORY
        )
        assumed = tuple(
            f"{currency} taken at 1 USD: no venue quotes it in dollars" for currency in self._quotes.assumed
        )
        foreseen = (f"no forecasts: {self._foreseen.failed}",) if self._foreseen.failed else ()
        return (*sick, *assumed, *self._accounts.degraded, *foreseen)
