"""The four bars around every screen: header, verdict, sources, keys."""

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal

from desk.roster import at_triggers
from desk.snapshot import AccountState, SourceState
from engine.accounts import Kind
from engine.assessment import Severity
from engine.record import record
from providers.ports import LinkState
from tui import numbers, words
from tui.latest import latest
from tui.view import Frame, Sort
from widgets.bars import Bar
from widgets.tones import Cell, Ground, Phrase, Tone

_STALE = "reading is stale"
_SEPARATOR = Cell("│  ", Tone.RULE)
LINK_TONES = {
    LinkState.CONNECTING: Tone.MUTED,
    LinkState.LIVE: Tone.TEXT,
    LinkState.STALE: Tone.UNKNOWN,
    LinkState.DEGRADED: Tone.WARN,
    LinkState.DOWN: Tone.UNKNOWN,
}


@record
class _Sums:
    """What all accounts come to; a total that can't be told whole is `None`."""

    severities: Mapping[Severity, int]
    is_stale: bool
    equity: Decimal | None
    owed: Decimal | None


def header(frame: Frame) -> Bar:
    """Return the header: what runs, how many accounts of which severity, what they are worth, the snapshot's time."""
    snapshot, settings = frame.snapshot, frame.settings
    left = [Phrase.of("marginline", Tone.STRONG, rank=-9)]
    scenario = snapshot.simulated or settings.simulated
    if scenario:
        left.append(Phrase((Cell("SIMULATED", Tone.STRONG), Cell(f" {scenario}", Tone.MUTED)), rank=-8))
    left.append(_mode(frame))
    if frame.view.is_masked:
        left.append(Phrase.of("masked", Tone.ACCENT, rank=-7))
    count = len(snapshot.accounts)
    sums = _sums(at_triggers(snapshot.accounts))
    if count:
        left.append(Phrase.of(f"{count:,} account{'s' if count != 1 else ''}", Tone.MUTED, rank=-3))
        left.extend(_amounts(frame, sums))
    right = [
        Phrase((words.glyph(severity), Cell(f" {sums.severities[severity]}", _count_tone(severity))), rank=-8)
        for severity in words.WORST_FIRST
        if sums.severities[severity]
    ]
    if snapshot.taken_at_ns:
        right.append(Phrase.of(f"{numbers.clock(snapshot.taken_at_ns)} UTC", Tone.MUTED, rank=-6))
    return Bar(tuple(left), tuple(right))


def _mode(frame: Frame) -> Phrase:
    """Return the mode, or for how long sending is armed: the one thing that no narrow terminal drops."""
    left_s = frame.view.armed_left_s
    if left_s is None:
        return Phrase.of(frame.settings.label, Tone.MUTED, rank=-7)
    return Phrase.of(f" ARMED {left_s // 60:02d}:{left_s % 60:02d} ", Tone.LIQUIDATABLE, rank=-10)


def _count_tone(severity: Severity) -> Tone:
    return Tone.MUTED if severity is Severity.SAFE else words.tone_of(severity)


@latest
def _sums(accounts: Mapping[str, AccountState]) -> _Sums:
    states = accounts.values()
    return _Sums(
        Counter(words.severity_of(state) for state in states),
        any(state.is_stale for state in states),
        _total((state, state.assessment.equity) for state in states),
        _total((state, state.assessment.debt_value) for state in states if _owes(state)),
    )


def _amounts(frame: Frame, sums: _Sums) -> Iterable[Phrase]:
    amounts = (("equity", sums.equity, numbers.money, -2), ("owed", sums.owed, numbers.debt, -1))
    for label, total, show, rank in amounts:
        if total is None:
            continue
        text = show(total)
        shown = numbers.MASK if frame.view.is_masked else f"{numbers.unvouched(text) if sums.is_stale else text} $"
        yield Phrase((Cell(f"{label} ", Tone.FAINT), Cell(shown, Tone.TEXT)), rank)


def _owes(state: AccountState) -> bool:
    return state.account.kind is not Kind.PERP and state.assessment.has_debt


def _total(parts: Iterable[tuple[AccountState, Decimal | None]]) -> Decimal | None:
    """Return a sum in dollars, or `None` when a part is unknown or in another currency: never a part as the whole."""
    total = Decimal(0)
    for state, value in parts:
        if value is None or state.account.quote.upper() not in numbers.DOLLARS:
            return None
        total += value
    return total


def verdict(frame: Frame) -> Bar:
    """Return the one sentence that matters: always about the truly worst account, whatever the table shows."""
    snapshot = frame.snapshot
    left: list[Phrase] = []
    if frame.view.frozen_for_ns is not None:
        left.append(Phrase.of(f"frozen {numbers.long_age(frame.view.frozen_for_ns)}", Tone.ACCENT, rank=-11))
    if frame.is_silent:
        said = f"no news from the desk since {numbers.clock(frame.now_ns)}"
        left.append(Phrase((Cell(" ? UNKNOWN ", Tone.STALE), Cell(f"  {said}", Tone.STRONG)), rank=-12))
    if snapshot.actions:
        from tui.present_actions import unknown_phrase

        unknown = unknown_phrase(snapshot.actions)
        left.extend((unknown,) if unknown is not None else ())
    if not snapshot.accounts and not frame.settings.expects_accounts:
        return Bar()
    if not snapshot.accounts:
        left.append(Phrase.of("reading accounts" if snapshot.sources else "no accounts", Tone.MUTED, rank=-10))
        return Bar(tuple(left), _order_note(frame), Ground.RAISED)
    if frame.is_blackout:
        left.extend(_blackout(frame))
        return Bar(tuple(left), (*_order_note(frame), Phrase.key("r", "read now", rank=-4)), Ground.RAISED)
    worst = snapshot.accounts[frame.worst_first[0]]
    severity = words.severity_of(worst)
    left.extend(_sentence(frame, worst, severity))
    left.extend(_also(frame))
    is_dire = severity in (Severity.DANGER, Severity.LIQUIDATABLE)
    return Bar(tuple(left), _order_note(frame), Ground.DROWNED if is_dire else Ground.NONE)


def _order_note(frame: Frame) -> tuple[Phrase, ...]:
    return (Phrase((Cell("order held, ", Tone.MUTED), Cell("s", Tone.KEY)), rank=-6),) if frame.is_held else ()


def _blackout(frame: Frame) -> Iterable[Phrase]:
    states = at_triggers(frame.snapshot.accounts).values()
    youngest = min(words.reading_age_ns(state, frame.now_ns) for state in states)
    yield Phrase.of(" ? UNKNOWN ", Tone.STALE, rank=-10)
    said = f"no reading is younger than {numbers.long_age(youngest)}"
    yield Phrase.of(said, Tone.STRONG, rank=-9)
    yield Phrase.of("nothing below is vouched for", Tone.TEXT, rank=-8)


def _sentence(frame: Frame, worst: AccountState, severity: Severity) -> Iterable[Phrase]:
    assessment = worst.assessment
    tone = Tone.MUTED if severity is Severity.SAFE else words.tone_of(severity)
    mark = f"{words.GLYPHS[severity]:>2} {severity.value.upper()}"
    yield Phrase((Cell(mark, tone),), rank=-10)
    health_tone = Tone.TEXT if severity is Severity.SAFE else words.number_tone(severity)
    about = [Cell(assessment.name, Tone.STRONG), Cell(" "), Cell(words.health_text(worst), health_tone)]
    if assessment.has_debt:
        about.append(Cell(f" {assessment.trigger}", Tone.TEXT))
    yield Phrase(tuple(about), rank=-9)
    if assessment.has_debt and assessment.at_market is not None and assessment.at_market.health_factor is not None:
        text = numbers.health(assessment.at_market.health_factor)
        shown = numbers.unvouched(text) if worst.is_stale else text
        yield Phrase((Cell(shown, health_tone), Cell(" market", Tone.TEXT)), rank=-6)
    if severity is Severity.UNKNOWN:
        yield Phrase.of(_why_unknown(frame, worst), Tone.UNKNOWN, rank=-8)
    nearest = words.nearest_point(worst)
    if nearest is not None:
        asset, point = nearest
        falls = words.falls(point)
        places = words.places_of(frame.snapshot, worst, asset)
        price = numbers.liquidation_price(point.price, places, falls=falls)
        room = numbers.distance(point.distance, falls=falls)
        is_past = point.distance is not None and point.distance <= 0
        said = f"{asset} is past {price}" if is_past else f"{asset} {room} % to {price}"
        yield Phrase.of(said, Tone.STRONG, rank=-7)
    coming = assessment.at_next_oracle
    if coming is not None and coming.updates and coming.health_factor is not None and severity is not Severity.UNKNOWN:
        yield Phrase.of(f"next print {numbers.health(coming.health_factor)}", Tone.NEXT, rank=-5)
    if nearest is not None and assessment.sigma_days:
        yield Phrase.of(f"{numbers.sigma_days(assessment.sigma_days)} σ-days", Tone.TEXT, rank=-4)
    if worst.assessment.degraded and severity is not Severity.UNKNOWN:
        yield Phrase.of(worst.assessment.degraded[0], Tone.UNKNOWN, rank=-2)


def _why_unknown(frame: Frame, state: AccountState) -> str:
    if state.is_stale and state.assessment.severity_because in ("", _STALE):
        return f"no reading for {numbers.long_age(words.reading_age_ns(state, frame.now_ns))}"
    return state.assessment.severity_because


def _also(frame: Frame) -> Iterable[Phrase]:
    """Name the next account that is in danger too."""
    for name in frame.worst_first[1:2]:
        state = frame.snapshot.accounts[name]
        severity = words.severity_of(state)
        if severity in (Severity.DANGER, Severity.LIQUIDATABLE):
            said = f"also {name} {words.health_text(state)}"
            yield Phrase.of(said, Tone.TEXT, rank=-3)


def feeds(frame: Frame) -> Bar:
    """Return the sources: the sick ones by name, how many are live, the oldest of them, and whether a push arrives."""
    snapshot = frame.snapshot
    sources = [source for source in snapshot.sources if source.kind in ("account", "prices")]
    left: list[Phrase] = []
    if sources:
        left.append(_feeds(frame.now_ns, sources))
    for source in snapshot.sources:
        if source.kind == "notify":
            left.append(_push(source, frame.now_ns))
    new = sum(1 for alert in snapshot.alerts if alert.phase.value == "firing")
    if new:
        left.append(Phrase((_SEPARATOR, Cell(f"{new} alert{'s' if new != 1 else ''} new", Tone.ACCENT)), rank=-2))
    if snapshot.degraded:
        left.append(Phrase((_SEPARATOR, Cell(snapshot.degraded[0], Tone.MUTED)), rank=-1))
    notice = (Phrase.of(frame.view.notice, Tone.ACCENT, rank=-20),) if frame.view.notice else ()
    return Bar(tuple(left), notice)


def _feeds(now_ns: int, sources: list[SourceState]) -> Phrase:
    sick = [source for source in sources if source.state is not LinkState.LIVE]
    live = [source for source in sources if source.state is LinkState.LIVE]
    cells = [Cell("feeds", Tone.MUTED)]
    if len(sick) > 3:
        by_state = Counter(source.state for source in sick)
        cells.extend(Cell(f" {by_state[s]} {s.value}", LINK_TONES[s]) for s in LinkState if by_state[s])
    else:
        for source in sick:
            age = "" if source.updated_at_ns is None else f" {numbers.age(now_ns - source.updated_at_ns)}"
            cells.append(Cell(f" {source.name} {source.state.value}{age}", LINK_TONES[source.state]))
    if live:
        cells.append(Cell(f"  {len(live)} live", Tone.TEXT))
        oldest = min(live, key=lambda source: source.updated_at_ns or now_ns)
        if oldest.updated_at_ns is not None:
            age = numbers.age(now_ns - oldest.updated_at_ns)
            cells.extend((Cell("  oldest ", Tone.MUTED), Cell(f"{oldest.name} {age}", Tone.TEXT)))
    return Phrase(tuple(cells), rank=-9)


def _push(source: SourceState, now_ns: int) -> Phrase:
    age = "" if source.updated_at_ns is None else f" {numbers.age(now_ns - source.updated_at_ns)}"
    if source.state is LinkState.LIVE:
        return Phrase((_SEPARATOR, Cell("push ", Tone.MUTED), Cell(f"ok{age}", Tone.TEXT)), rank=-5)
    if source.state is LinkState.CONNECTING:
        return Phrase((_SEPARATOR, Cell("push ", Tone.MUTED), Cell("unproven", Tone.TEXT)), rank=-5)
    return Phrase((_SEPARATOR, Cell("push ", Tone.MUTED), Cell(f"failed{age}", Tone.DANGER)), rank=-8)


def keys(hints: tuple[tuple[str, str], ...], panes: str = "1-5 panes", sort: Sort = Sort.RISK) -> Bar:
    """Return the key hints of a screen in order of priority; whole hints go where room is short, help never.

    The hint of `s` names what rows are sorted by, unless that is the risk.
    """
    named = f"sort: {sort.value}" if sort is not Sort.RISK else "sort"
    labels = ((key, named if key == "s" else label) for key, label in hints)
    left = tuple(Phrase.key(key, label, rank=index) for index, (key, label) in enumerate(labels))
    elsewhere = (Phrase.of(panes, Tone.FAINT, rank=20),) if panes else ()
    return Bar(left, (*elsewhere, Phrase.key("?", "help", rank=-99)))
