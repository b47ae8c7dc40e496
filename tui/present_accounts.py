"""Accounts as table rows. A row is made when it is looked at, and kept: unchanged, it is the same again."""

from collections.abc import Callable
from decimal import Decimal

from desk.snapshot import AccountState, Snapshot
from engine.accounts import Kind
from engine.assessment import Assessment, Severity
from engine.record import record
from tui import numbers, present_outlook, words
from tui.rows import Rows
from tui.view import Frame, Sort
from widgets.accounts import AccountRow, Accounts
from widgets.gauges import Gauge, Spark
from widgets.tones import BLANK, Cell, Tone

ROOM_SPAN = Decimal("0.60")
_SPARK_CELLS = 14
_DAY_NS = 86_400 * 1_000_000_000
_SPARK_STEP_NS = _DAY_NS // _SPARK_CELLS
_HEADERS = {
    Sort.HEALTH: "HEALTH",
    Sort.DISTANCE: "DIST %",
    Sort.BUFFER: "BUFFER $",
    Sort.AGE: "AGE",
    Sort.NAME: "ACCOUNT",
}
_SHORT = {
    "needs approve": "approve",
    "source empty": "empty",
    "supply cap": "at cap",
    "no rescue known": "none",
}
_READY_TONES = {"ready": Tone.ACCENT, "needs approve": Tone.WATCH, "stale": Tone.UNKNOWN}


@record
class _Kept:
    state: AccountState
    moment: int
    made_with: tuple[object, ...]
    row: AccountRow


class AccountRows:
    """Makes the rows of the account table, and makes again only those that changed."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._moment = 0
        self._shown_with: tuple[object, ...] = ()
        self._outlooks: object = None

    def model(self, frame: Frame) -> Accounts:
        """Return the table for `frame`, in its order."""
        accounts = frame.snapshot.accounts
        has_venues = any(source.kind == "prices" for source in frame.snapshot.sources)
        manner = (frame.view.is_masked, frame.is_blackout, has_venues)
        readiness = frame.snapshot.readiness if frame.settings.has_rescue else {}
        outlooks = frame.snapshot.outlooks
        shown_with = (frame.now_ns, manner, readiness)
        if shown_with != self._shown_with or outlooks is not self._outlooks:
            self._shown_with, self._outlooks = shown_with, outlooks
            self._moment += 1
        moment = self._moment

        def row_of(name: str) -> AccountRow:
            state = accounts[name]
            old = self._kept.get(name)
            if old is not None and old.state is state and old.moment == moment:
                return old.row
            age = numbers.age(words.reading_age_ns(state, frame.now_ns))
            word = readiness.get(name, "")
            known = (age, manner, word, outlooks.get(name))
            if old is not None and old.state is state and old.made_with == known:
                row = old.row
            else:
                row = account_row(frame.snapshot, state, age, *manner, word)
                if old is not None and old.row == row:
                    row = old.row
            self._kept[name] = _Kept(state, moment, known, row)
            return row

        if len(self._kept) > 2 * len(accounts) + 16:
            self._kept = {name: kept for name, kept in self._kept.items() if name in accounts}
        nothing = f"nothing matches {frame.view.filter!r}; esc clears the filter" if frame.view.filter else ""
        header = _HEADERS.get(frame.view.sort, "")
        return Accounts(Rows(frame.order, row_of), header, nothing, frame.settings.has_rescue, frame.order)


def account_row(
    snapshot: Snapshot,
    state: AccountState,
    age: str,
    is_masked: bool,
    is_blackout: bool,
    has_venues: bool,
    readiness: str = "",
) -> AccountRow:
    """Return one account as text. In a blackout ages drop their reverse: everything is stale, the verdict says so."""
    assessment, account = state.assessment, state.account
    severity = words.severity_of(state)
    is_stale = state.is_stale
    plain = Tone.MUTED if is_stale else Tone.TEXT

    def cell(text: str, tone: Tone = plain) -> Cell:
        if not text:
            return BLANK
        if text == numbers.UNKNOWN:
            return Cell(text, Tone.UNKNOWN)
        return Cell(numbers.unvouched(text) if is_stale else text, tone)

    def dollars(text: str) -> Cell:
        return Cell(numbers.MASK, Tone.MUTED) if is_masked and text else cell(words.in_dollars(state, text))

    nearest = words.nearest_point(state) if assessment.has_debt else None
    move = words.nearest_move(state) if assessment.has_debt else None
    has_line, has_price = nearest is not None or move is not None, nearest is not None and move is None
    asset, point = nearest if nearest is not None else ("", None)
    falls = point is None or words.falls(point)
    distance = point.distance if point is not None else None
    price = point.price if point is not None else None
    if move is not None:  # a whole book is margined at once: there is a nearest move, and no price of one asset
        asset, falls, distance = words.short_move(move[0]), move[1] < 0, abs(move[1])
    about = numbers.estimated if words.is_estimated(state) else str
    places = words.places_of(snapshot, state, asset) if has_price else 0
    health = words.health_text(state)
    tone = words.number_tone(severity) if assessment.has_debt else Tone.MUTED
    hour, day, week = present_outlook.chance_cells(snapshot, state)
    age_tone = Tone.MUTED if not is_stale else Tone.UNKNOWN if is_blackout else Tone.STALE
    return AccountRow(
        key=account.name,
        severity=severity,
        glyph=words.glyph(severity),
        account=Cell(account.name, Tone.STRONG),
        health=Cell(health, tone),
        by=Cell(asset, Tone.MUTED) if asset else BLANK,
        liq_at=cell(about(numbers.liquidation_price(price, places, falls=falls))) if has_price else BLANK,
        distance=cell(about(numbers.distance(distance, falls=falls))) if has_line else BLANK,
        age=Cell(age, age_tone),
        market=_market(assessment, cell, has_venues),
        sigma_days=cell(about(numbers.sigma_days(assessment.sigma_days))) if has_price else BLANK,
        next=_next(assessment, cell, has_venues),
        venue=Cell(account.venue or account.provider or account.kind.value, Tone.MUTED),
        room=_room(distance, severity, is_stale) if assessment.has_debt else None,
        buffer=dollars(numbers.money(assessment.buffer)),
        history=_spark(state, snapshot.taken_at_ns, severity),
        equity=dollars(numbers.money(assessment.equity)),
        debt=dollars(_debt(assessment)),
        leverage=cell(numbers.multiple(assessment.leverage)),
        cost=dollars(_cost(assessment)),
        rescue=_rescue(state, readiness),
        chance=day,
        chance_hour=hour,
        chance_week=week,
    )


def _rescue(state: AccountState, readiness: str) -> Cell:
    """Return whether a rescue would work now, in a word that fits its column."""
    if not readiness or readiness == "not needed":
        return BLANK
    if state.is_stale:
        return Cell("no feed", Tone.UNKNOWN)
    return Cell(_SHORT.get(readiness, readiness), _READY_TONES.get(readiness, Tone.MUTED))


def _market(assessment: Assessment, cell: Callable[[str], Cell], has_venues: bool) -> Cell:
    if not assessment.has_debt or (assessment.at_market is None and not has_venues):
        return BLANK
    return cell(numbers.health(assessment.at_market.health_factor if assessment.at_market is not None else None))


def _next(assessment: Assessment, cell: Callable[[str], Cell], has_venues: bool) -> Cell:
    if assessment.kind is not Kind.LOAN or not assessment.has_debt:
        return BLANK
    coming = assessment.at_next_oracle
    if coming is None:
        return cell(numbers.UNKNOWN) if has_venues else BLANK
    shown = cell(numbers.health(coming.health_factor))
    is_due = bool(coming.updates) and shown.tone is not Tone.MUTED
    return Cell(shown.text, Tone.NEXT) if is_due else shown


def _room(distance: Decimal | None, severity: Severity, is_stale: bool) -> Gauge | None:
    if distance is None:
        return None
    tone = Tone.MUTED if is_stale or severity in (Severity.SAFE, Severity.UNKNOWN) else words.number_tone(severity)
    return Gauge(float(min(Decimal(1), distance / ROOM_SPAN)), tone)


def _debt(assessment: Assessment) -> str:
    if assessment.kind is Kind.PERP or not assessment.has_debt:
        return ""
    return numbers.debt(assessment.debt_value)


def _cost(assessment: Assessment) -> str:
    if not assessment.has_debt or assessment.cost_of_debt is None:
        return ""
    return numbers.cents(assessment.cost_of_debt.per_day)


def _spark(state: AccountState, now_ns: int, severity: Severity) -> Spark | None:
    """Return the last day of health, one value per cell, scaled from the line at 1 to the day's best."""
    buckets: list[float | None] = [None] * _SPARK_CELLS
    start_ns = now_ns - _DAY_NS
    for at_ns, health in state.health_history:
        if at_ns >= start_ns:
            buckets[min(_SPARK_CELLS - 1, (at_ns - start_ns) // _SPARK_STEP_NS)] = health
    known = [value for value in buckets if value is not None]
    if not known:
        return None
    room = max(max(known) - 1, 0.1)
    tone = Tone.MUTED if severity in (Severity.SAFE, Severity.UNKNOWN) else words.number_tone(severity)
    return Spark(tuple(None if value is None else max(0.0, (value - 1) / room) for value in buckets), tone)
