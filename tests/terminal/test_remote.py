"""The dashboard over a real sshd on loopback, in the terminals that people really sit at."""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.marginline.command import MARGINLINE
from tests.terminal.programs import SIZES, assert_framed
from tests.terminal.sshd import Sshd
from tests.terminal.tmux import PROMPT, Terminal

_COLOURED = re.compile(r"\x1b\[[\d;]*\b(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[\d;]*)?m")


@contextmanager
def remote(sshd: Sshd, size: tuple[int, int], term: str, *options: str, **environment: str) -> Iterator[Terminal]:
    """Yield a terminal in which ssh shows the demo, run at the other end with `TERM=term`."""
    there = sshd.command(MARGINLINE, "demo", *options, environment={"LANG": "C.UTF-8", **environment})
    with Terminal(*size) as terminal:
        terminal.run(f"TERM={term} {shlex.join(there)}; echo code=$?")
        terminal.wait_for(lambda it: "vault-old" in it and it.lines[-1].endswith("? help"), 20.0)
        yield terminal


@pytest.mark.parametrize("term", ["xterm-256color", "screen-256color"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_looks_and_ends_there_as_it_does_here(sshd: Sshd, term: str, size: tuple[int, int]) -> None:
    with remote(sshd, size, term) as terminal:
        assert_framed(terminal.picture(), size[1], ("main", "hl-short"))
        assert _COLOURED.search(terminal.picture(styled=True).text)
        terminal.press("j")
        terminal.wait_for(lambda it: it.lines[5].startswith("▌"))
        terminal.press("Enter")
        terminal.wait_for("esc back")
        terminal.press("q")
        picture = terminal.wait_for("code=0")
        assert not picture.is_alternate
        assert picture.shows_cursor


def test_no_color_means_no_colour_and_severity_is_still_seen(sshd: Sshd) -> None:
    with remote(sshd, (120, 40), "xterm-256color", NO_COLOR="1") as terminal:
        styled = terminal.picture(styled=True).text
        assert not _COLOURED.search(styled), _COLOURED.findall(styled)[:5]
        assert "\x1b[1m" in styled  # bold carries danger
        assert "DANGER" in terminal.picture().lines[1]


def test_a_link_that_is_cut_ends_the_dashboard_at_the_other_end(sshd: Sshd) -> None:
    with remote(sshd, (80, 24), "xterm-256color", "--seed", "4711") as terminal:
        assert _running("--seed 4711")
        terminal.press("Enter")
        terminal.wait_for("esc back")
        terminal.press("Enter")
        terminal.type("~.")  # ssh's own escape: drop the connection, as a dead network does
        terminal.wait_for(PROMPT)
        terminal.wait_for(lambda _: not _running("--seed 4711"))


def _running(words: str) -> bool:
    """Return whether a marginline with these words on its command line is running here."""
    wanted = words.replace(" ", "\0").encode()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:
            continue
        if wanted in line and b"python" in line.split(b"\0")[0]:
            return True
    return False
