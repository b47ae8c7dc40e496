"""`marginline calibrate`: the forecast fitted to a user's own candles, and scored on the part that it has not seen."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from engine.answers import envelope
from marginline.commands.ground import config_or_default, from_folder, from_source, now_ns, say_all, source_of
from marginline.exits import Exit
from marginline.output import put, put_json, put_table
from providers.errors import ConfigError

CALIBRATE_SCHEMA = "marginline.calibrate/1"
_HELD_OUT = 0.25
_PATIENCE_S = 300.0


def calibrate(
    out: Path,
    assets: Sequence[str],
    folder: Path | None,
    venue: str | None,
    config: Path | None,
    *,
    days: int,
    as_json: bool,
) -> Exit:
    """Fit, score on the last quarter, fit again on everything, write to `out`; raises `ConfigError`."""
    # Many small matrices: threads that wait for one another cost more than they give. Read when NumPy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from engine.simulation.candles import CandleError, Candles
    from engine.simulation.fit import History, fit, fit_maps, prepare
    from engine.simulation.model import HORIZONS, SIDES, Model, render_model
    from engine.simulation.scores import cells, score

    if (folder is None) == (venue is None):
        raise ConfigError("say where candles come from: either --candles DIR or --from-venue NAME")
    series: dict[str, Candles]
    reasons: list[str] = []
    if folder is not None:
        names = assets or sorted({path.name.split("_1h.csv")[0].upper() for path in folder.glob("*_1h.csv*")})
        series = from_folder(folder, names)
    else:
        source = source_of(venue, config_or_default(config))
        if source is None or not assets:
            raise ConfigError("name the assets to read from the venue: marginline calibrate own.json SOL LINK ...")
        names = list(assets)
        series, reasons = asyncio.run(from_source(source, names, days * 24, _PATIENCE_S))
    lacking = [name for name in names if name not in series]
    if lacking or not series:
        say_all(reasons)
        raise ConfigError(f"no candles of {', '.join(lacking) or 'any asset'}; need ASSET_1h.csv with a year or more")
    begin, end = min(float(each.ts[0]) for each in series.values()), max(each.ends_s for each in series.values())
    cut = end - (end - begin) * _HELD_OUT
    try:
        hours, _ = prepare(History(series))
        early = Model(fit_maps(hours, None, 0.0, cut), {})
        scores = [score(cells(early, series, each, side, cut, end), each, side) for each in HORIZONS for side in SIDES]
        about = {
            "assets": sorted(series),
            "trained_until": int(end),
            "hours": {asset: len(each) for asset, each in series.items()},
        }
        model = fit(History(series), about, [cut])
    except (CandleError, ValueError) as error:
        raise ConfigError(f"calibrate: {error}") from error
    try:
        out.write_text(render_model(model), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written: {error.strerror or error}") from error
    if as_json:
        rows = [
            {
                "hours": each.hours,
                "side": each.side,
                "log_loss": f"{each.log_loss:.4f}",
                "baseline": f"{each.baseline_log_loss:.4f}",
                "ratio": f"{each.ratio:.4f}",
                "interval": [f"{each.low:.4f}", f"{each.high:.4f}"],
                "calibration_error": f"{each.calibration_error:.4f}",
            }
            for each in scores
        ]
        put_json(envelope(CALIBRATE_SCHEMA, now_ns(), [], file=str(out), assets=sorted(series), scores=rows))
        return Exit.OK
    put_table(
        ("HORIZON", "MOVE", "LOG LOSS", "CLOSED FORM", "RATIO", "95 %", "ECE"),
        [
            (
                f"{each.hours} h",
                each.side,
                f"{each.log_loss:.4f}",
                f"{each.baseline_log_loss:.4f}",
                f"{each.ratio:.3f}",
                f"{each.low:.3f} to {each.high:.3f}",
                f"{each.calibration_error:.4f}",
            )
            for each in scores
        ],
        left=2,
    )
    put(f"scored on the last quarter, fitted again on everything, written to {out}")
    return Exit.OK
