"""The selected account as text for the clipboard: a line for a chat, or JSON for a tool."""

import json

from engine.answers import account_answer
from tui import numbers, words
from tui.view import Frame
from widgets.glyphs import clean

_AMOUNTS = frozenset(
    {
        "collateral_value",
        "debt_value",
        "maintenance_requirement",
        "equity",
        "buffer",
        "loss_at_liquidation",
        "cost_of_debt",
    }
)


def as_line(frame: Frame) -> str:
    """Return the selected account in one inert line; empty without accounts."""
    state = frame.selected
    if state is None:
        return ""
    severity = words.severity_of(state)
    parts = [state.account.name, severity.value.upper(), f"health {words.health_text(state)}"]
    nearest = words.nearest_point(state)
    if nearest is not None:
        asset, point = nearest
        falls = words.falls(point)
        price = numbers.liquidation_price(point.price, words.places_of(frame.snapshot, state, asset), falls=falls)
        parts.append(f"{asset} {numbers.distance(point.distance, falls=falls)} % to {price}")
    parts.append(f"at {numbers.clock(frame.now_ns)} UTC, {numbers.age(words.reading_age_ns(state, frame.now_ns))} old")
    return clean(", ".join(parts))


def as_json(frame: Frame) -> str:
    """Return the selected account as `risk --json` says it, a masked one without amounts; empty without accounts."""
    state = frame.selected
    if state is None:
        return ""
    answer = dict(account_answer(state.assessment))
    if frame.view.is_masked:
        answer = {key: value for key, value in answer.items() if key not in _AMOUNTS}
    return json.dumps(answer, ensure_ascii=True)
