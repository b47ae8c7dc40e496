"""How likely each account is liquidated: beside every account, in the ranking, in the grid and in full."""

from dataclasses import replace

from desk.foresight import foreseen
from desk.snapshot import Snapshot
from engine.simulation.forecast import AccountForecast, Chance
from tests.tui import frames
from tui import present_detail, present_facts, present_method, present_outlook, present_risk, present_whatif
from tui.view import View
from widgets.facts import Text
from widgets.glyphs import width_of

CHANCES = AccountForecast(
    "main",
    (
        Chance(1.0, 0.0004, 0.0001, 0.002, 0.0001, "calibrated map", True, 0),
        Chance(24.0, 0.071, 0.004, 0.6, 0.0288, "pooled map", False, 227),
        Chance(168.0, None, because="no candles"),
    ),
)


def lines(text: Text) -> list[str]:
    return ["".join(cell.text for cell in line).rstrip() for line in text.lines]


def with_chances(**changes: object) -> Snapshot:
    taken = frames.snapshot(
        [replace(each, **changes) if each.account.name == "main" else each for each in frames.default_states()]  # type: ignore[arg-type]
    )
    return replace(taken, outlooks={"main": CHANCES})


def cells(taken: Snapshot, name: str) -> list[str]:
    return [cell.text for cell in present_outlook.chance_cells(taken, taken.accounts[name])]


def test_a_chance_that_nobody_knows_is_a_question_mark_and_without_debt_it_is_blank() -> None:
    taken = with_chances()
    assert cells(taken, "main") == ["<0.1", "~7.1", "?"]
    assert cells(taken, "spark") == ["?", "?", "?"]
    assert cells(taken, "vault-old") == ["", "", ""]


def test_a_stale_account_s_chances_are_not_vouched_for_anywhere() -> None:
    taken = with_chances(is_stale=True)
    assert cells(taken, "main") == ["<0.1?", "~7.1?", "?"]
    in_full = lines(present_outlook.outlook(taken, taken.accounts["main"], 80))
    assert in_full[2].split()[2] == "~7.1?"
    made = foreseen(frames.snapshot(), {})
    frame = frames.frame(replace(taken, what_if=made.what_if, requirements=made.requirements), View(selected="main"))
    grid = next(line for line in lines(present_whatif.grid(frame, 120)) if "main" in line)
    assert all(cell.endswith("?") for cell in grid.split()[3:])
    past = lines(present_whatif.crashes(frame))
    assert past[1].split()[3:8] == ["-61.7", "X", "after", "24", "h?"]
    assert "1 stale account is not in it, gone or not" in past[-2]
    assert past[-1].endswith("-7.7? %")
    apart = lines(present_detail.lines_by_asset(frame))[1]
    assert apart.split() == ["ETH", "2,481.0?", "2,290.0?", "-7.7?", "-6.8?"]
    assert "1,148? $" in lines(present_risk.first_to_go(frame, 120))[1]
    assert "14,016? $" in lines(present_whatif.requirement(frame, 120))[0]


def test_first_to_go_ranks_by_the_common_move_and_gives_every_account_its_chances() -> None:
    shown = lines(present_risk.first_to_go(frames.frame(with_chances()), 80))
    named = [line.replace("▌", " ").split() for line in shown[1:]]
    assert [words[1] for words in named] == ["main", "hl-short", "bybit-sol", "spark", "vault-old"]
    assert named[0][2:] == ["-7.7", "1.083", "ETH", "-7.7", "%", "<0.1", "~7.1", "?"]
    assert named[-1][2:] == ["no", "debt", "no", "debt"]
    assert max(map(width_of, shown)) <= 78
    wide = lines(present_risk.first_to_go(frames.frame(with_chances()), 120))
    assert wide[1].split()[-3:] == ["2.9", "1,148", "$"]


def test_a_name_of_any_width_leaves_the_columns_where_they_are() -> None:
    odd = frames.state(replace(frames.MAIN, name="口座" * 20))
    shown = lines(present_risk.first_to_go(frames.frame(frames.snapshot([odd])), 80))
    assert width_of(shown[1].partition("-7.7")[0]) == shown[0].index("ALL MOVE %") + len("ALL MOVE %") - len("-7.7")


def test_the_grid_beside_the_chances_takes_the_moves_that_it_has_room_for() -> None:
    taken = with_chances()
    frame = frames.frame(replace(taken, what_if=foreseen(taken, {}).what_if))
    for width in (78, 98, 140):
        shown = lines(present_whatif.grid_and_chances(frame, width, 50))
        assert max(map(width_of, shown)) < width
        assert shown[1].split()[-3:] == ["<0.1", "~7.1", "?"]
        assert "? stale" in next(line for line in shown if "bybit-sol" in line)
    assert "+50 %" in shown[0]
    every = len(frame.worst_first)
    assert len(lines(present_whatif.grid_and_chances(frame, 98, every + 1))) == every + 1
    few = lines(present_whatif.grid_and_chances(frame, 98, 4))
    assert len(few) == 4
    assert few[-1].split() == [str(every - 2), "more:", "7", "shows", "all"]


def test_equity_is_the_same_in_the_facts_and_beside_the_requirement() -> None:
    taken = frames.snapshot()
    frame = frames.frame(replace(taken, requirements=foreseen(taken, {}).requirements), View(selected="main"))
    equity = next(fact for fact in present_facts.facts(frame).rows if fact.label == "equity")
    shown = equity.value[0].text
    assert f"it has {shown}" in lines(present_whatif.requirement(frame, 120))[0]
    assert "liquidates at" in lines(present_whatif.requirement(frame, 60))[1]


def test_the_method_names_all_that_the_panes_show_and_fits_its_box() -> None:
    made = foreseen(frames.snapshot(), {})
    taken = replace(frames.snapshot(), outlooks=made.outlooks, requirements=made.requirements, what_if=made.what_if)
    taken = replace(taken, foreseen_at_ns=frames.snapshot().taken_at_ns - 43_000_000_000)
    shown = lines(present_method.method(frames.frame(taken), 80))
    assert max(map(width_of, shown)) <= 77
    labels = [line[2:15].strip() for line in shown[2:]]
    for label in (
        "all move",
        "lost then",
        "within 1 h",
        "within 24 h",
        "within 7 d",
        "requirement",
        "what-if",
        "hedges",
    ):
        assert label in labels
    said = " ".join(part.strip() for part in shown)
    assert said.count("baseline") >= 7
    assert "ETH at 62.0 % a year" in said
    assert said.count("43s old; made anew once a minute") == 3
