"""What the terminal says of itself before Textual is imported."""

import os
import subprocess
import sys

import pytest

from tui import environment

_ASK = "from tui import environment; print(environment.wants_ascii(environment.started_with()))"


@pytest.mark.parametrize(
    ("locale", "is_ascii"),
    [
        ({}, True),
        ({"LANG": "C"}, True),
        ({"LC_ALL": "C"}, True),
        ({"LANG": "POSIX"}, True),
        ({"LANG": "C.UTF-8"}, False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),
        ({"LANG": "de_DE.utf8"}, False),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "C"}, True),
        ({"LANG": "en_US.ISO-8859-1"}, True),
    ],
)
def test_a_process_judges_the_locale_that_it_was_started_with(locale: dict[str, str], is_ascii: bool) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LC_") and name != "LANG"}
    done = subprocess.run([sys.executable, "-c", _ASK], env=clean | locale, capture_output=True, text=True, check=True)
    assert done.stdout == f"{is_ascii}\n"


@pytest.mark.parametrize(
    ("environ", "theme"),
    [
        ({"TERM": "xterm-256color"}, "deep"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "mono"),
        ({"TERM": "dumb"}, "mono"),
        ({"TERM": "linux"}, "ansi"),
    ],
)
def test_the_theme_follows_the_terminal(environ: dict[str, str], theme: str) -> None:
    assert environment.theme_for(None, "auto", environ) == theme
    assert environment.theme_for("light", "auto", environ) == "light"
