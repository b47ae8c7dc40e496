"""Accounts and prices in plain columns, with the number grammar of the screens."""

from collections.abc import Sequence
from decimal import Decimal

from engine.accounts import Account
from engine.assessment import Assessment, Direction, Severity
from engine.severity import rank
from tui import numbers

GLYPHS = {
    Severity.SAFE: ".",
    Severity.WATCH: "o",
    Severity.WARN: "!",
    Severity.DANGER: "!!",
    Severity.LIQUIDATABLE: "X",
    Severity.UNKNOWN: "?",
}
ACCOUNT_HEADINGS = (
    "SEVERITY",
    "ACCOUNT",
    "KIND",
    "HEALTH",
    "MARKET",
    "NEXT",
    "BY",
    "LIQ AT",
    "DIST %",
    "BUFFER",
    "EQUITY",
)


def account_rows(
    assessed: Sequence[tuple[Account, Assessment]],
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return headings and one row per account, worst first."""
    worst_first = sorted(assessed, key=lambda pair: urgency(pair[1]))
    return ACCOUNT_HEADINGS, [_account_row(assessment) for _, assessment in worst_first]


def urgency(assessment: Assessment) -> tuple[int, Decimal]:
    """Return a sort key, worst first: severity, then health."""
    health = assessment.health_factor
    return -rank(assessment.severity, assessment.last_known), Decimal("Infinity") if health is None else health


def _account_row(assessment: Assessment) -> tuple[str, ...]:
    mark = GLYPHS[assessment.severity]
    severity = f"{mark:<2} {assessment.severity.value.upper()}"
    if not assessment.has_debt:
        return (
            severity,
            assessment.name,
            assessment.kind.value,
            "no debt",
            "",
            "",
            "",
            "",
            "",
            "",
            _money(assessment.equity),
        )
    market = assessment.at_market.health_factor if assessment.at_market else None
    upcoming = assessment.at_next_oracle
    has_next = assessment.trigger == "oracle"
    nearest = assessment.liquidation.get(assessment.nearest) if assessment.nearest else None
    price = distance = ""
    if nearest and nearest.price is not None:
        falls = nearest.direction is Direction.DOWN
        price = numbers.liquidation_price(nearest.price, numbers.price_places(nearest.price), falls=falls)
        distance = numbers.distance(nearest.distance, falls=falls)
    figures: tuple[str, ...] = (
        numbers.health(assessment.health_factor),
        numbers.health(market),
        numbers.health(upcoming.health_factor if upcoming else None) if has_next else "",
        assessment.nearest or "",
        price,
        distance,
        _money(assessment.buffer),
        _money(assessment.equity),
    )
    if assessment.severity is Severity.UNKNOWN:
        figures = tuple(figure if figure == assessment.nearest else numbers.unvouched(figure) for figure in figures)
    return (severity, assessment.name, assessment.kind.value, *figures)


def _money(value: Decimal | None) -> str:
    return numbers.money(value)
