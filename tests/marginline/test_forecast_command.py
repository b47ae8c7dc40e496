"""`forecast` and `calibrate` as a user runs them: documents, folders, a venue; every bad input has its exit code."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from engine.simulation.candles import Candles
from tests.engine.simulation.accounts import AS_OF, HOURS, loan, perp
from tests.engine.simulation.series import made
from tests.hyperliquid_server import HyperliquidServer
from tests.marginline.command import Done, marginline, write
from tests.marginline.test_readers import ask, config, on_loopback
from tests.venues import VenueServer


def csv(folder: Path, asset: str, candles: Candles) -> None:
    table = zip(candles.ts, candles.open, candles.high, candles.low, candles.close, strict=True)
    lines = [",".join(f"{value:.10g}" for value in row) for row in table]
    write(folder / f"{asset.lower()}_1h.csv", ["ts,open,high,low,close", *lines])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("candles")
    csv(path, "ETH", made(HOURS, 1))
    return path


def document(*accounts: dict[str, Any], as_of: str = AS_OF, **prices: dict[str, Any]) -> str:
    said = {
        "schema": "marginline.portfolio/1",
        "as_of": as_of,
        "prices": {"ETH": {"oracle": "2500"}, "USDC": {"oracle": "1", "stable": True}} | prices,
        "accounts": [{"name": f"a{index}", **each} for index, each in enumerate(accounts or (loan("18000"),))],
    }
    return json.dumps(said)


def forecast(*arguments: str | Path, stdin: str = "", **options: Any) -> Done:
    return marginline("forecast", "--portfolio", "-", *arguments, stdin=stdin or document(), **options)


def test_a_document_and_a_folder_give_probability_interval_baseline_and_method(folder: Path) -> None:
    done = forecast("--candles", folder, "--json", stdin=document(loan("18000"), perp("-10")))
    assert done.code == 0, done.err
    assert done.json["schema"] == "marginline.forecast/1"
    first, second = done.json["accounts"]
    assert (first["moves"], second["moves"]) == ("ETH down", "ETH up")
    assert list(first["horizons"]) == ["1h", "24h", "7d"]
    day = first["horizons"]["24h"]
    low, high = map(float, day["interval"])
    assert 0 < low < float(day["probability"]) < high < 1
    assert float(day["baseline"]) >= 0
    assert day["calibrated"] is True
    assert day["method"] == "calibrated map"
    assert day["episodes"] > 0


def test_any_horizon_is_taken_and_labelled(folder: Path) -> None:
    done = forecast("--candles", folder, "--json", "--horizon", "6h", "--horizon", "30d", "--horizon", "24h")
    horizons = done.json["accounts"][0]["horizons"]
    assert list(horizons) == ["6h", "30d", "24h"]
    assert horizons["6h"]["method"] == "calibrated map, horizon interpolated"
    assert "extrapolated" in horizons["30d"]["method"]
    assert [horizons[each]["calibrated"] for each in horizons] == [False, False, True]


def test_a_table_marks_what_is_not_calibrated_and_tells_reasons_on_stderr() -> None:
    done = forecast(stdin=document(loan(), ETH={"oracle": "2500", "volatility": "0.7"}))
    assert done.code == 0
    assert "CLOSED FORM" in done.out
    assert "~" in done.out
    assert "a0: 24h is not calibrated (pooled map on stated volatility" in done.err


def test_without_history_or_volatility_the_answer_is_unknown_with_its_reason() -> None:
    done = forecast("--json")
    assert done.code == 0
    day = done.json["accounts"][0]["horizons"]["24h"]
    assert (day["probability"], day["interval"]) == (None, None)
    assert day["because"] == "no recent candles and no volatility of ETH"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--horizon", "1y"], "--horizon: '1y' is no horizon; write 30m, 6h or 7d"),
        (["--horizon", "900d"], "outside 15m to 90d"),
        (["--candles", "/no/such/folder"], "/no/such/folder: is no folder"),
        (["--from-venue", "nasdaq"], "unknown venue 'nasdaq'"),
        (["--from-venue", "kraken"], "kraken gives no hourly candles"),
        (["--model", "/no/such/model"], "/no/such/model: cannot be read"),
    ],
)
def test_bad_options_are_usage_errors_that_say_what_to_write(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = forecast(*arguments, home=tmp_path)
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize("volatility", ["NaN", "Infinity", "-0.5", "0"])
def test_a_volatility_that_is_none_is_refused_by_its_path(volatility: str) -> None:
    done = forecast(stdin=document(ETH={"oracle": "2500", "volatility": volatility}))
    assert done.code == 2
    assert "prices.ETH.volatility" in done.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1609459200,1,2,0.5,nan", "line 2: holds a value that is not finite"),
        ("1609459200,1,2,0.5", "line 2: is not five numbers"),
        ("1609459200,-1,2,0.5,1", "every price must be a finite number above 0"),
        ("1609459200,1,2,1.5,1", "has open or close outside its high and low"),
        ("1609459201,1,2,0.5,1", "is not a whole multiple of 3600 s"),
    ],
)
def test_bad_candles_are_usage_errors_that_name_file_and_line(tmp_path: Path, line: str, said: str) -> None:
    write(tmp_path / "eth_1h.csv", ["ts,open,high,low,close", line])
    done = forecast("--candles", tmp_path)
    assert done.code == 2
    assert "eth_1h.csv" in done.err
    assert said in done.err


def market_rows(hours: int) -> list[tuple[str, str, str, str]]:
    series = made(hours, 3, price=2480)
    return [
        (f"{o:.6f}", f"{h + 0.01:.6f}", f"{low - 0.01:.6f}", f"{c:.6f}")
        for o, h, low, c in zip(series.open, series.high, series.low, series.close, strict=True)
    ]


def test_live_accounts_are_forecast_from_the_candles_of_a_configured_venue(tmp_path: Path) -> None:
    async def work(venue: HyperliquidServer, one: VenueServer, two: VenueServer) -> None:
        one.set_hours("ETH", market_rows(2300))
        path = config(tmp_path, venue, one, two)
        done = await ask("forecast", "--json", "-c", path)
        assert done.code == 0, done.err
        (account,) = done.json["accounts"]
        assert account["moves"] == "ETH up"
        assert float(account["distance"]) == pytest.approx(2950.98039216 / 2500 - 1, abs=1e-3)
        assert account["horizons"]["7d"]["calibrated"] is True
        required = await ask("requirement", "--json", "-c", path)
        assert required.code == 0, required.err
        assert float(required.json["accounts"][0]["required"]) > 25_000 * 0.05
        venue.info = {}
        unread = await ask("forecast", "--json", "-c", path, "--timeout", "5")
        assert unread.code == 4
        assert unread.out == ""

    on_loopback(work)


def test_candles_of_a_venue_are_read_when_it_is_named(tmp_path: Path) -> None:
    rows = market_rows(2300)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    async def test() -> Done:
        async with VenueServer("binance") as server:
            server.set_hours("ETH", rows)
            config = write(tmp_path / "c.toml", ["[venues.binance]", f'rest_url = "{server.url_rest}"'])
            return await asyncio.to_thread(
                forecast, "--json", "--from-venue", "binance", "--config", config, stdin=document(as_of=now)
            )

    done = asyncio.run(test())
    assert done.code == 0, done.err
    assert done.json["degraded"] == []
    assert done.json["accounts"][0]["horizons"]["24h"]["method"].startswith("calibrated map")


def test_a_venue_out_of_reach_is_a_reason_and_not_a_crash(tmp_path: Path) -> None:
    config = write(tmp_path / "c.toml", ["[venues.bybit]", 'rest_url = "http://127.0.0.1:9"'])
    done = forecast("--json", "--from-venue", "bybit", "--config", config)
    assert done.code == 0, done.err
    assert done.json["degraded"][0].startswith("candles of ETH: bybit:")
    assert done.json["accounts"][0]["horizons"]["24h"]["probability"] is None


def test_own_candles_refit_with_one_command_and_the_fit_serves(tmp_path: Path, folder: Path) -> None:
    csv(tmp_path, "SOL", made(9000, 5))
    done = marginline("calibrate", tmp_path / "own.json", "--candles", tmp_path, "--json", timeout=300)
    assert done.code == 0, done.err
    assert {(each["hours"], each["side"]) for each in done.json["scores"]} >= {(1, "down"), (168, "up")}
    assert all(float(each["ratio"]) > 0 for each in done.json["scores"])
    said = forecast("--candles", folder, "--model", tmp_path / "own.json", "--json")
    assert said.code == 0, said.err
    assert said.json["model"].endswith("own.json")
    assert said.json["accounts"][0]["horizons"]["24h"]["method"] == "pooled map, not calibrated for this asset"


def test_too_little_history_cannot_be_fitted(folder: Path, tmp_path: Path) -> None:
    done = marginline("calibrate", tmp_path / "own.json", "--candles", folder)
    assert done.code == 2
    assert "a fit needs at least nine months" in done.err
    assert not (tmp_path / "own.json").exists()
