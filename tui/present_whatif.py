"""What common moves and crashes of the past would do to every account, and what a volatility rule would ask for."""

from collections.abc import Callable
from decimal import ROUND_FLOOR, Decimal

from desk.roster import at_triggers
from desk.snapshot import AccountState
from engine.severity import judge
from engine.whatif import MOVES, Crash, Row
from tui import numbers, words
from tui.folding import folded
from tui.present_risk import CHANCE_HEADINGS, chances
from tui.view import Frame
from widgets.bars import Section
from widgets.facts import Text
from widgets.glyphs import fit, right
from widgets.tones import Cell, Line, Tone

_NAME, _CELL = 16, 8
_NARROW = (-40, -30, -20, -10, 10, 20)
_WIDE = 110
_TITLE = _NAME + 4
_WANTED = tuple(Decimal(percent) / 100 for percent in (-20, -10, -30, 10, 20, -40, 30, -50, 5, -5, 50))
"""The moves in the order in which a narrow pane takes them."""
NOT_YET = "being worked out; once a minute"


def grid_section(frame: Frame, *, is_focused: bool = False) -> Section:
    """Return the title of the grid."""
    return Section("what if all assets move together", "health, at the price that liquidates", is_focused)


def grid(frame: Frame, width: int) -> Text:
    """Return one line per account: health under each common move, filled where it liquidates."""
    shown = [at for at, move in enumerate(MOVES) if width >= _WIDE or int(move * 100) in _NARROW]
    return _grid(frame, shown)


def beside_section() -> Section:
    """Return the title of the grid with the chances."""
    return Section("what if all assets move, and how likely", "health; P: chance to be liquidated")


def grid_and_chances(frame: Frame, width: int, height: int) -> Text:
    """Return the most urgent accounts in `height` lines: their chances, and as many moves as `width` has room for."""
    room = max(0, width - _TITLE - 1 - len(CHANCE_HEADINGS)) // _CELL
    return _grid(frame, sorted(map(MOVES.index, _WANTED[:room])), height, has_chances=True)


def _grid(frame: Frame, shown: list[int], height: int | None = None, *, has_chances: bool = False) -> Text:
    made = frame.snapshot.what_if
    if made is None and not has_chances:
        return Text(((Cell(f" {NOT_YET}", Tone.MUTED),),))
    head = "".join(f"{f'{MOVES[at] * 100:+.0f} %':>{_CELL}}" for at in shown)
    head += CHANCE_HEADINGS if has_chances else ""
    lines: list[Line] = [(Cell(f"    {'ACCOUNT':<{_NAME}}{head}", Tone.MUTED),)]
    rows = {} if made is None else {row.name: row for row in made.rows}
    accounts = at_triggers(frame.snapshot.accounts)
    shown_names = frame.worst_first
    if height is not None and len(shown_names) >= height:
        shown_names = shown_names[: max(0, height - 2)]
    for name in shown_names:
        state = accounts[name]
        row = rows.get(name)
        cells = _cells(frame, state, row, shown)
        if has_chances:
            gap = len(shown) * _CELL - sum(len(cell.text) for cell in cells)
            cells = [*cells, Cell(" " * gap), *chances(frame, state)]
        lines.append((*_title(state, is_selected=name == frame.selected_name), *cells))
    hidden = len(frame.worst_first) - len(shown_names)
    if hidden:
        lines.append((Cell(f"    {hidden} more: 7 shows all", Tone.MUTED),))
    return Text(tuple(lines))


def _title(state: AccountState, *, is_selected: bool) -> Line:
    severity = words.severity_of(state)
    return (
        Cell("▌" if is_selected else " ", Tone.ACCENT),
        Cell(f"{words.GLYPHS[severity]:>2} ", words.glyph(severity).tone),
        Cell(f"{fit(state.account.name, _NAME - 1)} ", Tone.STRONG),
    )


def _cells(frame: Frame, state: AccountState, row: Row | None, shown: list[int]) -> list[Cell]:
    if row is None or row.reason:
        why = row.reason if row is not None else "stale" if state.is_stale else NOT_YET
        return [Cell(fit(f"  {numbers.UNKNOWN} {why}", len(shown) * _CELL), Tone.UNKNOWN)]
    ladder = frame.settings.ladder_of(state.account, state.source)
    cells = []
    for at in shown:
        health = row.healths[at]
        if health is None:
            cells.append(Cell(f"{'no debt':>{_CELL}}", Tone.MUTED))
            continue
        text = _vouched(state, numbers.health(health, 2)) if health > 0 else "gone"
        if state.is_stale:
            cells.append(Cell(f"{text:>{_CELL}}", Tone.MUTED))
            continue
        if health < 1:
            cells += [Cell(" " * (_CELL - len(text) - 2)), Cell(f"X {text}", Tone.LIQUIDATABLE)]
            continue
        severity = judge(ladder, health)[0]
        cells.append(Cell(f"{text:>{_CELL}}", words.number_tone(severity)))
    return cells


def crashes_section(*, is_focused: bool = False) -> Section:
    """Return the title of the crashes."""
    return Section("crashes of the past", "as they fell, from today's prices", is_focused)


def crashes(frame: Frame) -> Text:
    """Return one line per crash: how far ETH fell, what becomes of the selected account, who goes in which order."""
    made, state = frame.snapshot.what_if, frame.selected
    if made is None:
        return Text(((Cell(f" {NOT_YET}", Tone.MUTED),),))
    name = "" if state is None else state.account.name
    head = f" {'CRASH':<28}{'ETH %':>8}{right(name.upper(), 16)}{'GONE':>6}  IN THIS ORDER"
    lines: list[Line] = [(Cell(head, Tone.MUTED),)]
    lines.extend(_crash(crash, state, len(made.rows)) for crash in made.crashes)
    left_out = len(frame.snapshot.accounts) - len(made.rows)
    if left_out > 0:
        said = f"{left_out} stale account{'s are' if left_out > 1 else ' is'} not in it, gone or not"
        lines.append((Cell(f" {said}", Tone.UNKNOWN),))
    factor = made.factor.get(name)
    if state is not None and factor is not None:
        move = factor.move
        said = factor.reason if move is None else f"{_vouched(state, numbers.distance(move, falls=move < 0))} %"
        lines.append((Cell(f" {name} is liquidated when ETH moves, every asset by its beta: {said}", Tone.MUTED),))
    return Text(tuple(lines))


def _crash(crash: Crash, state: AccountState | None, accounts: int) -> Line:
    fall = "" if crash.fall is None else numbers.distance(crash.fall, falls=crash.fall < 0)
    outcome = None if state is None else crash.outcomes.get(state.account.name)
    if state is None or outcome is None or outcome.liquidated is None:
        mine = Cell(f"{numbers.UNKNOWN:>16}", Tone.UNKNOWN)
    elif outcome.liquidated:
        said = f"X after {outcome.hours} h"
        mine = Cell(f"{f'{said}?' if state.is_stale else said:>16}", Tone.MUTED if state.is_stale else Tone.DANGER)
    else:
        health = outcome.health_factor
        said = "no debt" if health is None else _vouched(state, numbers.health(health))
        mine = Cell(f"{said:>16}", Tone.MUTED if state.is_stale else Tone.TEXT)
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


def requirement(frame: Frame, width: int) -> Text:
    """Return what the selected account would need under the volatility-adjusted rule, beside what its protocol asks."""
    state = frame.selected
    found = None if state is None else frame.snapshot.requirements.get(state.account.name)
    if state is None or found is None:
        return Text(((Cell(f" {_no_requirement(state)}", Tone.MUTED),),))
    if found.required is None:
        return Text(folded([(f"{numbers.UNKNOWN}: {found.because}", Tone.UNKNOWN)], width))
    unit = "$" if state.account.quote.upper() in numbers.DOLLARS else state.account.quote

    def money(value: float | None, show: Callable[[Decimal], str]) -> str:
        if value is None:
            return numbers.UNKNOWN
        if frame.view.is_masked:
            return numbers.MASK
        return f"{_vouched(state, show(Decimal(str(value))))} {unit}"

    share = ""
    if found.covered is not None:
        times = numbers.round_exactly(Decimal(str(found.covered)), 2, ROUND_FLOOR)
        share = f", covered {_vouched(state, f'{times:f}')} times"
    said = (
        f"~{money(found.required, numbers.debt)} of equity for a day at 99 %; "
        f"it has {money(found.equity, numbers.money)}{share}; "
        f"its protocol liquidates at {money(found.protocol, numbers.debt)}"
    )
    told = [(said, Tone.MUTED if state.is_stale else Tone.TEXT)]
    for each in found.thresholds:
        protocol = "" if each.protocol is None else numbers.threshold(Decimal(str(each.protocol)))
        implied = numbers.round_exactly(Decimal(str(each.implied)), 3, ROUND_FLOOR)
        note = f"  {each.note}" if each.note else ""
        told.append((f"{fit(each.asset, 9)} threshold {protocol:>6}, implied ~{implied:f}{note}", Tone.MUTED))
    return Text(folded(told, width))


def _no_requirement(state: AccountState | None) -> str:
    if state is None:
        return "no account selected"
    if not state.assessment.has_debt:
        return "nothing is owed"
    return "stale: none is worked out" if state.is_stale else NOT_YET


def _vouched(state: AccountState, text: str) -> str:
    return numbers.unvouched(text) if state.is_stale else text
