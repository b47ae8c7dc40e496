"""Forecasts as `forecast --json` answers them; numbers are strings, a null one has a reason beside it.

Beyond DESIGN 6 an account says what must move and how far (`moves`, `distance`), its annual `volatility`, when the
candles end, and `notes`; a horizon says `episodes` (independent moves of that size in the history) and `because` for a
null.
"""

from collections.abc import Sequence
from decimal import Decimal

from engine.answers import Answer, envelope
from engine.rendering import plain, timestamp
from engine.simulation.forecast import AccountForecast, Chance
from engine.simulation.horizons import horizon_name

FORECAST_SCHEMA = "marginline.forecast/1"


def figures(value: float | None, digits: int = 4) -> str | None:
    """Return an estimate with `digits` significant digits and at most 12 decimals; `None` stays `None`."""
    return None if value is None else plain(round(Decimal(f"{value:.{digits}g}"), 12))


def forecast_answer(
    forecasts: Sequence[AccountForecast], as_of_ns: int, degraded: Sequence[str] = (), model: str = "shipped"
) -> Answer:
    """Return `marginline.forecast/1`; `model` says where the coefficients come from."""
    accounts = [
        {
            "name": each.name,
            "moves": each.moves or None,
            "distance": figures(each.distance),
            "volatility": figures(each.sigma),
            "candles_end": None if each.candles_end_s is None else timestamp(int(each.candles_end_s) * 1_000_000_000),
            "notes": list(each.notes),
            "horizons": {horizon_name(chance.hours): _chance(chance) for chance in each.horizons},
        }
        for each in forecasts
    ]
    return envelope(FORECAST_SCHEMA, as_of_ns, degraded, model=model, accounts=accounts)


def _chance(chance: Chance) -> Answer:
    is_known = chance.probability is not None
    return {
        "probability": figures(chance.probability),
        "interval": [figures(chance.low), figures(chance.high)] if is_known else None,
        "baseline": figures(chance.baseline),
        "method": chance.method or None,
        "calibrated": chance.calibrated,
        "episodes": chance.episodes,
        "because": chance.because or None,
    }
