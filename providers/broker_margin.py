"""What a broker's one maintenance figure means for its positions, where no rate of a single position is told.

A rate that is told stands. What is left of the account's requirement is spread over the other positions by value, so
that the whole is the broker's own figure at present prices; every distance from it is then an estimate, and says so.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from engine.record import record

ZERO = Decimal(0)
SPREAD = "the broker tells one maintenance requirement: it is taken as a share of each position's value"
SCALED = "rates of single positions do not add up to the broker's requirement: the rest is held constant"
# What a broker rounds to cents, or counts at prices of another second.
_ROUNDING = Decimal("0.002")


@record
class Shares:
    """Maintenance rates by position, what no rate explains, and why distances are estimates ("" when they are not)."""

    rates: Mapping[str, Decimal]
    extra: Decimal = ZERO
    estimated: str = ""


def shares(values: Mapping[str, Decimal], told: Mapping[str, Decimal], requirement: Decimal | None) -> Shares:
    """Return the rates of positions worth `values` (any sign) that make up `requirement`, in one currency.

    Without a requirement only what is told is known: a position that is not in `rates` has no maintenance rate.
    """
    known = {name: told[name] for name in values if name in told}
    if requirement is None:
        return Shares(known)
    rest = requirement - sum((abs(values[name]) * rate for name, rate in known.items()), ZERO)
    others = [name for name in values if name not in known and values[name]]
    worth = sum((abs(values[name]) for name in others), ZERO)
    if worth:
        rate = max(rest, ZERO) / worth
        return Shares(known | dict.fromkeys(others, rate), min(rest, ZERO), SPREAD)
    if abs(rest) <= requirement * _ROUNDING:
        return Shares(known, rest)
    return Shares(known, rest, SCALED)


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names with a number behind each that was there before: two lines of one symbol stay apart."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(found)
