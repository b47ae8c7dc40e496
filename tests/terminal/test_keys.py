"""Every key of the help overlay, pressed in a real terminal at every size: alive afterwards, and with its effect."""

import json
from collections.abc import Callable

import pytest

from tests.terminal.programs import SIZES, assert_framed, at_home, running
from tests.terminal.tmux import Picture, Terminal

SMALL = SIZES[0]


def under_cursor(picture: Picture) -> str:
    """Return the account that the table's cursor is on, "" when the table has none."""
    row = next((line for line in picture.lines[3:] if line.startswith("▌")), "")
    words = row.removeprefix("▌").split()
    return words[1] if len(words) > 1 else ""


def accounts(picture: Picture) -> list[str]:
    """Return the accounts of the main screen's table from above."""
    start = picture.lines.index(picture.line_with("ACCOUNT")) + 1
    rows = []
    for line in picture.lines[start:]:
        if not line:
            break
        rows.append(line.removeprefix("▌").split()[1])
    return rows


def press(terminal: Terminal, key: str, fact: str | Callable[[Picture], bool]) -> Picture:
    """Press one key and wait for its effect."""
    terminal.press(key)
    return terminal.wait_for(fact)


def moving_keys_move_the_cursor(demo: Terminal) -> None:
    order = accounts(press(demo, "g", lambda it: under_cursor(it) == accounts(it)[0]))
    last = len(order) - 1

    def at(index: int) -> Callable[[Picture], bool]:
        return lambda it: under_cursor(it) == accounts(it)[index]

    press(demo, "j", at(1))
    press(demo, "Down", at(2))
    press(demo, "k", at(1))
    press(demo, "Up", at(0))
    press(demo, "G", at(last))
    press(demo, "g", at(0))
    press(demo, "End", at(last))
    press(demo, "Home", at(0))
    half = press(demo, "C-d", lambda it: under_cursor(it) not in ("", accounts(it)[0]))
    assert under_cursor(half) != accounts(half)[last]
    press(demo, "C-u", at(0))
    press(demo, "PageDown", at(last))
    press(demo, "PageUp", at(0))
    press(demo, "j", lambda it: f"── {order[1]} " in it)
    press(demo, "g", at(0))


def pane_keys_go_there_and_two_ways_lead_back(demo: Terminal) -> None:
    shown = {"2": "ETH quotes", "3": "AT MARKET %", "4": "  rule ", "5": "WHAT IT SAYS", "Enter": "at next print"}
    for key, shows in shown.items():
        picture = press(demo, key, lambda it, shows=shows: shows in it and "esc back" in it)
        assert_framed(picture, demo.rows)
        press(demo, "Escape", at_home)
        press(demo, key, shows)
        press(demo, "1", at_home)


def tab_goes_round_the_panes_and_back(demo: Terminal) -> None:
    before = demo.wait_for(at_home)
    seen = set()
    panes = ("accounts", "prices", "alerts") if demo.columns > SMALL[0] else ("accounts",)
    for pane in (*panes[1:], panes[0]):
        demo.press("Tab")
        picture = demo.wait_for(lambda it, pane=pane: focused(it) == pane)
        seen.add(focused(picture))
    assert seen == set(panes)
    press(demo, "BTab", lambda it: focused(it) == panes[-1])
    press(demo, "Tab", lambda it: focused(it) == "accounts")
    assert accounts(before)


def focused(picture: Picture) -> str:
    """Return the pane whose rule is heavy, else the table."""
    heavy = next((line for line in picture.lines if "━━ prices" in line or "━━ alerts" in line), "")
    return "prices" if "━━ prices" in heavy else "alerts" if heavy else "accounts"


def zoom_gives_the_table_the_screen_and_takes_it_back(demo: Terminal) -> None:
    before = demo.wait_for(lambda it: "── main" in it)
    press(demo, "z", lambda it: "── main" not in it and "ACCOUNT" in it)
    after = press(demo, "z", lambda it: "── main" in it)
    assert accounts(after) == accounts(before)


def a_filter_narrows_as_it_is_typed_and_esc_clears_it(demo: Terminal) -> None:
    press(demo, "/", "filter: name")
    demo.type("-s")
    demo.wait_for(lambda it: "hl-short" in accounts(it) and len(accounts(it)) < 6)
    press(demo, "BSpace", lambda it: len(accounts(it)) > 4)
    demo.type("s")
    found = press(demo, "Enter", at_home)
    names = accounts(found)
    assert set(names) >= {"hl-short", "bybit-sol", "okx-swap"}
    first = under_cursor(demo.wait_for(lambda it: under_cursor(it) in accounts(it)))
    there = press(demo, "n", lambda it: under_cursor(it) not in ("", first))
    assert under_cursor(there) in names
    press(demo, "N", lambda it: under_cursor(it) == first)
    press(demo, "Escape", lambda it: "vault-old" in accounts(it))
    press(demo, "g", lambda it: under_cursor(it) == accounts(it)[0])


def sort_takes_the_next_column_and_reverse_turns_it_round(demo: Terminal) -> None:
    """On a frozen screen: on a moving one the same key first ranks anew an order that is held."""
    press(demo, "Space", lambda it: "frozen" in it.lines[1])
    press(demo, "s", lambda it: "sort: health" in it)
    turned = press(demo, "S", lambda it: accounts(it)[0] == "vault-old")
    assert accounts(turned)[-1] in ("main", "arb-loop")
    for column in ("distance", "buffer", "age", "name"):
        press(demo, "s", lambda it, column=column: f"sort: {column}" in it)
    named = demo.wait_for(lambda it: accounts(it) == sorted(accounts(it)))
    assert accounts(named)[0] == "arb-loop"
    press(demo, "s", lambda it: "sort:" not in it)
    press(demo, "Space", lambda it: "frozen" not in it.lines[1])


def space_freezes_the_screen_and_lets_it_go(demo: Terminal) -> None:
    frozen = press(demo, "Space", lambda it: "frozen" in it.lines[1])
    later = demo.wait_for(lambda it: "frozen 1s" in it.lines[1])
    assert later.lines[3:-2] == frozen.lines[3:-2]
    press(demo, "Space", lambda it: "frozen" not in it and it.lines[3:] != frozen.lines[3:])


def a_acknowledges_the_alerts_of_the_account(demo: Terminal) -> None:
    before = demo.wait_for(lambda it: "alerts new" in it.lines[-2])
    count = int(before.lines[-2].partition(" alerts new")[0].split()[-1])
    press(demo, "a", lambda it: f"{count - 1} alert" in it.lines[-2])


def the_mask_hides_every_amount(demo: Terminal) -> None:
    masked = press(demo, "$", lambda it: "masked" in it.lines[0])
    if demo.columns > SMALL[0]:
        assert "equity ·····" in masked
        assert masked.line_with("- USDC").count("·····") == 2
    opened = press(demo, "Enter", lambda it: "at next print" in it)
    assert "·····" in opened.line_with("equity")
    press(demo, "Escape", at_home)
    press(demo, "$", lambda it: "masked" not in it)


def y_copies_a_line_and_shift_y_json(demo: Terminal) -> None:
    press(demo, "y", "copied as a line")
    demo.wait_for(lambda _: demo.clipboard().startswith("main, DANGER, health 1."))
    press(demo, "Y", "copied as JSON")
    demo.wait_for(lambda _: demo.clipboard().startswith("{"))
    assert json.loads(demo.clipboard())["name"] == "main"


def ctrl_l_sends_every_cell_again(demo: Terminal) -> None:
    demo.record()
    demo.wait_for(lambda _: demo.raw.exists())
    before = demo.raw.stat().st_size
    press(demo, "C-l", lambda _: b"ACCOUNT" in demo.raw.read_bytes()[before:])
    demo.wait_for(lambda _: b"freeze" in demo.raw.read_bytes()[before:])


IN_HELP = ("esc closes this", "ctrl+d ctrl+u", "1 accounts", "5 feeds", "n N", "ctrl+l", "ctrl+p or :", "ctrl+c twice")


def both_help_keys_name_every_key(demo: Terminal) -> None:
    for key in ("?", "F1"):
        picture = press(demo, key, lambda shown: all(words in shown for words in IN_HELP))
        assert picture.widest <= demo.columns
        press(demo, "Escape", at_home)


def both_palette_keys_open_it_and_it_runs_a_command(demo: Terminal) -> None:
    for key in (":", "C-p"):
        press(demo, key, "Search for commands")
        press(demo, "Escape", at_home)
        press(demo, key, "Search for commands")
        demo.type("go to feeds")
        demo.wait_for(lambda it: it.text.count("go to feeds") == 2 and "acknowledge all" not in it)
        press(demo, "Enter", "WHAT IT SAYS")
        press(demo, "Escape", at_home)


def r_reads_every_account_now(demo: Terminal) -> None:
    demo.wait_for(lambda it: it.line_with(" main ").split()[-1] not in ("0.0s", "0.1s"))
    before = age_of(demo.wait_for(lambda it: age_of(it) > 3))
    after = press(demo, "r", lambda it: age_of(it) < before - 1)
    assert at_home(after)


def age_of(picture: Picture) -> float:
    """Return the age in seconds that the status line says of its oldest account or venue."""
    words = picture.lines[-2].partition(" oldest ")[2].split()
    return float(words[1].removesuffix("s")) if len(words) > 1 and words[1].endswith("s") else 0.0


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_key_of_the_help_overlay_has_its_effect(size: tuple[int, int]) -> None:
    with running("demo", size=size, until="vault-old") as demo:
        demo.wait_for(lambda it: under_cursor(it) == "main")
        a_acknowledges_the_alerts_of_the_account(demo)
        y_copies_a_line_and_shift_y_json(demo)
        moving_keys_move_the_cursor(demo)
        pane_keys_go_there_and_two_ways_lead_back(demo)
        tab_goes_round_the_panes_and_back(demo)
        zoom_gives_the_table_the_screen_and_takes_it_back(demo)
        a_filter_narrows_as_it_is_typed_and_esc_clears_it(demo)
        sort_takes_the_next_column_and_reverse_turns_it_round(demo)
        space_freezes_the_screen_and_lets_it_go(demo)
        the_mask_hides_every_amount(demo)
        ctrl_l_sends_every_cell_again(demo)
        both_help_keys_name_every_key(demo)
        both_palette_keys_open_it_and_it_runs_a_command(demo)
        r_reads_every_account_now(demo)
        demo.press("q")
        assert not demo.wait_for("code=0").is_alternate


def test_ctrl_c_asks_once_and_leaves_at_the_second() -> None:
    with running("demo", size=SMALL) as terminal:
        press(terminal, "C-c", "ctrl+c again quits")
        terminal.press("C-c")
        assert not terminal.wait_for("code=0").is_alternate
