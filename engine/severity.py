"""How urgent an account is: the worse of its health ladder and its distance ladder, and which of them decided.

Levels are entered below their threshold and left only a little above it, so that an account on the edge does not
flap: 2 % above for health, 10 % above for distance. Liquidatable is a fact (health below 1), without such a band.
"""

from collections.abc import Mapping
from decimal import ROUND_FLOOR, Context, Decimal

from engine.accounts import Account, Kind, MarginMode
from engine.assessment import Severity
from engine.record import record

HEALTH_LEAVE = Decimal("1.02")
DISTANCE_LEAVE = Decimal("1.10")
LEVELS = (Severity.WATCH, Severity.WARN, Severity.DANGER)
_ORDER = (Severity.SAFE, *LEVELS, Severity.LIQUIDATABLE)
_RANK: Mapping[Severity, int] = {severity: index for index, severity in enumerate(_ORDER)}
_SHOWN = Decimal("0.0001")
_WIDE = Context(prec=400, rounding=ROUND_FLOOR)


@record
class Ladder:
    """Enter thresholds of watch, warn and danger, strictly falling; `None` when that measure does not count.

    Raises `ValueError` when the thresholds do not fall, are not three, or are not positive.
    """

    health: tuple[Decimal, ...] | None = None
    distance: tuple[Decimal, ...] | None = None

    def __post_init__(self) -> None:
        for name, steps in (("health", self.health), ("distance", self.distance)):
            if steps is None:
                continue
            if len(steps) != len(LEVELS) or not all(
                a > b for a, b in zip(steps, (*steps[1:], Decimal(0)), strict=True)
            ):
                raise ValueError(f"{name} ladder needs three falling positive thresholds (watch, warn, danger)")


DEFAULT_LADDERS: Mapping[Kind, Ladder] = {
    Kind.LOAN: Ladder(health=(Decimal("2.0"), Decimal("1.5"), Decimal("1.15"))),
    Kind.PERP: Ladder(distance=(Decimal("0.20"), Decimal("0.10"), Decimal("0.05"))),
    Kind.BROKER: Ladder(health=(Decimal("1.5"), Decimal("1.25"), Decimal("1.10"))),
}


def ladder_of(account: Account, ladder: Ladder) -> Ladder:
    """Return `ladder` as it counts for `account`.

    A portfolio-margin account is always judged by its health too, as a broker's is by default: a hedged book may be
    next to liquidation while no common move of prices, and no single one, leads there.
    """
    if account.mode is MarginMode.PORTFOLIO and ladder.health is None:
        return Ladder(DEFAULT_LADDERS[Kind.BROKER].health, ladder.distance)
    return ladder


def rank(severity: Severity, last_known: Severity | None = None) -> int:
    """Return the order of urgency, 0 safe to 4 liquidatable; unknown is the worse of warn and `last_known`."""
    if severity is not Severity.UNKNOWN:
        return _RANK[severity]
    floor = _RANK[Severity.WARN]
    return floor if last_known is None else max(floor, _RANK.get(last_known, floor))


def judge(
    ladder: Ladder,
    health_factor: Decimal | None,
    distance: Decimal | None = None,
    moving: str = "",
    previous: Severity | None = None,
) -> tuple[Severity, str]:
    """Return severity and reason of an account that owes something.

    `health_factor` `None` means that it cannot be told: unknown, unless the ladder goes by a known distance alone.
    `distance` `None` beside a known health means that no move of one price liquidates. `moving` names the nearest move
    ("BTC down"). `previous` holds a level until it is clearly left.
    """
    if health_factor is None and (ladder.health is not None or distance is None):
        return Severity.UNKNOWN, "health_factor unknown"
    if health_factor is None and distance == 0:
        return Severity.LIQUIDATABLE, "the venue's liquidation price is reached" + (f" ({moving})" if moving else "")
    if health_factor is not None and health_factor < 1:
        return Severity.LIQUIDATABLE, f"health_factor {_shown(health_factor)} < 1"
    held = rank(previous) if previous is not None and previous is not Severity.UNKNOWN else 0
    verdicts: list[tuple[Severity, str]] = []
    if ladder.health is not None and health_factor is not None:
        severity, bound = _step(ladder.health, health_factor, held, HEALTH_LEAVE)
        verdicts.append((severity, f"health_factor {_shown(health_factor)} {bound}"))
    if ladder.distance is not None:
        if distance is None:
            verdicts.append((Severity.SAFE, "no single price move liquidates"))
        else:
            severity, bound = _step(ladder.distance, distance, held, DISTANCE_LEAVE)
            verdicts.append((severity, f"distance {_shown(distance)} {bound}" + (f" ({moving})" if moving else "")))
    if not verdicts:
        return Severity.SAFE, "health_factor >= 1, no ladder"
    return max(verdicts, key=lambda verdict: _RANK[verdict[0]])


def _step(thresholds: tuple[Decimal, ...], value: Decimal, held: int, leave: Decimal) -> tuple[Severity, str]:
    """Return the worst level whose threshold `value` is under, or that is held and not yet left."""
    for level, enter in zip(reversed(LEVELS), reversed(thresholds), strict=True):
        if value < enter:
            return level, f"< {_plain(enter)}"
        if held >= _RANK[level] and value < enter * leave:
            return level, f"< {_plain(enter * leave)} (leaving {level})"
    return Severity.SAFE, f">= {_plain(thresholds[0])}"


def _shown(value: Decimal) -> str:
    return format(value.quantize(_SHOWN, context=_WIDE), "f")


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
