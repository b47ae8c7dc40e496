"""The load line: drowned ground, marks, labels, both directions."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult

from engine.assessment import Direction
from widgets.lines import length, plain
from widgets.loadline import LoadLine, Mark, Scale, load_lines
from widgets.tones import Tone


def oracle(price: float) -> Mark:
    return Mark("O", "oracle", price, f"{price:,.1f}")


def market(price: float) -> Mark:
    return Mark("M", "market", price, f"{price:,.1f}", Tone.ACCENT)


def upcoming(price: float) -> Mark:
    return Mark("N", "next", price, f"{price:,.1f}", Tone.NEXT)


def lines(scale: Scale, width: int = 68, height: int = 3) -> list[str]:
    return [plain(line).rstrip() for line in load_lines(scale, width, height)]


LONG = Scale(2309.4, "2,309.4", Direction.DOWN, (oracle(2481.0), market(2459.4), upcoming(2459.4)))
SHORT = Scale(66480, "66,480", Direction.UP, (oracle(61_667.0), market(62_500.0)))


def test_a_long_drowns_to_the_left_of_its_line() -> None:
    assert lines(LONG) == [
        "        line                                    market   oracle",
        "  ░░░░░░░┃━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━NM━━━━━O──────",
        "      2,309.4                                  2,459.4  2,481.0",
    ]


def test_a_short_drowns_to_the_right_of_its_line() -> None:
    assert lines(SHORT) == [
        "       oracle   market                                    line",
        "  ───────O━━━━━━━━M━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┃░░░░░░",
        "      61,667.0  62,500.0                                 66,480",
    ]


def test_a_price_beyond_the_line_stands_in_drowned_ground() -> None:
    assert lines(Scale(2309.4, "2,309.4", Direction.DOWN, (oracle(2300.0), market(2290.4)))) == [
        "       market                   oracle                    line",
        "  ░░░░░░░M░░░░░░░░░░░░░░░░░░░░░░░░O░░░░░░░░░░░░░░░░░░░░░░░░┃──────",
        "      2,290.4                  2,300.0                  2,309.4",
    ]


def test_the_trigger_price_keeps_its_label_close_to_the_line() -> None:
    names, scale, prices = lines(Scale(2309.4, "2,309.4", Direction.DOWN, (oracle(2310.0), market(2290.4))))
    assert "┃━O" in scale
    assert names.split() == ["market", "line", "oracle"]
    assert prices.split() == ["2,290.4", "2,309.4", "2,310.0"]


def test_one_line_has_the_scale_alone() -> None:
    assert lines(LONG, height=1) == ["  ░░░░░░░┃━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━NM━━━━━O──────"]


def test_an_account_that_no_move_liquidates_says_so() -> None:
    scale = Scale(None, reason="no move of ETH alone liquidates")
    assert lines(scale) == ["", "  no move of ETH alone liquidates"]
    assert lines(scale, height=1) == ["  no move of ETH alone liquidates"]


def test_a_stale_scale_keeps_its_shape_and_loses_its_colours() -> None:
    stale = Scale(LONG.line, LONG.line_label, LONG.direction, LONG.marks, is_stale=True)
    assert lines(stale) == lines(LONG)
    tones = {span.tone for line in load_lines(stale, 68) for span in line}
    assert tones.isdisjoint({Tone.DANGER, Tone.ACCENT, Tone.NEXT})


@given(
    st.floats(0.0001, 1e6),
    st.lists(st.floats(0.0001, 1e6), max_size=3),
    st.sampled_from([Direction.DOWN, Direction.UP]),
    st.integers(5, 200),
    st.sampled_from([1, 3]),
)
def test_no_mark_hides_the_line_nor_another_and_none_changes_sides(
    line: float, prices: list[float], direction: Direction, width: int, height: int
) -> None:
    marks = tuple(make(price) for make, price in zip((oracle, market, upcoming), prices, strict=False))
    painted = load_lines(Scale(line, "line", direction, marks), width, height)
    assert all(length(spans) == width for spans in painted)
    scale = plain(painted[1 if height == 3 else 0])
    at = scale.index("┃")
    for mark in marks:
        assert scale.count(mark.letter) <= 1
        if mark.letter in scale:
            assert (scale.index(mark.letter) > at) == (
                mark.price > line or (mark.price == line and direction is Direction.UP)
            )


@pytest.mark.parametrize("width", [40, 68, 120, 200])
def test_hostile_labels_are_inert(width: int) -> None:
    mark = Mark("\x1b", "[b]\u202e日本" * 500, 2.0, "\x07" * 9)
    for line in load_lines(Scale(1.0, "\x1b[2J", Direction.DOWN, (mark,)), width):
        assert length(line) == width
        assert plain(line).isprintable()


def test_a_moved_price_repaints_the_widget() -> None:
    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield LoadLine()

    async def scenario() -> None:
        app = Alone()
        async with app.run_test(size=(68, 5)) as pilot:
            line = app.query_one(LoadLine)
            line.model = LONG
            await pilot.pause()
            assert list(line.text_lines) == lines(LONG)
            line.model = SHORT
            await pilot.pause()
            assert list(line.text_lines) == lines(SHORT)
            line.styles.height = 1
            await pilot.pause()
            assert list(line.text_lines) == lines(SHORT, height=1)

    asyncio.run(scenario())
