"""Who is liquidated first when everything moves together, and what that costs."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from desk.roster import at_triggers
from desk.snapshot import AccountState
from tui import numbers, present_outlook, words
from tui.latest import latest
from tui.view import Frame
from widgets.bars import Section
from widgets.facts import Text
from widgets.glyphs import fit, number, right
from widgets.tones import Cell, Line, Tone

_FAR = Decimal("Infinity")
_WIDE = 116
_CHANCE_CELLS = (8, 8, 8)
CHANCE_HEADINGS = "".join(map(number, ("P1H %", "P24H %", "P7D %"), _CHANCE_CELLS))
"""The headings of `chances`."""


def section(frame: Frame, *, is_focused: bool = False) -> Section:
    """Return the title of the ranking."""
    return Section("first to go", "all assets move together; P: chance to be liquidated", is_focused)


def first_to_go(frame: Frame, width: int) -> Text:
    """Return the accounts by the common move that liquidates them, the smallest first, with their chances.

    From `_WIDE` cells on with the closed form that a day's chance is measured against, and what is lost then.
    """
    states = _ranked(at_triggers(frame.snapshot.accounts))
    heads = [f"{'ACCOUNT':<13}", f"{'ALL MOVE %':>10}", f"{'HEALTH':>9}", f"{'NEAREST ALONE':>18}"]
    heads.append(CHANCE_HEADINGS)
    if width >= _WIDE:
        heads += [number("CLOSED FORM 24H %", 19), f"{'LOST THEN':>16}"]
    lines: list[Line] = [(Cell("    " + "".join(heads), Tone.MUTED),)]
    selected = frame.selected_name
    lines.extend(_line(frame, state, width, is_selected=state.account.name == selected) for state in states)
    return Text(tuple(lines))


def chances(frame: Frame, state: AccountState) -> Line:
    """Return an account's three chances in as many cells as their headings take."""
    found = present_outlook.chance_cells(frame.snapshot, state)
    return tuple(Cell(number(cell.text, size), cell.tone) for cell, size in zip(found, _CHANCE_CELLS, strict=True))


@latest
def _ranked(accounts: Mapping[str, AccountState]) -> Sequence[AccountState]:
    return sorted(accounts.values(), key=_nearness)


def _nearness(state: AccountState) -> tuple[Decimal, str]:
    shock = state.assessment.uniform_shock
    return (abs(shock) if shock is not None else _FAR, state.assessment.name)


def _line(frame: Frame, state: AccountState, width: int, *, is_selected: bool) -> Line:
    assessment = state.assessment
    severity = words.severity_of(state)
    about = numbers.estimated if words.is_estimated(state) else str

    def mark(text: str) -> str:
        return numbers.unvouched(about(text)) if state.is_stale else about(text)

    shock = assessment.uniform_shock
    together = mark(numbers.distance(shock, falls=shock < 0)) if shock is not None else _no_shock(state)
    nearest = words.nearest_point(state)
    alone = ""
    move = words.nearest_move(state)
    if move is not None:
        alone = f"{words.short_move(move[0])} {mark(numbers.distance(move[1], falls=move[1] < 0))} %"
    elif nearest is not None:
        asset, point = nearest
        alone = f"{asset} {mark(numbers.distance(point.distance, falls=words.falls(point)))} %"
    loss = assessment.loss_at_liquidation
    lost = "" if loss is None else numbers.MASK if frame.view.is_masked else _loss(state, loss)
    plain = Tone.MUTED if state.is_stale else Tone.TEXT
    cells = [
        Cell("▌" if is_selected else " ", Tone.ACCENT),
        Cell(f"{words.GLYPHS[severity]:>2} ", words.glyph(severity).tone),
        Cell(f"{fit(assessment.name, 12)} ", Tone.STRONG),
        Cell(f"{together:>10}", plain),
        Cell(f"{words.health_text(state):>9}", words.number_tone(severity)),
        Cell(right(alone, 18), plain),
        *chances(frame, state),
    ]
    if width >= _WIDE:
        closed = present_outlook.baseline_cell(frame.snapshot, state)
        cells += [Cell(number(closed.text, 19), closed.tone), Cell(f"{lost:>16}", Tone.MUTED)]
    return tuple(cells)


def _no_shock(state: AccountState) -> str:
    assessment = state.assessment
    if not assessment.has_debt:
        return "no debt"
    return numbers.UNKNOWN if "uniform_shock" in assessment.missing else "none"


def _loss(state: AccountState, loss: Decimal) -> str:
    unit = "$" if state.account.quote.upper() in numbers.DOLLARS else state.account.quote
    shown = numbers.debt(loss)
    return f"{numbers.unvouched(shown) if state.is_stale else shown} {unit}"
