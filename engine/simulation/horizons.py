"""Horizons as people write them: 30m, 6h, 7d. Standard library only."""

import re

_UNITS = {"m": 1 / 60, "h": 1.0, "d": 24.0}
_WRITTEN = re.compile(r"^(\d{1,5}(?:\.\d{1,3})?)([mhd])$")
SHORTEST_H, LONGEST_H = 0.25, 24.0 * 90
_NAMES = {1.0: "1h", 24.0: "24h", 168.0: "7d"}


def parse_horizon(text: str) -> float:
    """Return hours; raises `ValueError` saying what to write unless it is between 15 minutes and 90 days."""
    found = _WRITTEN.match(text.strip().lower())
    if found is None:
        raise ValueError(f"{text[:20]!r} is no horizon; write 30m, 6h or 7d")
    hours = float(found[1]) * _UNITS[found[2]]
    if not SHORTEST_H <= hours <= LONGEST_H:
        raise ValueError(f"{text[:20]!r} is outside 15m to 90d")
    return hours


def horizon_name(hours: float) -> str:
    """Return a way to write `hours` that reads back as the same: 1h, 24h, 7d, 90m, 1.333h."""
    if hours in _NAMES:
        return _NAMES[hours]
    if hours > 24 and hours % 24 == 0:
        return f"{hours / 24:g}d"
    if hours == int(hours):
        return f"{int(hours)}h"
    minutes = hours * 60
    return f"{round(minutes)}m" if abs(minutes - round(minutes)) < 1e-6 else f"{hours:.3f}h"
