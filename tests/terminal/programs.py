"""What the terminal tests run, and what each of its screens must look like at any size."""

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.marginline.command import MARGINLINE
from tests.terminal.tmux import Picture, Terminal

SIZES = ((80, 24), (120, 40), (200, 50))
GLYPHS = frozenset("─━│┃░▌╌▁▂▃▄▅▆·σ→…×") | frozenset(map(chr, range(0x2800, 0x2900)))
"""Every character beyond ASCII that the screens are drawn with."""


def command(*words: str | Path) -> str:
    """Return a shell line that runs the installed command and then says its exit code."""
    return f"{shlex.join([str(MARGINLINE), *map(str, words)])}; echo code=$?"


@contextmanager
def running(
    *words: str | Path, size: tuple[int, int] = (120, 40), until: str = "? help", **environment: str
) -> Iterator[Terminal]:
    """Yield a terminal in which `marginline WORDS` has painted `until`."""
    with Terminal(*size, environment=environment) as terminal:
        terminal.run(command(*words))
        terminal.wait_for(until)
        yield terminal


def assert_framed(picture: Picture, rows: int, names: Sequence[str] = ()) -> None:
    """Assert that the picture is one whole screen: header, verdict, key line, nothing wrapped, only known glyphs."""
    shown = picture.text
    assert len(picture.lines) == rows, shown
    assert picture.lines[0].startswith(" marginline "), shown
    assert re.search(r"\d( UTC)?$", picture.lines[0]), shown  # the clock goes first where there is no room
    assert picture.lines[1].strip(), shown
    assert picture.lines[-2].startswith(" feeds "), shown
    assert picture.lines[-1].endswith("? help"), shown
    assert picture.widest <= picture.columns, shown
    strange = {char for char in shown if not char.isascii()} - GLYPHS
    assert not strange, f"{strange} in\n{shown}"
    for name in names:
        assert name in picture, shown


def at_home(picture: Picture) -> bool:
    """Return whether the main screen is shown with nothing over it."""
    return (
        len(picture.lines) > 4
        and picture.lines[3].lstrip().startswith("ACCOUNT")
        and picture.lines[-1].endswith("? help")
        and "esc back" not in picture
    )
