"""However the dashboard ends, it ends soon, says so by its code, and leaves the terminal as it was."""

import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest

from tests.terminal.programs import assert_framed, command, running
from tests.terminal.tmux import PROMPT, Picture, Terminal

SMALL = (80, 24)
END_WITHIN_S = 3.0


def assert_restored(terminal: Terminal, code: int) -> None:
    """Assert that the program ended with `code` in time and that the shell has its terminal back."""
    picture = terminal.wait_for(f"code={code}", END_WITHIN_S)
    assert_plain(picture)
    terminal.run("clear; stty -a | grep -c -- '-icanon'; echo after")
    shown = terminal.wait_for(lambda it: "after" in it.lines)
    assert shown.lines[0] == "0", "the shell's line discipline is not canonical"


def assert_plain(picture: Picture) -> None:
    assert not picture.is_alternate
    assert not picture.takes_mouse
    assert picture.shows_cursor


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)],
    ids=["SIGTERM", "SIGHUP", "SIGINT"],
)
def test_a_signal_ends_it_and_the_terminal_is_restored(number: signal.Signals, code: int) -> None:
    with running("demo", size=SMALL, until="vault-old") as terminal:
        picture = terminal.picture()
        assert (picture.is_alternate, picture.takes_mouse, picture.shows_cursor) == (True, True, False)
        os.kill(terminal.foreground(), number)
        assert_restored(terminal, code)


def test_a_crash_of_the_desk_ends_it_with_its_traceback_and_the_terminal_is_restored(tmp_path: Path) -> None:
    crashing = tmp_path / "crashing.py"
    crashing.write_text(
        textwrap.dedent(
            """
            import asyncio
            from desk.desk import Desk
            from marginline.__main__ import main

            async def run(self):
                await asyncio.sleep(1)
                raise ValueError("the desk fell over")

            Desk.run = run
            main()
            """
        )
    )
    with Terminal(*SMALL, environment={"PYTHONPATH": str(Path.cwd())}) as terminal:
        terminal.run(f"{sys.executable} {crashing} demo 2>&1; echo code=$?")
        terminal.wait_for("? help")
        picture = terminal.wait_for("code=1")
        assert "the desk fell over" in picture
        assert_restored(terminal, 1)


def test_a_storm_of_sizes_leaves_a_whole_screen() -> None:
    with running("demo", size=SMALL, until="vault-old") as terminal:
        for number in range(30):
            terminal.resize(40 + number * 37 % 170, 10 + number * 11 % 45)
        for size in ((200, 50), (80, 24), (120, 40)):
            terminal.resize(*size)
            picture = terminal.wait_for(
                lambda it, size=size: len(it.lines) == size[1] and it.lines[-1].endswith("? help") and "vault-old" in it
            )
            assert_framed(terminal.wait_for(lambda it: it.lines[0].endswith(" UTC")), size[1], ("main", "vault-old"))
            assert picture.widest == size[0] - 1 or picture.widest <= size[0]


def test_ctrl_z_gives_the_shell_its_terminal_and_fg_the_dashboard_its_own() -> None:
    with running("demo", size=SMALL, until="vault-old") as terminal:
        terminal.press("C-z")
        picture = terminal.wait_for(lambda it: not it.is_alternate)
        assert_plain(picture)
        terminal.run("echo still $((40 + 2)) here")
        terminal.wait_for("still 42 here")
        terminal.run("fg")
        shown = terminal.wait_for(lambda it: it.is_alternate and "vault-old" in it and it.lines[-1].endswith("? help"))
        assert_framed(shown, 24, ("main",))
        terminal.press("j")
        terminal.wait_for(lambda it: it.lines[5].startswith("▌"))
        terminal.press("q")
        terminal.wait_for(lambda it: not it.is_alternate and PROMPT in it)


def test_no_mouse_leaves_the_mouse_to_the_terminal() -> None:
    with running("demo", "--no-mouse", size=SMALL) as terminal:
        assert not terminal.picture().takes_mouse


def test_a_config_that_is_wrong_never_takes_the_screen(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[[account]]\nname = "a"\nprovider = "manual"\nkind = "loan"\nsurprise = 1\n')
    with Terminal(*SMALL) as terminal:
        terminal.record()
        terminal.run(command("dashboard", "--config", path))
        picture = terminal.wait_for("code=2")
        assert "surprise" in picture
        assert b"\x1b[?1049h" not in terminal.raw.read_bytes()
