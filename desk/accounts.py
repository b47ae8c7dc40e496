"""The accounts now held, by name: how a reading, the clock and a moved price change them, and what that alarms."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from desk.alert_book import AlertBook
from desk.history import HealthHistory, Point
from desk.judgement import (
    chart_value,
    judged,
    last_known,
    leans_on,
    plain_health,
    severity_after_print,
    unvouched,
    with_market_triggers,
    with_marks,
)
from desk.market import MarketBook
from desk.roster import Band, LiveAccounts, Memo, bands_of, markets_of
from desk.settings import DeskSettings
from desk.snapshot import AccountState
from engine.accounts import Account, Kind
from engine.alerts import (
    AlertRule,
    call_condition,
    key_of,
    oracle_condition,
    severity_condition,
    vanished_condition,
)
from engine.assessment import Assessment, Severity
from engine.record import record, replace
from engine.severity import rank
from providers.ports import Reading

_FAR = Decimal("Infinity")
VANISHED = "gone from its source: liquidated or closed"


@record
class _Follows:
    """Which prices move an account: consensus by asset, shared oracles, and where a print becomes due."""

    markets: tuple[str, ...]
    leans: frozenset[str]
    bands: Mapping[str, Band]


class AccountBook:
    """Holds the trigger-side state of every account, indexed by the assets that move it.

    A price touches only accounts that follow it, and of those computes only loans whose print it may make due.
    """

    def __init__(
        self, settings: DeskSettings, budgets_s: Mapping[str, float], market: MarketBook, alerts: AlertBook
    ) -> None:
        self._settings = settings
        self._budgets_s = budgets_s
        self._market = market
        self._alerts = alerts
        self._memo = Memo()
        self._states: dict[str, AccountState] = {}
        self._is_shared = False
        self._follows: dict[str, _Follows] = {}
        self._followers: dict[str, dict[str, None]] = {}
        self._leaners: dict[str, dict[str, None]] = {}
        self._histories: dict[str, HealthHistory] = {}
        self._of_source: dict[str, dict[str, None]] = {}
        self._newest: dict[str, Reading] = {}
        self._prints_due: set[str] = set()
        self._calm: dict[str, Band] = {}
        self._gone: set[str] = set()
        self._reasons: dict[str, tuple[str, ...]] = {}

    @property
    def degraded(self) -> tuple[str, ...]:
        """Return why figures of accounts can't be fully trusted, each reason once, with the account in front."""
        return tuple(f"{name}: {reason}" for name, reasons in self._reasons.items() for reason in reasons)

    @property
    def markets(self) -> frozenset[str]:
        """Return every asset whose market price some account follows."""
        return frozenset(self._followers)

    def view(self) -> LiveAccounts:
        """Return all accounts at the present prices, as something that will never change."""
        self._is_shared = True
        return LiveAccounts(self._states, self._market.market, self._memo)

    def worst_known(self, source: str) -> Severity | None:
        """Return the worst severity that accounts of `source` are, or were last known to be, in."""
        known = [last_known(self._states[name].assessment) for name in self._of_source.get(source, ())]
        return max((severity for severity in known if severity is not None), key=rank, default=None)

    def read(self, reading: Reading, now_ns: int) -> bool:
        """Take in a reading; return whether it was newer than what was known of its source."""
        former = self._newest.get(reading.source)
        if former is not None and reading.observed_at_ns < former.observed_at_ns:
            return False
        self._newest[reading.source] = reading
        moved = self._market.learn_oracles(reading)
        mine = self._of_source.setdefault(reading.source, {})
        for account in reading.accounts:
            mine[account.name] = None
            self._hold(with_marks(account, reading), reading, now_ns)
        self._reassess_leaners(moved, {account.name for account in reading.accounts}, now_ns)
        if not reading.degraded:
            present = {account.name for account in reading.accounts}
            for name in [name for name in mine if name not in present]:
                self._lose(name, now_ns)
        self._age_source(reading.source, now_ns)
        return True

    def age(self, now_ns: int) -> bool:
        """Turn accounts unknown whose reading or block is past its budget; return whether any turned."""
        turned = [self._age_source(source, now_ns) for source in self._newest]
        return any(turned)

    def reprice(self, asset: str, price: Decimal | None, now_ns: int) -> None:
        """Look at what the new consensus of `asset` triggers, and at loans whose oracle print it may make due."""
        if self._market.oracle(asset) is None:
            for name in tuple(self._leaners.get(asset, ())):
                self._rejudge(name, now_ns)
        calm = self._calm.get(asset)
        if calm is not None and price is not None and calm[0] < price < calm[1]:
            return
        followers = self._followers.get(asset, {})
        for name in followers:
            if name in self._prints_due:
                self._look_ahead(name, now_ns)
                continue
            band = self._follows[name].bands.get(asset)
            if band is not None and price is not None and not band[0] < price < band[1]:
                self._look_ahead(name, now_ns)
        if self._prints_due.isdisjoint(followers):
            self._calm[asset] = self._calm_band(asset)

    def _calm_band(self, asset: str) -> Band:
        """Return the consensus between which it makes no print due that is not due yet."""
        bands = [band for name in self._followers.get(asset, ()) if (band := self._follows[name].bands.get(asset))]
        return max((low for low, _ in bands), default=-_FAR), min((high for _, high in bands), default=_FAR)

    def reassess(self, asset: str, now_ns: int) -> None:
        """Judge the accounts that hold `asset` again, because something other than a price became known of it."""
        for name in self._followers.get(asset, ()):
            self._rejudge(name, now_ns)

    def backfill(self, readings: Iterable[Reading]) -> None:
        """Take in the healths of past readings for the history alone."""
        past: dict[str, list[Point]] = {}
        for reading in readings:
            for account in reading.accounts:
                health = plain_health(with_marks(account, reading), self._market.market.prices)
                past.setdefault(account.name, []).append((reading.observed_at_ns, chart_value(health)))
        for name, points in past.items():
            history = self._history(name)
            history.seed(points)
            state = self._states.get(name)
            if state is not None:
                self._put(replace(state, health_history=history.points))

    def drop_vanished(self, name: str) -> None:
        """Take an account that vanished off the list."""
        if name not in self._gone:
            return
        self._gone.discard(name)
        state = self._own_states().pop(name)
        self._of_source[state.source].pop(name, None)
        self._reasons.pop(name, None)
        self._histories.pop(name, None)
        self._unindex(name)
        self._memo.forget(name)

    def _hold(self, account: Account, reading: Reading, now_ns: int) -> None:
        name = account.name
        account = with_market_triggers(account, self._market.market)
        former = self._states.get(name)
        ladder = self._settings.ladder_of(account, reading.source)
        previous = None if former is None or name in self._gone else last_known(former.assessment)
        assessment = judged(account, self._market.market.prices, now_ns, ladder, previous)
        assessment = _with_reasons(assessment, reading)
        history = self._history(name)
        history.add(reading.observed_at_ns, chart_value(assessment.health_factor))
        if name in self._gone:
            self._gone.discard(name)
            self._alerts.observe(key_of(AlertRule.VANISHED, name), None, now_ns)
        self._index(account)
        self._put(
            AccountState(
                reading.source,
                account,
                assessment,
                reading.observed_at_ns,
                reading.block_number,
                reading.block_time_ns,
                health_history=history.points,
            )
        )
        if not self._stale_because(self._states[name], now_ns):
            self._alerts.observe(key_of(AlertRule.SEVERITY, name), severity_condition(assessment), now_ns)
            self._alerts.observe(key_of(AlertRule.CALL, name), call_condition(assessment), now_ns)
            self._look_ahead(name, now_ns)

    def _look_ahead(self, name: str, now_ns: int) -> None:
        state = self._states[name]
        if state.account.kind is not Kind.LOAN or state.is_stale:
            return
        upcoming = self._memo.at_next_oracle(state.account, self._market.market)
        if upcoming is None or not upcoming.updates:
            self._prints_due.discard(name)
            self._alerts.observe(key_of(AlertRule.ORACLE_DUE, name), None, now_ns)
            return
        self._prints_due.add(name)
        self._forget_calm(name)
        assessment = replace(state.assessment, at_next_oracle=upcoming)
        after = severity_after_print(assessment, self._settings.ladder_of(state.account, state.source))
        self._alerts.observe(key_of(AlertRule.ORACLE_DUE, name), oracle_condition(assessment, after), now_ns)

    def _rejudge(self, name: str, now_ns: int) -> None:
        state = self._states[name]
        if state.is_stale:
            return
        ladder = self._settings.ladder_of(state.account, state.source)
        former = state.assessment
        account = with_market_triggers(state.account, self._market.market)
        anew = judged(account, self._market.market.prices, now_ns, ladder, last_known(former))
        anew = _with_reasons(anew, self._newest[state.source])
        self._index(account)
        self._put(replace(state, account=account, assessment=anew))
        self._alerts.observe(key_of(AlertRule.SEVERITY, name), severity_condition(anew), now_ns)
        self._look_ahead(name, now_ns)

    def _reassess_leaners(self, moved: Iterable[str], done: set[str], now_ns: int) -> None:
        leaning = {name: None for asset in sorted(moved) for name in self._leaners.get(asset, ())}
        for name in leaning:
            if name not in done:
                self._rejudge(name, now_ns)

    def _lose(self, name: str, now_ns: int) -> None:
        if name in self._gone:
            return
        state = self._states[name]
        self._gone.add(name)
        self._prints_due.discard(name)
        history = self._history(name)
        history.add(now_ns, None)
        lost = unvouched(state, VANISHED)
        self._put(replace(lost, health_history=history.points))
        for rule in (AlertRule.SEVERITY, AlertRule.ORACLE_DUE, AlertRule.CALL):
            self._alerts.observe(key_of(rule, name), None, now_ns)
        self._alerts.observe(key_of(AlertRule.VANISHED, name), vanished_condition(lost.assessment), now_ns)

    def _age_source(self, source: str, now_ns: int) -> bool:
        turned = False
        for name in self._of_source[source]:
            state = self._states[name]
            if state.is_stale:
                continue
            because = self._stale_because(state, now_ns)
            if because:
                turned = True
                history = self._history(name)
                history.add(now_ns, None)
                self._put(replace(unvouched(state, because), health_history=history.points))
        return turned

    def _stale_because(self, state: AccountState, now_ns: int) -> str:
        budget_s = self._budgets_s[state.source]
        if now_ns - state.observed_at_ns > budget_s * 1e9:
            return f"stale: no reading for over {budget_s:g} s"
        block_budget_s = max(budget_s, self._settings.block_stale_after_s)
        waits_for_blocks = state.block_time_ns is not None and not self._newest[state.source].blocks_on_demand
        if waits_for_blocks and now_ns - (state.block_time_ns or 0) > block_budget_s * 1e9:
            return f"stale: the newest block is over {block_budget_s:g} s old"
        return ""

    def _put(self, state: AccountState) -> None:
        name = state.account.name
        self._own_states()[name] = state
        if state.is_stale:
            self._reasons[name] = (state.assessment.severity_because, *state.assessment.degraded)
        elif state.assessment.degraded:
            self._reasons[name] = state.assessment.degraded
        else:
            self._reasons.pop(name, None)

    def _own_states(self) -> dict[str, AccountState]:
        if self._is_shared:
            self._states = dict(self._states)
            self._is_shared = False
        return self._states

    def _history(self, name: str) -> HealthHistory:
        history = self._histories.get(name)
        if history is None:
            history = self._histories[name] = HealthHistory(self._settings.history_points)
        return history

    def _index(self, account: Account) -> None:
        leans = leans_on(account)
        bands: Mapping[str, Band] = {}
        if account.kind is Kind.LOAN:
            shared = {asset: oracle for asset in leans if (oracle := self._market.oracle(asset)) is not None}
            bands = bands_of({**shared, **account.oracles})
        follows = _Follows(markets_of(account), leans, bands)
        former = self._follows.get(account.name)
        if former is None or former.markets != follows.markets or former.leans != follows.leans:
            self._unindex(account.name)
            for asset in follows.markets:
                self._followers.setdefault(asset, {})[account.name] = None
            for asset in follows.leans:
                self._leaners.setdefault(asset, {})[account.name] = None
        self._follows[account.name] = follows
        self._forget_calm(account.name)

    def _forget_calm(self, name: str) -> None:
        for asset in self._follows[name].markets:
            self._calm.pop(asset, None)

    def _unindex(self, name: str) -> None:
        former = self._follows.pop(name, None)
        if former is None:
            return
        for index, assets in ((self._followers, former.markets), (self._leaners, former.leans)):
            for asset in assets:
                followers = index[asset]
                followers.pop(name, None)
                if not followers:
                    del index[asset]


def _with_reasons(assessment: Assessment, reading: Reading) -> Assessment:
    """Return the assessment degraded by what is wrong with its reading too, each reason once."""
    reasons = tuple(dict.fromkeys((*reading.degraded, *assessment.degraded)))
    return assessment if reasons == assessment.degraded else replace(assessment, degraded=reasons)
