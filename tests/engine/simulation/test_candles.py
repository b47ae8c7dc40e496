"""Candles and horizons as they are read: holes are bridged or cut, what is no candle is refused, files are found."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.simulation.candles import HOUR_S, CandleError, candles, file_of, read_candles
from engine.simulation.horizons import LONGEST_H, SHORTEST_H, horizon_name, parse_horizon

ROWS = [(HOUR_S * at, 10.0 + at, 12.0 + at, 9.0 + at, 11.0 + at) for at in range(40)]


def test_a_short_hole_is_bridged_by_flat_candles_at_the_last_close() -> None:
    found = candles([row for at, row in enumerate(ROWS) if not 10 <= at < 16])
    assert len(found) == 40
    assert found.bridged == 6
    assert found.open[12] == found.high[12] == found.low[12] == found.close[12] == ROWS[9][4]
    assert (np.diff(found.ts) == HOUR_S).all()


def test_a_long_hole_cuts_off_what_is_before_it() -> None:
    found = candles([row for at, row in enumerate(ROWS) if not 10 <= at < 17])
    assert found.ts[0] == HOUR_S * 17
    assert (len(found), found.bridged) == (23, 0)


def test_rows_in_any_order_are_put_in_order() -> None:
    assert (candles(reversed(ROWS)).close == candles(ROWS).close).all()


def test_before_gives_only_what_opened_earlier() -> None:
    cut = candles(ROWS).before(HOUR_S * 5)
    assert (len(cut), cut.ends_s) == (5, HOUR_S * 5)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "has no candle"),
        ([ROWS[0], ROWS[0]], "two candles open at 0"),
        ([(0, 1, 2, 0.5, float("inf"))], "finite number above 0"),
        ([(1800, 1, 2, 0.5, 1)], "whole multiple of 3600 s"),
    ],
)
def test_what_is_no_series_of_candles_is_refused(rows: list[tuple[float, ...]], said: str) -> None:
    with pytest.raises(CandleError, match=said):
        candles(rows)


def test_a_file_may_be_plain_or_packed_with_milliseconds_and_columns_in_any_order(tmp_path: Path) -> None:
    text = "close,ts,low,high,open,volume\n" + "".join(
        f"{c},{1_700_000_000_000 // 3_600_000 * 3_600_000 + int(t) * 1000},{low},{h},{o},7\n"
        for t, o, h, low, c in ROWS
    )
    (tmp_path / "sol_1h.csv.gz").write_bytes(gzip.compress(text.encode()))
    path = file_of(tmp_path, "SOL")
    assert path is not None
    found = read_candles(path)
    assert found.ts[0] == 1_700_000_000 // 3600 * 3600
    assert found.close[-1] == ROWS[-1][4]
    assert file_of(tmp_path, "ETH") is None


def test_a_file_that_is_no_table_is_refused_by_name(tmp_path: Path) -> None:
    for name, data in (("a_1h.csv", b"x,y\n1,2\n"), ("b_1h.csv.gz", b"not gzip"), ("c_1h.csv", b"\xff\xfe\x00")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(CandleError, match=name):
            read_candles(tmp_path / name)


@given(st.sampled_from("mhd"), st.integers(1, 99_999))
def test_a_horizon_that_is_read_is_named_and_read_again(unit: str, count: int) -> None:
    text = f"{count}{unit}"
    if not SHORTEST_H <= count * {"m": 1 / 60, "h": 1, "d": 24}[unit] <= LONGEST_H:
        with pytest.raises(ValueError, match="outside"):
            parse_horizon(text)
        return
    assert parse_horizon(horizon_name(parse_horizon(text))) == pytest.approx(parse_horizon(text), rel=1e-9)


@pytest.mark.parametrize("text", ["", "h", "1w", "-1h", "1e3h", "0h", "nanh", "1 h x"])
def test_what_is_no_horizon_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"horizon|outside"):
        parse_horizon(text)


def test_the_usual_horizons_keep_their_usual_names() -> None:
    assert [horizon_name(hours) for hours in (1, 24, 168, 0.5, 36, 72)] == ["1h", "24h", "7d", "30m", "36h", "3d"]
