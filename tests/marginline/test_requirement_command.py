"""`requirement` as a user runs it: presets with their sources, the back-test beside the rule, exit codes."""

from pathlib import Path
from typing import Any

import pytest

from tests.engine.simulation.accounts import HOURS, loan, perp
from tests.engine.simulation.series import made
from tests.marginline.command import Done, marginline
from tests.marginline.test_forecast_command import csv, document


def requirement(*arguments: str | Path, stdin: str = "", **options: Any) -> Done:
    return marginline("requirement", "--portfolio", "-", *arguments, stdin=stdin or document(), **options)


def test_a_preset_answers_with_its_source_and_what_the_protocol_asks() -> None:
    done = requirement("--preset", "deribit-like", "--json", stdin=document(loan("15000"), perp("-8")))
    assert done.code == 0, done.err
    said = done.json
    assert said["schema"] == "marginline.requirement/1"
    assert "25944756247837" in said["rule"]["source"]
    assert said["rule"]["certainty"]
    assert (said["rule"]["prices"], len(said["rule"]["volatilities"])) == (9, 3)
    first, second = said["accounts"]
    assert (first["required"], first["protocol_required"]) == ("4125.00", "4250.00")
    assert second["thresholds"] == [{"asset": "ETH", "protocol": "0.01", "implied": "0.165", "note": None}]
    assert said["netting"]["saved"] == "6600.00"
    assert len(said["netting"]["breaks"]) == 2


def test_the_adjusted_rule_prints_its_range_its_floor_and_its_back_test(tmp_path: Path) -> None:
    csv(tmp_path, "ETH", made(HOURS, 1))
    done = requirement("--candles", tmp_path, "--json")
    assert done.code == 0, done.err
    reach = done.json["ranges"]["ETH"]
    assert reach["calibrated"] is True
    assert float(reach["floor"]) <= float(reach["down"]) < float(reach["down_at_twice_the_volatility"])
    tested = {(row["asset"], row["rule"]): float(row["exceeded"]) for row in done.json["backtest"]}
    assert tested["ETH", "calibrated"] <= 0.0111
    assert tested["ETH", "normal, 30 d"] > 3 * tested["ETH", "calibrated"]
    shown = requirement("--candles", tmp_path)
    assert "back-test 2024-01-01 to" in shown.out
    assert "a what-if: no protocol asks for this" in shown.err


def test_a_horizon_without_a_back_test_shows_none(tmp_path: Path) -> None:
    csv(tmp_path, "ETH", made(HOURS, 1))
    done = requirement("--candles", tmp_path, "--horizon", "3d", "--json")
    assert done.json["backtest"] == []
    assert done.json["ranges"]["ETH"]["calibrated"] is False


def test_an_asset_without_history_is_unknown_with_its_reason() -> None:
    done = requirement("--json")
    assert done.code == 0
    assert done.json["accounts"][0]["required"] is None
    assert done.json["accounts"][0]["because"] == "no recent candles and no volatility of ETH"
    assert done.json["netting"]["left_out"] == ["a0"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset", "binance"], "known: vol-adjusted, deribit-like, okx-like"),
        (["--horizon", "soon"], "'soon' is no horizon"),
        (["--confidence", "2"], "--confidence"),
        (["--slippage", "-1"], "--slippage"),
    ],
)
def test_bad_options_are_usage_errors(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = requirement(*arguments, home=tmp_path)
    assert done.code == 2
    assert said in done.err
