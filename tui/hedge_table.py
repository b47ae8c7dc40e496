"""Ways to hedge one account as a table of text: what each takes now, what it costs a year, how far it holds."""

from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal

from engine.hedge_case import Comparison, Hedge
from tui import numbers


def hedge_headings(found: Comparison) -> tuple[str, ...]:
    """Return the headings of `hedge_rows`; the first three columns are text."""
    return ("MEANS", "WITH", "PRICED AT", "QUANTITY", "MONEY NOW", f"%/Y OF {found.base_name.upper()}", "HOLDS TO")


def hedge_rows(found: Comparison) -> list[tuple[str, ...]]:
    """Return one row per way, in the order of `found`; one that is not there says why instead of a quantity."""
    return [_row(found, each) for each in found.hedges]


def cannot_lines(hedges: Iterable[Hedge]) -> list[tuple[str, str]]:
    """Return (means, what it cannot do), each sentence once per means."""
    return list(dict.fromkeys((each.means, line) for each in hedges for line in each.cannot))


def _row(found: Comparison, hedge: Hedge) -> tuple[str, ...]:
    if hedge.quantity is None:
        return (hedge.means, hedge.because, "", "", "", "", "")
    places = numbers.price_places(None if found.threat is None else found.threat.price)
    return (
        hedge.means,
        hedge.instrument,
        hedge.premium_from,
        numbers.amount(numbers.round_exactly(hedge.quantity, 4, ROUND_CEILING), Decimal(100)),
        numbers.estimated(numbers.debt(hedge.money)) if hedge.premium_from == "theory" else numbers.debt(hedge.money),
        _yearly(found, hedge),
        numbers.price(hedge.protected_to, places),
    )


def _yearly(found: Comparison, hedge: Hedge) -> str:
    """Return the cost in percent of debt or notional a year, rounded up; a saving is negative, unknown is `?`."""
    share = found.of_base(hedge)
    if share is None:
        return numbers.UNKNOWN if hedge.means == "perp" or hedge.premium is not None else ""
    shown = numbers.round_exactly(share * 100, 1, ROUND_CEILING)
    text = f"{abs(shown) if shown == 0 else shown:,f}"
    return numbers.estimated(text) if hedge.premium_from == "theory" else text
