"""`make science` without data says where to get it; the shipped scores belong to the shipped coefficients."""

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from engine.simulation.model import HORIZONS, SIDES, frozen, parse_model, render_model

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("arguments", [[], ["/no/such/folder"]])
def test_without_data_it_says_where_candles_come_from_and_how_to_name_them(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.science", *arguments], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 2
    assert "btc_1h.csv" in done.stderr
    assert "data.binance.vision" in done.stderr
    assert "make science DATA=folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_shipped_model_is_whole_and_survives_writing_and_reading() -> None:
    model = frozen()
    assert set(model.maps) == {(hours, side) for hours in HORIZONS for side in SIDES}
    assert model.about["trained_until"] == "2024-01-01"
    again = parse_model(render_model(model))
    assert render_model(again) == render_model(model)


def test_the_shipped_scores_stand_beside_their_baseline() -> None:
    said = json.loads(files("engine.simulation").joinpath("scores.json").read_bytes())
    assert said["period"][0] == frozen().about["trained_until"]
    for row in said["scores"]:
        assert row["log_loss"] < row["baseline_log_loss"], row
        assert row["low"] <= row["ratio"] <= row["high"]
    assert {row["rule"] for row in said["coverage"]} >= {"calibrated", "normal, 30 d", "fixed 16 %"}
