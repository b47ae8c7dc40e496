"""What all accounts together hold of each asset, and which of it is hedged in another account."""

from desk.roster import at_triggers
from desk.snapshot import Snapshot
from engine.exposure import ONLY_ELSEWHERE, AssetExposure, exposure
from engine.prices import AssetPrice
from tui import numbers
from tui.view import Frame
from widgets.bars import Section
from widgets.facts import Text
from widgets.glyphs import fit
from widgets.tones import Cell, Line, Tone

_MOST_HEDGES = 3


def section(frame: Frame, *, is_focused: bool = False) -> Section:
    """Return the title of the exposures."""
    return Section("net exposure", "all accounts, $ at each account's own price", is_focused)


def exposures(frame: Frame) -> Text:
    """Return one line per asset, the largest first: long, short, net, how much is hedged and between which accounts."""
    states = at_triggers(frame.snapshot.accounts).values()
    found = exposure([(state.account, state.assessment) for state in states], _prices(frame.snapshot))
    head = f" {'ASSET':<10}{'LONG $':>13}{'SHORT $':>13}{'NET $':>13}{'HEDGED $':>12}  BETWEEN"
    lines: list[Line] = [(Cell(head, Tone.MUTED),)]
    lines.extend(_line(frame, one) for one in found.assets)
    if any(one.hedged for one in found.assets):
        lines.append((Cell(f" {ONLY_ELSEWHERE}", Tone.WARN),))
    lines.extend((Cell(f" {name} not counted: {why}", Tone.UNKNOWN),) for name, why in found.left_out.items())
    if not found.assets and not found.left_out:
        lines.append((Cell(" no account", Tone.MUTED),))
    return Text(tuple(lines))


def _prices(snapshot: Snapshot) -> dict[str, AssetPrice]:
    return {asset: state.price for asset, state in snapshot.prices.items()}


def _line(frame: Frame, one: AssetExposure) -> Line:
    states = at_triggers(frame.snapshot.accounts)
    stale = any(states[name].is_stale for name in one.by_account)

    def figure(text: str, width: int) -> str:
        shown = numbers.MASK if frame.view.is_masked else numbers.unvouched(text) if stale else text
        return f"{shown:>{width}}"

    values = (
        figure(numbers.money(one.long), 13)
        + figure(numbers.debt(one.short) if one.short else "", 13)
        + figure(numbers.money(one.net), 13)
        + figure(numbers.money(one.hedged) if one.hedged else "", 12)
    )
    between = ""
    if one.hedged:
        ranked = sorted(one.by_account.items(), key=lambda item: -abs(item[1]))
        longs = [name for name, value in ranked if value > 0][:_MOST_HEDGES]
        shorts = [name for name, value in ranked if value < 0][:_MOST_HEDGES]
        between = f"  {', '.join(longs)} long, {', '.join(shorts)} short"
    return (
        Cell(f" {fit(one.asset, 9)} ", Tone.STRONG),
        Cell(values, Tone.MUTED if stale else Tone.TEXT),
        Cell(between, Tone.MUTED),
    )
