"""What a command prints may come from a venue: nothing in it acts on the terminal."""

import pytest

from marginline.output import put, put_json, put_table, say

HOSTILE = "PF\x1b[2J\x9b31m\u202eBTC\x07\x7f"


def test_what_a_venue_calls_something_reaches_the_terminal_without_what_acts_on_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(HOSTILE)
    say(HOSTILE)
    put_table(("NAME", "HEALTH"), ((HOSTILE, "1.2"),))
    put_json({"name": HOSTILE})
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert "BTC" in text
        assert not {"\x1b", "\x9b", "\u202e", "\x07", "\x7f"} & set(text)


def test_lines_tabs_and_any_script_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    put("a\tb\n\u00e9 \u65e5\u672c \u2192 \u25b2")
    assert capsys.readouterr().out == "a\tb\n\u00e9 \u65e5\u672c \u2192 \u25b2\n"
