"""Lines of spans: fitting, and repainting only what changed."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.strip import Strip

from widgets.facts import Text, TextLines
from widgets.glyphs import clean
from widgets.lines import Span, fitted, length, plain, spans_of
from widgets.tones import Cell, Tone


@given(st.lists(st.text(max_size=12), max_size=6), st.integers(1, 40))
def test_fitted_spans_take_exactly_the_width(texts: list[str], width: int) -> None:
    spans = [Span(clean(text)) for text in texts]
    line = fitted(spans, width)
    assert length(line) == width
    if length(spans) <= width:
        assert plain(line) == plain(spans) + " " * (width - length(spans))
    else:
        assert "…" in plain(line)


def test_a_cut_between_spans_shows_that_something_is_missing() -> None:
    assert plain(fitted((Span("1.083"), Span(" oracle")), 5)) == "1.08…"
    assert plain(fitted((Span("1.083"), Span("")), 5)) == "1.083"


def test_cells_become_spans_without_the_empty_ones() -> None:
    assert spans_of((Cell(""), Cell("a\x1b", Tone.WARN))) == (Span("a_", Tone.WARN),)


class RecordingLines(TextLines):
    """Lines that know which of them were painted."""

    def __init__(self) -> None:
        super().__init__()
        self.painted: list[int] = []

    def render_line(self, y: int) -> Strip:
        self.painted.append(y)
        return super().render_line(y)


class LinesApp(App[None]):
    ascii_glyphs = True

    def compose(self) -> ComposeResult:
        yield RecordingLines()


def text(*lines: str) -> Text:
    return Text(tuple((Cell(line),) for line in lines))


def test_only_changed_lines_are_painted_and_height_follows_the_model() -> None:
    async def scenario() -> None:
        app = LinesApp()
        async with app.run_test(size=(20, 6)) as pilot:
            lines = app.query_one(RecordingLines)
            lines.model = text("a", "b", "c")
            await pilot.pause()
            assert lines.text_lines == (" a", " b", " c")
            lines.painted.clear()
            lines.model = text("a", "x", "c")
            await pilot.pause()
            assert lines.painted == [1]
            lines.painted.clear()
            lines.model = text("a", "x", "c")
            await pilot.pause()
            assert lines.painted == []
            lines.model = text("a")
            await pilot.pause()
            assert lines.text_lines == (" a",)

    asyncio.run(scenario())


def test_a_model_set_while_hidden_is_shown_afterwards() -> None:
    async def scenario() -> None:
        app = LinesApp()
        async with app.run_test(size=(20, 6)) as pilot:
            lines = app.query_one(RecordingLines)
            lines.model = text("a", "b")
            await pilot.pause()
            lines.display = False
            await pilot.pause()
            lines.model = text("c", "d")
            lines.display = True
            await pilot.pause()
            assert lines.text_lines == (" c", " d")

    asyncio.run(scenario())


def test_an_ascii_app_shows_ascii_only() -> None:
    async def scenario() -> None:
        app = LinesApp()
        async with app.run_test(size=(20, 3)) as pilot:
            lines = app.query_one(RecordingLines)
            lines.model = text("1.9 σ-days · 日", "━━┃░")
            await pilot.pause()
            assert lines.text_lines == (" 1.9 S-days . __", " ==|.")

    asyncio.run(scenario())
