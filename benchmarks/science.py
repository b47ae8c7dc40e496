"""Refit the forecast on a data folder, compare with what is shipped, and print every score beside its baseline.

    make science DATA=folder            everything below; nothing is written
    python -m benchmarks.science folder --freeze     write the coefficients that are shipped (fits, scores nothing)
    python -m benchmarks.science folder --record     everything, and write the scores that are shipped

The coefficients are learnt from what was over before 2024-01-01; the scores are of 2024-01-01 until the data ends.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.science_tables import (
    coverage_table,
    empty_note,
    goal_table,
    interpolation_table,
    interval_table,
    score_table,
    tail_table,
)
from engine.simulation.backtest import Coverage, coverage, range_floor
from engine.simulation.candles import DAY_S, CandleError, Candles, read_candles
from engine.simulation.features import daily, hourly
from engine.simulation.fit import History, fit, moment
from engine.simulation.model import HORIZONS, SIDES, Model, Outlook, frozen, parse_model, render_model
from engine.simulation.scores import Cell, Score, cells, score

ASSETS = ("btc", "eth")
TRAINED_UNTIL = "2024-01-01"
DAYS_SINCE = "2018-01-01"
FOLDS = ("2022-01-01", "2022-07-01", "2023-01-01", "2023-07-01")
FROZEN = Path(__file__).parent.parent / "engine" / "simulation" / "calibration.json"
SCORES = FROZEN.with_name("scores.json")
FLOORS = (0.05, 0.01, 0.001)
NO_DATA = """science: {why}

It needs a folder with hourly candles from before 2021 until after 2024, oldest first, in UTC:
  btc_1h.csv(.gz), eth_1h.csv(.gz)   columns ts (opening, seconds), open, high, low, close
  btc_daily.csv(.gz)                 the same columns by the day (ts or unix_timestamp), from 2018 on
Where to get them: data.binance.vision (spot/monthly/klines/BTCUSDT/1h and 1d, ETHUSDT/1h; put the header
ts,open,high,low,close,... on top), or Coinbase Exchange /products/BTC-USD/candles?granularity=3600.
Then: make science DATA=folder"""


def read(folder: Path) -> History:
    """Return the history in a folder; raises `CandleError` naming what is missing."""
    hours: dict[str, Candles] = {}
    for asset in ASSETS:
        hours[asset] = read_candles(_file(folder, f"{asset}_1h"))
    return History(hours, read_candles(_file(folder, "btc_daily"), step_s=DAY_S), moment(DAYS_SINCE))


def _file(folder: Path, stem: str) -> Path:
    for name in (f"{stem}.csv.gz", f"{stem}.csv"):
        if (folder / name).is_file():
            return folder / name
    raise CandleError(f"{folder}/{stem}.csv(.gz): is not there")


def refit(history: History) -> Model:
    """Return the model of what was over before 2024, with its provenance and floors of the margin range."""
    learnt = history.before(moment(TRAINED_UNTIL))
    about: dict[str, object] = {
        "trained_until": TRAINED_UNTIL,
        "hours": {asset: len(each) for asset, each in learnt.hours.items()},
        "days": 0 if learnt.days is None else int((learnt.days.ts >= learnt.days_since_s).sum()),
        "digest": _digest(learnt),
        "source": "hourly BTC, ETH against USD(T) from 2020-10-23; daily BTC/USD from 2018-01-01; all before 2024",
    }
    model = fit(learnt, about, [moment(each) for each in FOLDS])
    floors = {
        side: {
            str(hours): {
                str(target): round(range_floor(model, learnt.hours, side, hours, target), 6) for target in FLOORS
            }
            for hours in HORIZONS
        }
        for side in SIDES
    }
    return replace(model, about={**about, "range_floor": floors})


def _digest(history: History) -> str:
    """Return a digest of every price that is learnt from, so that another data set is told from ours."""
    digest = hashlib.sha256()
    series = [history.hours[asset] for asset in sorted(history.hours)]
    for each in [*series, *([] if history.days is None else [history.days])]:
        digest.update(np.stack([each.ts, each.open, each.high, each.low, each.close]).tobytes())
    return digest.hexdigest()[:16]


def difference(model: Model, shipped: Model, history: History) -> float:
    """Return the largest difference of probabilities between two models, over a day in fifty and all knots."""
    worst = 0.0
    for candles in history.hours.values():
        features = hourly(candles) | daily(candles, 24)
        usable = np.flatnonzero(np.isfinite(features["day_range_90"]))[::1200]
        now = {name: values[usable] for name, values in features.items()}
        for side in SIDES:
            ours, theirs = Outlook(model, now, side), Outlook(shipped, now, side)
            for hours in HORIZONS:
                for knot in model.maps[hours, side].knots:
                    gap = np.abs(ours.chances(hours, knot) - theirs.chances(hours, knot))
                    worst = max(worst, float(gap.max()))
    return worst


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Every score of a period: by horizon and direction, with all cells, between horizons, and of margin rules."""

    found: dict[tuple[int, str], list[Cell]]
    scores: dict[tuple[int, str], Score]
    whole: dict[tuple[int, str], Score]
    between: list[Score]
    covered: list[Coverage]


def measure(history: History, model: Model, begin_s: float, end_s: float) -> Measured:
    """Return every score of `model` over a period."""
    series = history.hours
    found = {(hours, side): cells(model, series, hours, side, begin_s, end_s) for side in SIDES for hours in HORIZONS}
    between = [
        score(cells(model, series, hours, side, begin_s, end_s, moves), hours, side)
        for hours, moves in ((6, (0.02, 0.03, 0.05, 0.10)), (72, (0.05, 0.10, 0.15, 0.20)))
        for side in SIDES
    ]
    covered = [
        row
        for hours, target in ((24, 0.01), (168, 0.01), (24, 0.001))
        for row in coverage(model, series, hours, target, begin_s, end_s)
    ]
    return Measured(
        found,
        {key: score(each, *key) for key, each in found.items()},
        {key: score(each, *key, with_empty=True) for key, each in found.items()},
        between,
        covered,
    )


def report(measured: Measured) -> str:
    """Return every table of scores."""
    notes = [empty_note(*key, measured.whole[key], each) for key, each in measured.scores.items()]
    return "\n\n".join(
        (
            score_table(list(measured.scores.values())),
            "\n".join(note for note in notes if note),
            goal_table(measured.scores, measured.found),
            tail_table(measured.found),
            interval_table(measured.found),
            interpolation_table(measured.between),
            coverage_table(measured.covered),
        )
    )


def recorded(measured: Measured, begin: str, end: str) -> str:
    """Return the scores as the file that is shipped beside the coefficients."""
    document = {
        "schema": "marginline.scores/1",
        "period": [begin, end],
        "scores": [rounded(asdict(each)) for each in measured.scores.values()],
        "coverage": [rounded(asdict(each)) for each in measured.covered],
    }
    return json.dumps(document, indent=1) + "\n"


def rounded(row: dict[str, object]) -> dict[str, object]:
    """Return a row with its estimates to five decimals."""
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in row.items()}


def main(arguments: Sequence[str]) -> int:
    """Run the comparison; 0 when the refit equals what is shipped, 1 when it does not, 2 without data."""
    parser = argparse.ArgumentParser(prog="science", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", nargs="?", default="")
    parser.add_argument("--freeze", action="store_true")
    parser.add_argument("--record", action="store_true")
    said = parser.parse_args(arguments)
    try:
        if not said.data:
            raise CandleError("no data folder was named")
        history = read(Path(said.data))
    except CandleError as error:
        print(NO_DATA.format(why=error), file=sys.stderr)
        return 2
    began = time.monotonic()
    refitted = refit(history)
    print(f"refitted on what was over before {TRAINED_UNTIL} in {time.monotonic() - began:.0f} s")
    if said.freeze:
        FROZEN.write_text(render_model(refitted), encoding="utf-8")
        print(f"wrote {FROZEN}")
        return 0
    shipped = frozen()
    same_data = refitted.about["digest"] == shipped.about["digest"]
    gap = difference(parse_model(render_model(refitted)), shipped, history)
    equals = "equals" if same_data else "differs from"
    print(f"data {equals} what was fitted; largest difference of a probability {gap:.1e}")
    end_s = max(each.ends_s for each in history.hours.values())
    ends = time.strftime("%Y-%m-%d", time.gmtime(end_s))
    print(f"scores of the shipped coefficients on {TRAINED_UNTIL} until {ends}\n")
    measured = measure(history, shipped, moment(TRAINED_UNTIL), end_s)
    print(report(measured))
    if said.record:
        SCORES.write_text(recorded(measured, TRAINED_UNTIL, ends), encoding="utf-8")
    print(f"\n{time.monotonic() - began:.0f} s in all")
    return 0 if gap < 1e-6 or not same_data else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
