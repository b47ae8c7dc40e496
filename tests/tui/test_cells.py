"""`ScreenDiff` against pyte: the difference must leave a terminal looking exactly as the whole frames would."""

import random

import pyte
import pytest
from rich.cells import cell_len

from tui.cells import ScreenDiff

SGRS = ["1", "2", "7", "4", "38;5;203", "38;2;10;20;30", "48;5;52", "31", "97", "104", "1;38;5;214;48;5;236", "9;36"]
NARROW = ["main", "1.083", " ", "     ", "░░░┃━━━", "2,309.4", "wstETH", "─" * 12]
WIDE = ["中文", "a中b", "e\u0301x", "plain", "中文中文 x"]


class Terminal:
    """A terminal emulator that takes raw bytes, or frames through a `ScreenDiff`."""

    def __init__(self, width: int, height: int) -> None:
        self.screen = pyte.Screen(width, height)
        self.stream = pyte.Stream(self.screen)
        self.stream.feed("\x1b[?7l")

    def cells(self) -> list[list[tuple[object, ...]]]:
        return [[look(self.screen.buffer[y][x]) for x in range(self.screen.columns)] for y in range(self.screen.lines)]


def look(char: pyte.screens.Char) -> tuple[object, ...]:
    """Return what an eye can tell of a cell: a space has only a background, unless reversed or underlined."""
    background = (char.bg, char.reverse, char.underscore, char.strikethrough)
    if char.data == " " and not (char.reverse or char.underscore or char.strikethrough):
        return (" ", char.bg)
    return (char.data, char.fg, char.bold, background)


def frame(rng: random.Random, width: int, height: int) -> str:
    """Return one repaint as Textual writes it: cursor moves and styled runs, some rows, any columns."""
    parts = []
    for _ in range(rng.randint(0, 12)):
        y, sgr, text = rng.randrange(height), rng.choice(SGRS), rng.choice(NARROW)
        column = rng.randrange(width)
        if y < 2:  # rows with wide characters are written whole: halves of them look different in every terminal
            column, text = 0, rng.choice(WIDE)
            text += " " * (width - cell_len(text))
        parts.append(f"\x1b[{y + 1};{column + 1}H\x1b[{sgr}m{text[: width - column]}\x1b[0m")
    return "".join(parts) + "\x1b[1;1H"


def whole(rng: random.Random, width: int, height: int) -> str:
    rows = []
    for y in range(height):
        style = rng.choice(SGRS)
        rows.append(f"\x1b[{y + 1};1H\x1b[{style}m{'x' * (width // 2)}\x1b[0m{' ' * (width - width // 2)}")
    return "\n".join(rows)


@pytest.mark.parametrize("seed", range(25))
def test_differences_show_what_whole_frames_show(seed: int) -> None:
    rng = random.Random(seed)
    width, height = rng.choice([(40, 8), (80, 24)])
    direct, through = Terminal(width, height), Terminal(width, height)
    diff = ScreenDiff(width, height)
    for number in range(20):
        written = whole(rng, width, height) if number == 0 else frame(rng, width, height)
        direct.stream.feed(written)
        diff.feed(written)
        through.stream.feed(diff.difference())
        assert through.cells() == direct.cells(), (seed, number)


def test_nothing_is_sent_when_nothing_changed() -> None:
    diff = ScreenDiff(40, 4)
    diff.feed("\x1b[1;1H\x1b[1mmain\x1b[0m 1.083\x1b[1;1H")
    assert diff.difference()
    diff.feed("\x1b[1;1H\x1b[1mmain\x1b[0m 1.083\x1b[1;1H")
    assert diff.difference() == ""


def test_one_changed_digit_costs_a_few_bytes() -> None:
    diff = ScreenDiff(80, 24)
    diff.feed("\x1b[5;1H\x1b[38;5;188mmain          1.083   1.071\x1b[0m\x1b[1;1H")
    diff.difference()
    diff.feed("\x1b[5;1H\x1b[38;5;188mmain          1.084   1.071\x1b[0m\x1b[1;1H")
    assert diff.difference() == "\x1b[5;19H4"


def test_near_changes_are_joined_and_far_ones_are_not() -> None:
    diff = ScreenDiff(40, 1)
    diff.feed("\x1b[1;1Haaaaaaaaaaaaaaaaaaaa\x1b[1;1H")
    diff.difference()
    diff.feed("\x1b[1;1Hbaaaabaaaaaaaaaaaaab\x1b[1;1H")
    assert diff.difference() == "\x1b[1;1Hbaaaab\x1b[13Cb"


def test_a_new_size_repaints_what_is_known() -> None:
    diff = ScreenDiff(20, 3)
    diff.feed("\x1b[1;1Hone\x1b[3;1Hthree")
    diff.difference()
    diff.resize(30, 2)
    sent = diff.difference()
    assert "one" in sent
    assert "three" not in sent


def test_what_lies_outside_the_screen_is_dropped() -> None:
    diff = ScreenDiff(5, 2)
    diff.feed("\x1b[9;1Hgone\x1b[1;4Hclipped\x1b[2;90Hfar\x1b[1;1H")
    assert diff.difference() == "\x1b[m\x1b[1;4Hcl"


def test_other_sequences_pass_in_order_and_links_are_dropped() -> None:
    diff = ScreenDiff(20, 2)
    diff.feed("\x1b[?25l\x07\x1b]52;c;YQ==\x07\x1b]8;id=1;http://x\x1b\\text\x1b]8;;\x1b\\")
    assert diff.passed == ["\x1b[?25l", "\x07", "\x1b]52;c;YQ==\x07"]
    assert "text" in diff.difference()
    assert "http" not in diff.difference()


def test_nothing_is_painted_after_the_alternate_screen_is_left() -> None:
    diff = ScreenDiff(20, 2)
    diff.feed("\x1b[?1049h\x1b[1;1Hmain")
    assert "main" in diff.difference()
    diff.feed("\x1b[?1049l\x1b[1;1Hlate")
    assert diff.difference() == ""
    diff.feed("\x1b[?1049h")
    assert "late" in diff.difference()


def test_large_frames_keep_their_synchronised_output_brackets() -> None:
    diff = ScreenDiff(80, 24)
    rows = "".join(f"\x1b[{y + 1};1H{'x' * 80}" for y in range(24))
    diff.feed(f"\x1b[?2026h{rows}\x1b[?2026l")
    sent = diff.difference()
    assert sent.startswith("\x1b[?2026h")
    assert sent.endswith("\x1b[?2026l")


def test_a_text_cursor_is_placed_where_the_app_wants_it() -> None:
    diff = ScreenDiff(40, 4)
    diff.feed("\x1b[2;1H/eth\x1b[2;5H")
    assert diff.difference() == "\x1b[m\x1b[2;1H/eth"
    diff.feed("\x1b[2;1H/eth\x1b[2;3H")
    assert diff.difference() == "\x1b[2;3H"
