"""Price table, quote list and their gauges."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.strip import Strip

from widgets.gauges import Divergence, Gauge, Spark, divergence_bar, divergence_heading, gauge, spark
from widgets.lines import length, plain
from widgets.prices import PriceRow, Prices, PriceTable, QuoteList, QuoteRow, Quotes, price_layout, quote_layout
from widgets.tones import Cell, Tone


def price(asset: str, oracle: str, age: str, market: str, bps: str, deviation: float | None = 50) -> PriceRow:
    return PriceRow(
        asset,
        Cell(asset, Tone.STRONG),
        Cell(oracle),
        Cell(age, Tone.MUTED),
        Cell(market),
        Cell(bps),
        Divergence(float(bps) if bps else None, deviation, Tone.WARN),
        Gauge(0.1),
        Cell("60m", Tone.FAINT),
        Cell("not due", Tone.MUTED),
        Cell("6/6"),
        Cell("bybit 4m"),
    )


ROWS = (
    price("ETH", "2,481.0", "12s", "2,459.4", "-87.1"),
    price("SOL", "138.21", "4.0s", "138.02?", "-6.2"),
    price("XRP", "2.1190", "7.0s", "2.1232", "+19.8"),
    price("SPY", "500.12", "15m", "?", "", None),
)
QUOTES = Quotes(
    (
        QuoteRow(
            Cell("binance", Tone.STRONG),
            Cell("2,459.2", Tone.MUTED),
            Cell("2,459.4"),
            Cell("0.2s", Tone.MUTED),
            Cell("-87.4"),
            Divergence(-87.4, 50.0, Tone.WARN),
            Cell("live", Tone.MUTED),
        ),
        QuoteRow(
            Cell("bybit", Tone.MUTED),
            Cell("2,462.0"),
            Cell("2,462.1?"),
            Cell("4m12s", Tone.STALE),
            Cell("-76.2"),
            Divergence(-76.2, 50.0, Tone.MUTED),
            Cell("down, left the consensus", Tone.UNKNOWN),
        ),
    )
)


def table(width: int) -> list[str]:
    layout = price_layout(width)
    return [plain(layout.heading()).rstrip(), *(plain(layout.line(row)).rstrip() for row in ROWS)]


def test_the_pane_beside_alerts_reads_as_designed() -> None:
    assert table(60) == [
        " ASSET    ORACLE   AGE   MARKET   DIV bps    -dev 0 +dev",
        " ETH     2,481.0   12s  2,459.4     -87.1  ━━━━━━━│   │",
        " SOL      138.21  4.0s   138.02?     -6.2     │  ─│   │",
        " XRP      2.1190  7.0s   2.1232     +19.8     │   │━━ │",
        " SPY      500.12   15m        ?                   │",
    ]


def test_the_own_screen_adds_heartbeat_next_print_and_venues() -> None:
    heading, first = table(120)[:2]
    assert heading.split() == [
        *("ASSET", "ORACLE", "AGE", "MARKET", "DIV", "bps"),
        *("-dev", "0", "+dev", "HEARTBEAT", "NEXT", "PRINT", "VENUES"),
    ]
    assert first.endswith("━─────────  60m not due          6/6    bybit 4m")


def test_every_width_is_filled_exactly() -> None:
    for width in range(20, 201):
        assert all(length(price_layout(width).line(row)) == width for row in ROWS)
        assert all(length(quote_layout(width).line(row)) == width for row in QUOTES.rows)
        assert length(price_layout(width).heading()) == width


def test_a_small_screen_keeps_the_next_print() -> None:
    assert "NEXT PRINT" in table(80)[0]
    assert "HEARTBEAT" not in table(80)[0]
    assert table(40)[0].split() == ["ASSET", "ORACLE", "MARKET", "DIV", "bps"]


def test_quotes_read_as_designed() -> None:
    layout = quote_layout(120)
    assert [plain(layout.line(row)).rstrip() for row in QUOTES.rows] == [
        "  binance        2,459.2   2,459.4   0.2s    -87.4  ━━━━━━━━━━━━━━━│        │       live",
        "  bybit          2,462.0   2,462.1? 4m12s    -76.2   ━━━━━━━━━━━━━━│        │       down, left the consensus",
    ]


@given(st.floats(-1e7, 1e7), st.none() | st.floats(0, 1e4), st.integers(3, 60))
def test_a_divergence_bar_points_to_the_markets_side(bps: float, deviation: float | None, width: int) -> None:
    bar = "".join(text for text, _ in divergence_bar(Divergence(bps, deviation), width))
    assert len(bar) == width
    half = (width - 1) // 2
    assert bar[half] == "│"
    left, right = ({"━", "─"} & set(side) for side in (bar[:half], bar[half + 1 :]))
    if deviation and bps:
        assert bool(left) == (bps < 0)
        assert bool(right) == (bps > 0)
    else:
        assert not left
        assert not right


def test_a_divergence_at_the_threshold_reaches_its_tick() -> None:
    bar = "".join(text for text, _ in divergence_bar(Divergence(50.0, 50.0), 31))
    assert bar == " " * 6 + "│" + " " * 8 + "│" + "━" * 9 + " " * 6


def test_the_scale_is_labelled_over_its_ticks() -> None:
    assert divergence_heading(15) == "  -dev 0 +dev  "
    assert all(len(divergence_heading(width)) == width for width in range(1, 60))


@given(st.floats(-2, 3), st.integers(1, 40))
def test_a_gauge_shows_something_unless_empty(fraction: float, width: int) -> None:
    bar = "".join(text for text, _ in gauge(Gauge(fraction), width))
    assert len(bar) == width
    assert ("━" in bar) == (fraction > 0)
    assert ("─" in bar) == (round(min(fraction, 1) * width) < width and not (width == 1 and fraction > 0))


def test_a_spark_shows_the_lowest_of_each_cell_and_its_gaps() -> None:
    assert spark(Spark((1.0, 0.0, None, 0.5)), 4) == (("▆▁ ▄", Tone.MUTED),)
    assert spark(Spark((1.0, 0.0, None, None)), 2) == (("▁ ", Tone.MUTED),)
    assert spark(Spark((0.99,)), 3) == (("  ▆", Tone.MUTED),)
    assert spark(None, 3) == (("   ", Tone.TEXT),)
    assert spark(Spark((-5.0, 9.0)), 2) == (("▁▆", Tone.MUTED),)


class RecordingTable(PriceTable):
    """A price table that knows which of its lines were painted."""

    def __init__(self) -> None:
        super().__init__()
        self.painted: list[int] = []

    def render_line(self, y: int) -> Strip:
        self.painted.append(y)
        return super().render_line(y)


def test_one_new_price_paints_one_line_and_the_cursor_needs_focus() -> None:
    class Alone(App[None]):
        AUTO_FOCUS = None

        def __init__(self) -> None:
            super().__init__()
            self.chosen: list[str | None] = []

        def compose(self) -> ComposeResult:
            yield RecordingTable()
            yield QuoteList()

        def on_price_table_chosen(self, message: PriceTable.Chosen) -> None:
            self.chosen.append(message.key)

    async def scenario() -> None:
        app = Alone()
        async with app.run_test(size=(120, 12)) as pilot:
            prices = app.query_one(RecordingTable)
            prices.model = Prices(ROWS)
            app.query_one(QuoteList).model = QUOTES
            await pilot.pause()
            assert app.query_one(QuoteList).size.height == 2
            prices.painted.clear()
            prices.model = Prices((ROWS[0], replace(ROWS[1], age=Cell("5.0s")), *ROWS[2:]))
            await pilot.pause()
            assert prices.painted == [2]
            assert not any("▌" in line for line in prices.text_lines)
            prices.focus()
            await pilot.press("j", "enter")
            assert prices.text_lines[2].startswith("▌SOL")
            assert app.chosen == ["SOL"]
            prices.model = Prices(nothing="no prices configured")
            app.query_one(QuoteList).model = Quotes(nothing="no quotes")
            await pilot.pause()
            assert prices.text_lines[1] == " no prices configured"
            assert app.query_one(QuoteList).text_lines == ("  no quotes",)

    asyncio.run(scenario())


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_hostile_symbols_are_inert(width: int) -> None:
    hostile = Cell("\u202e[b]\x1b]0;x\x07日" * 2000)
    row = replace(ROWS[0], asset=hostile, oracle=hostile, age=hostile, market=hostile, next_print=hostile, note=hostile)
    line = price_layout(width).line(row)
    assert length(line) == width
    assert plain(line).isprintable()
    quote = QuoteRow(hostile, hostile, hostile, hostile, hostile, None, hostile)
    assert length(quote_layout(width).line(quote)) == width
