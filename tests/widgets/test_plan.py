"""Columns of alternatives at every width, steps with their fates, and a line that keeps what is typed to itself."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.app import App, ComposeResult

from widgets.lines import length, plain
from widgets.plan import (
    PlanCompare,
    PlanRow,
    PlanTable,
    Progress,
    ProgressStep,
    ProgressSteps,
    columns_for,
    progress_lines,
    table_lines,
)
from widgets.tones import Cell, Ground, Tone
from widgets.typed import TypedLine

TEXT = st.text(min_size=0, max_size=60)


def table(count: int, chosen: int, text: str = "", *, dense: bool = False) -> PlanTable:
    heads = tuple((Cell(f"{at} {text}", Tone.KEY),) for at in range(1, count + 1))
    cells = tuple((Cell(f"{text} {at}"),) for at in range(count))
    rows = (PlanRow("amount", cells, gap=True), PlanRow("ready", cells, is_wrapped=True))
    return PlanTable(heads, rows, chosen, (("if nothing", (Cell(f"lose {text}"),)),), is_dense=dense)


@given(st.integers(24, 220), st.integers(1, 12), st.data(), TEXT)
def test_every_line_is_as_wide_as_the_widget_and_the_chosen_one_is_among_them(
    width: int, count: int, data: st.DataObject, text: str
) -> None:
    chosen = data.draw(st.integers(0, count - 1))
    model = table(count, chosen, text)
    lines = table_lines(model, width)
    assert {length(line) for line in lines} == {width}
    assert chosen in columns_for(width, count, chosen)
    assert any(span.ground is Ground.RAISED for line in lines for span in line)


@given(st.integers(24, 220), TEXT, TEXT, TEXT)
def test_progress_fits_every_width(width: int, title: str, evidence: str, said: str) -> None:
    step = ProgressStep(Cell("1"), title, Cell("sent", Tone.WATCH), evidence)
    model = Progress((Cell("SENT"),), Ground.SURFACE, ((Cell(said),),), (step, step), ((Cell(said),),))
    assert {length(line) for line in progress_lines(model, width)} == {width}


def test_reasons_are_wrapped_and_none_is_cut() -> None:
    reason = "source empty: rescue wallet has 3 USDC, needs 12,741.2 USDC; no gas"
    model = PlanTable(((Cell("1"),),), (PlanRow("ready", ((Cell(reason),),), is_wrapped=True),))
    shown = " ".join(" ".join(plain(line).split()) for line in table_lines(model, 40)[1:])
    assert shown == f"ready {reason}"


def test_a_dense_table_leaves_out_its_gaps_only() -> None:
    wide, dense = table_lines(table(3, 0), 80), table_lines(table(3, 0, dense=True), 80)
    kept = [plain(line).split() for line in wide if plain(line).strip()]
    assert kept == [plain(line).split() for line in dense]
    assert len(wide) > len(dense)


def test_words_stand_for_a_table_that_is_not_there() -> None:
    lines = table_lines(PlanTable(said=((Cell("nothing can be done"),),)), 60)
    assert [plain(line).strip() for line in lines] == ["nothing can be done"]


class Bench(App[None]):
    """The plan's widgets by themselves."""

    def compose(self) -> ComposeResult:
        yield PlanCompare()
        yield ProgressSteps()
        yield TypedLine("word")
        yield TypedLine("password", is_hidden=True)


def test_the_widgets_run_alone_and_a_secret_is_only_stars() -> None:
    async def work() -> None:
        app = Bench()
        async with app.run_test(size=(90, 30)) as pilot:
            app.query_one(PlanCompare).model = table(3, 1, "supply")
            app.query_one(ProgressSteps).model = Progress((Cell("UNDER WAY"),))
            word, secret = app.query(TypedLine)
            word.focus()
            await pilot.press("h", "i")
            secret.focus()
            await pilot.press("p", "w", "backspace", "x")
            await pilot.pause()
            assert app.query_one(PlanCompare).size.height == len(table_lines(table(3, 1, "supply"), 90))
            assert "hi" in word.text_lines[0]
            assert "**" in secret.text_lines[0]
            assert "px" not in repr(secret.model) + secret.text_lines[0]
            assert secret.take() == "px"
            assert secret.is_empty
            assert "*" not in secret.text_lines[0]

    asyncio.run(work())


def test_a_pasted_secret_loses_its_line_end_and_what_is_too_long_is_not_taken() -> None:
    async def work() -> None:
        app = Bench()
        async with app.run_test(size=(90, 30)) as pilot:
            _, secret = app.query(TypedLine)
            secret.focus()
            await pilot.pause()
            secret._add("x" * 5_000)
            assert secret.is_empty
            secret.post_message(events.Paste("hunter 2\nrest"))
            await pilot.pause()
            assert secret.take() == "hunter 2"

    asyncio.run(work())
