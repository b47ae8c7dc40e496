"""How likely an account is liquidated within an hour, a day and a week; estimates, labelled as such."""

from typing import TYPE_CHECKING

from desk.snapshot import AccountState, Snapshot
from tui import numbers
from tui.folding import folded
from widgets.facts import Text
from widgets.tones import BLANK, Cell, Line, Tone

if TYPE_CHECKING:
    from engine.simulation.forecast import AccountForecast, Chance

DAY_H = 24.0
NAMES = {1.0: "1 h", DAY_H: "24 h", 168.0: "7 d"}
"""The horizons that forecasts are made for, in hours, as they are written."""


def chance_cells(snapshot: Snapshot, state: AccountState) -> tuple[Cell, ...]:
    """Return the chances to be liquidated within an hour, a day and a week, in percent, for columns.

    Blank without debt; `?` where debt is owed and there is no estimate.
    """
    if not state.assessment.has_debt:
        return (BLANK,) * len(NAMES)
    return tuple(_chance_cell(state, _chance(snapshot, state, hours)) for hours in NAMES)


def _chance_cell(state: AccountState, found: "Chance | None") -> Cell:
    if found is None or found.probability is None:
        return Cell(numbers.UNKNOWN, Tone.UNKNOWN)
    return Cell(_marked(state, _figure(found)), Tone.MUTED if state.is_stale else Tone.TEXT)


def baseline_cell(snapshot: Snapshot, state: AccountState) -> Cell:
    """Return what the closed form says of a day, in percent, for a column: what the estimate is measured against."""
    found = _chance(snapshot, state, DAY_H)
    if found is None or found.baseline is None:
        return BLANK
    return Cell(_marked(state, percent(found.baseline)), Tone.MUTED)


def outlook(snapshot: Snapshot, state: AccountState, width: int) -> Text:
    """Return the forecast of an account in lines: chance, interval, closed form, episodes, and what it rests on."""
    found = snapshot.outlooks.get(state.account.name)
    if found is None:
        return Text()
    head = f" {'WITHIN':<8}{'CHANCE %':>10}{'95 % BETWEEN':>18}{'CLOSED FORM %':>15}{'EPISODES':>10}"
    lines: list[Line] = [(Cell(head, Tone.MUTED),)]
    lines.extend(_line(state, each) for each in found.horizons)
    told = [f"{NAMES.get(one.hours, '')}: {one.because}" for one in found.horizons if one.because]
    told += [f"{method} ({', '.join(names)})" for method, names in _methods(found).items()]
    if found.moves:
        away = "" if found.distance is None else f", {numbers.percent(found.distance)} % away"
        told.append(f"liquidated when {found.moves}{away}; an estimate that decides nothing")
    lines.extend(folded([(each, Tone.MUTED) for each in (*dict.fromkeys(told), *found.notes)], width))
    return Text(tuple(lines))


def _methods(found: "AccountForecast") -> dict[str, list[str]]:
    """Return the horizons by the method that made them."""
    methods: dict[str, list[str]] = {}
    for one in found.horizons:
        if one.probability is not None:
            said = one.method if one.calibrated else f"~ beyond what was fitted: {one.method}"
            methods.setdefault(said, []).append(NAMES.get(one.hours, f"{one.hours:g} h"))
    return methods


def _line(state: AccountState, one: "Chance") -> Line:
    name = f" {NAMES.get(one.hours, f'{one.hours:g} h'):<8}"
    if one.probability is None:
        return (Cell(name, Tone.STRONG), Cell(f"{numbers.UNKNOWN:>10}", Tone.UNKNOWN))
    between = "" if one.low is None or one.high is None else f"{percent(one.low)} to {percent(one.high)}"
    baseline = "" if one.baseline is None else percent(one.baseline)
    episodes = "" if one.episodes is None else str(one.episodes)
    return (
        Cell(name, Tone.STRONG),
        Cell(f"{_marked(state, _figure(one)):>10}", Tone.MUTED if state.is_stale else Tone.TEXT),
        Cell(f"{between:>18}{baseline:>15}{episodes:>10}", Tone.MUTED),
    )


def _figure(one: "Chance") -> str:
    shown = percent(one.probability or 0.0)
    return shown if one.calibrated else numbers.estimated(shown)


def _marked(state: AccountState, text: str) -> str:
    return numbers.unvouched(text) if state.is_stale else text


def percent(chance: float) -> str:
    """Return a chance in percent, rounded up: two digits below ten, `<0.1` below a tenth."""
    return numbers.chance(chance)


def _chance(snapshot: Snapshot, state: AccountState, hours: float) -> "Chance | None":
    found = snapshot.outlooks.get(state.account.name)
    return None if found is None else next((one for one in found.horizons if one.hours == hours), None)
