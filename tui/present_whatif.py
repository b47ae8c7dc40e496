"""What common moves and crashes of the past would do to every account, and what a volatility rule would ask for."""

from decimal import ROUND_FLOOR, Decimal

from desk.snapshot import AccountState
from engine.severity import judge
from engine.whatif import MOVES, Crash, Row
from tui import numbers, words
from tui.view import Frame
from widgets.bars import Section
from widgets.facts import Text
from widgets.glyphs import fit
from widgets.tones import Cell, Line, Tone

_NAME, _CELL = 16, 8
_NARROW = (-40, -30, -20, -10, 10, 20)
_WIDE = 110
NOT_YET = "being worked out; once a minute"


def grid_section(frame: Frame, *, is_focused: bool = False) -> Section:
    """Return the title of the grid."""
    return Section("what if all assets move together", "health, at the price that liquidates", is_focused)


def grid(frame: Frame, width: int) -> Text:
    """Return one line per account: health under each common move, filled where it liquidates."""
    made = frame.snapshot.what_if
    if made is None:
        return Text(((Cell(f" {NOT_YET}", Tone.MUTED),),))
    shown = [at for at, move in enumerate(MOVES) if width >= _WIDE or int(move * 100) in _NARROW]
    head = "".join(f"{f'{MOVES[at] * 100:+.0f} %':>{_CELL}}" for at in shown)
    lines: list[Line] = [(Cell(f"    {'ACCOUNT':<{_NAME}}{head}", Tone.MUTED),)]
    rows = {row.name: row for row in made.rows}
    for name in frame.worst_first:
        state = frame.snapshot.accounts[name]
        row = rows.get(name)
        title = _title(state, is_selected=state is frame.selected)
        if row is None:
            lines.append((*title, Cell("  stale, or not worked out yet", Tone.UNKNOWN)))
        else:
            lines.append((*title, *_cells(frame, state, row, shown)))
    return Text(tuple(lines))


def _title(state: AccountState, *, is_selected: bool) -> Line:
    severity = words.severity_of(state)
    return (
        Cell("▌" if is_selected else " ", Tone.ACCENT),
        Cell(f"{words.GLYPHS[severity]:>2} ", words.glyph(severity).tone),
        Cell(f"{fit(state.account.name, _NAME - 1)} ", Tone.STRONG),
    )


def _cells(frame: Frame, state: AccountState, row: Row, shown: list[int]) -> list[Cell]:
    if row.reason:
        return [Cell(f"  {row.reason}", Tone.UNKNOWN)]
    ladder = frame.settings.ladder_of(state.account, state.source)
    cells = []
    for at in shown:
        health = row.healths[at]
        if health is None:
            cells.append(Cell(f"{'no debt':>{_CELL}}", Tone.MUTED))
            continue
        text = numbers.health(health, 2) if health > 0 else "gone"
        if health < 1:
            cells += [Cell(" " * (_CELL - len(text) - 2)), Cell(f"X {text}", Tone.LIQUIDATABLE)]
            continue
        severity = judge(ladder, health)[0]
        cells.append(Cell(f"{text:>{_CELL}}", words.number_tone(severity)))
    return cells


def crashes_section() -> Section:
    """Return the title of the crashes."""
    return Section("crashes of the past", "as they fell, from today's prices")


def crashes(frame: Frame) -> Text:
    """Return one line per crash: how far ETH fell, what becomes of the selected account, who goes in which order."""
    made, state = frame.snapshot.what_if, frame.selected
    if made is None:
        return Text(((Cell(f" {NOT_YET}", Tone.MUTED),),))
    name = "" if state is None else state.account.name
    head = f" {'CRASH':<28}{'ETH %':>8}{fit(name.upper(), 14):>16}{'GONE':>6}  IN THIS ORDER"
    lines: list[Line] = [(Cell(head, Tone.MUTED),)]
    lines.extend(_crash(crash, name, len(made.rows)) for crash in made.crashes)
    factor = made.factor.get(name)
    if factor is not None:
        said = factor.reason if factor.move is None else f"{numbers.distance(factor.move, falls=factor.move < 0)} %"
        lines.append((Cell(f" {name} is liquidated when ETH moves, every asset by its beta: {said}", Tone.MUTED),))
    return Text(tuple(lines))


def _crash(crash: Crash, name: str, accounts: int) -> Line:
    fall = "" if crash.fall is None else numbers.distance(crash.fall, falls=crash.fall < 0)
    outcome = crash.outcomes.get(name)
    if outcome is None or outcome.liquidated is None:
        mine = Cell(f"{numbers.UNKNOWN:>16}", Tone.UNKNOWN)
    elif outcome.liquidated:
        mine = Cell(f"{f'X after {outcome.hours} h':>16}", Tone.DANGER)
    else:
        mine = Cell(f"{'no debt' if outcome.health_factor is None else numbers.health(outcome.health_factor):>16}")
    order = ", ".join(crash.gone)
    return (
        Cell(f" {fit(crash.name, 27)} ", Tone.STRONG),
        Cell(f"{fall:>8}"),
        mine,
        Cell(f"{f'{len(crash.gone)}/{accounts}':>6}", Tone.TEXT if crash.gone else Tone.MUTED),
        Cell(f"  {order}", Tone.MUTED),
    )


def requirement_section(frame: Frame) -> Section:
    """Return the title of the requirement."""
    name = "" if frame.selected is None else frame.selected.account.name
    return Section(f"{name} under a volatility rule", "what-if: no protocol asks for this")


def requirement(frame: Frame) -> Text:
    """Return what the selected account would need under the volatility-adjusted rule, beside what its protocol asks."""
    state = frame.selected
    found = None if state is None else frame.snapshot.requirements.get(state.account.name)
    if found is None:
        return Text(((Cell(" nothing is owed, or it is being worked out", Tone.MUTED),),))
    if found.required is None:
        return Text(((Cell(f" {numbers.UNKNOWN} ", Tone.UNKNOWN), Cell(found.because, Tone.MUTED)),))

    def money(value: float | None) -> str:
        if value is None:
            return numbers.UNKNOWN
        return numbers.MASK if frame.view.is_masked else numbers.debt(Decimal(round(value)))

    covered = found.covered
    share = ""
    if covered is not None:
        share = f", covered {numbers.round_exactly(Decimal(str(covered)), 2, ROUND_FLOOR):f} times"
    lines: list[Line] = [
        (
            Cell(f" ~{money(found.required)}", Tone.STRONG),
            Cell(f" of equity for a day at 99 %; it has {money(found.equity)}{share};", Tone.TEXT),
            Cell(f" its protocol liquidates at {money(found.protocol)}", Tone.TEXT),
        )
    ]
    for each in found.thresholds:
        protocol = "" if each.protocol is None else f"{each.protocol:.3f}"
        note = f"  {each.note}" if each.note else ""
        lines.append(
            (Cell(f" {fit(each.asset, 9)} threshold {protocol:>6}, implied ~{each.implied:.3f}{note}", Tone.MUTED),)
        )
    return Text(tuple(lines))
