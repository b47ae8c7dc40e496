"""`marginline forecast`: how likely each account is liquidated within a time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.assess import consensus_by_asset
from marginline.commands.ground import Ground, candles_of, held, model_of, say_all
from marginline.exits import Exit
from marginline.output import put_json, put_table
from providers.errors import ConfigError

if TYPE_CHECKING:
    from engine.simulation.forecast import AccountForecast, Chance


def forecast(ground: Ground, wanted: Sequence[str], *, time_to_act_s: float, as_json: bool) -> Exit:
    """Print the forecast of every account; 0 when it answered, whatever it says. Raises `AppError`."""
    from engine.simulation.answers import forecast_answer
    from engine.simulation.forecast import FITTED_ASSETS, Forecaster
    from engine.simulation.horizons import parse_horizon
    from engine.simulation.model import HORIZONS

    try:
        hours = tuple(dict.fromkeys(map(parse_horizon, wanted))) or tuple(map(float, HORIZONS))
    except ValueError as error:
        raise ConfigError(f"--horizon: {error}") from error
    model, provenance = model_of(ground)
    found = held(ground)
    candles, reasons = candles_of(ground, found)
    own = model.about.get("assets")
    fitted = FITTED_ASSETS if own is None else frozenset(map(str, own))
    forecaster = Forecaster(candles, model, fitted)
    document = found.portfolio
    agreed = consensus_by_asset(document.prices, document.as_of_ns)
    forecasts = [
        forecaster.of(
            account,
            document.prices,
            document.as_of_ns,
            market=agreed,
            horizons=hours,
            time_to_act_h=time_to_act_s / 3600,
        )
        for account in document.accounts
    ]
    degraded = [*found.degraded, *reasons]
    if as_json:
        put_json(forecast_answer(forecasts, document.as_of_ns, degraded, provenance))
    else:
        _put(forecasts)
    say_all(degraded)
    return Exit.OK


def _put(forecasts: Sequence["AccountForecast"]) -> None:
    from engine.simulation.horizons import horizon_name

    headings = ("ACCOUNT", "MOVES", "AWAY", "WITHIN", "CHANCE", "95 %", "CLOSED FORM", "EPISODES")
    rows = [
        (
            one.name if index == 0 else "",
            (one.moves or "-") if index == 0 else "",
            "" if one.distance is None or index else percent(one.distance),
            horizon_name(chance.hours),
            *_cells(chance),
        )
        for one in forecasts
        for index, chance in enumerate(one.horizons)
    ]
    put_table(headings, rows, left=2)
    for one in forecasts:
        whys = [f"{one.name}: {chance.because}" for chance in one.horizons if chance.because]
        methods = [
            f"{one.name}: {horizon_name(chance.hours)} is not calibrated ({chance.method})"
            for chance in one.horizons
            if chance.probability is not None and not chance.calibrated
        ]
        say_all([*whys, *methods, *(f"{one.name}: {note}" for note in one.notes)])


def _cells(chance: "Chance") -> list[str]:
    if chance.probability is None:
        return ["unknown", "", "", ""]
    mark = "" if chance.calibrated else "~"
    low, high = chance.low or 0.0, chance.high or 0.0
    episodes = "" if chance.episodes is None else str(chance.episodes)
    baseline = "" if chance.baseline is None else percent(chance.baseline)
    return [f"{mark}{percent(chance.probability)}", f"{percent(low)} to {percent(high)}", baseline, episodes]


def percent(value: float) -> str:
    """Return an estimated fraction as a percentage with two significant digits; tiny ones as a bound."""
    if 0 < value < 0.00001:
        return "< 0.001 %"
    return f"{value * 100:.0f} %" if value >= 0.0995 else f"{value * 100:.2g} %"
