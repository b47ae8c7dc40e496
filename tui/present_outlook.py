"""How likely an account is liquidated within an hour, a day and a week; estimates, labelled as such."""

from typing import TYPE_CHECKING

from desk.snapshot import AccountState, Snapshot
from tui import numbers
from widgets.facts import Text
from widgets.tones import BLANK, Cell, Line, Tone

if TYPE_CHECKING:
    from engine.simulation.forecast import AccountForecast, Chance

DAY_H = 24.0
_NAMES = {1.0: "1 h", DAY_H: "24 h", 168.0: "7 d"}


def chance_cell(snapshot: Snapshot, state: AccountState) -> Cell:
    """Return the chance to be liquidated within a day, in percent, for a column; blank where none is made."""
    found = _chance(snapshot.outlooks.get(state.account.name), DAY_H)
    if found is None or not state.assessment.has_debt:
        return BLANK
    if found.probability is None:
        return Cell(numbers.UNKNOWN, Tone.UNKNOWN)
    text = percent(found.probability)
    shown = text if found.calibrated else numbers.estimated(text)
    return Cell(numbers.unvouched(shown) if state.is_stale else shown, Tone.MUTED if state.is_stale else Tone.TEXT)


def outlook(snapshot: Snapshot, state: AccountState) -> Text:
    """Return the forecast of an account in lines: chance, interval, closed form, episodes, and what it rests on."""
    found = snapshot.outlooks.get(state.account.name)
    if found is None:
        return Text()
    head = f" {'WITHIN':<8}{'CHANCE %':>10}{'95 % BETWEEN':>18}{'CLOSED FORM':>13}{'EPISODES':>10}  METHOD"
    lines: list[Line] = [(Cell(head, Tone.MUTED),)]
    lines.extend(_line(each) for each in found.horizons)
    if found.moves:
        away = "" if found.distance is None else f", {numbers.percent(found.distance)} % away"
        lines.append((Cell(f" liquidated when {found.moves}{away}; an estimate that decides nothing", Tone.MUTED),))
    lines.extend((Cell(f" {note}", Tone.MUTED),) for note in found.notes)
    return Text(tuple(lines))


def _line(one: "Chance") -> Line:
    name = f" {_NAMES.get(one.hours, f'{one.hours:g} h'):<8}"
    if one.probability is None:
        return (
            Cell(name, Tone.STRONG),
            Cell(f"{numbers.UNKNOWN:>10}", Tone.UNKNOWN),
            Cell(f"  {one.because}", Tone.MUTED),
        )
    shown = percent(one.probability)
    between = "" if one.low is None or one.high is None else f"{percent(one.low)} to {percent(one.high)}"
    baseline = "" if one.baseline is None else percent(one.baseline)
    episodes = "" if one.episodes is None else str(one.episodes)
    method = one.method if one.calibrated else f"{one.method}, not calibrated"
    return (
        Cell(name, Tone.STRONG),
        Cell(f"{shown if one.calibrated else numbers.estimated(shown):>10}"),
        Cell(f"{between:>18}{baseline:>13}{episodes:>10}  {method}", Tone.MUTED),
    )


def percent(chance: float) -> str:
    """Return a chance in percent, rounded up: two digits below ten, `<0.1` below a tenth."""
    return numbers.chance(chance)


def _chance(found: "AccountForecast | None", hours: float) -> "Chance | None":
    return None if found is None else next((one for one in found.horizons if one.hours == hours), None)
