"""Hostile text becomes one short harmless line."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.text import inert


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("USDC", "USDC"),
        ("\x1b[31mRED\x1b[0m", "[31mRED[0m"),
        ("\x1b]0;owned\x07X", "]0;ownedX"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("U\u200bS\u2060D\ufeff", "USD"),
        ("two\r\nlines\tand  spaces", "two lines and spaces"),
        ("[bold red]x[/]", "[bold red]x[/]"),
        ("Z\u0351\u0353\u0354algo", "Z\u0351algo"),
        ("\x9b31m\x00", "31m"),
        ("   ", ""),
        ("\ud800lone", "lone"),
    ],
)
def test_what_acts_on_a_terminal_is_gone(hostile: str, harmless: str) -> None:
    assert inert(hostile, 20) == harmless


def test_ten_kilobytes_become_a_short_word() -> None:
    assert inert("A" * 10_240, 12) == "A" * 11 + "…"
    assert inert("\u200b" * 10_240 + "A", 4) == ""


@given(st.text(), st.integers(1, 40))
def test_any_text_ends_up_bounded_printable_and_stable(text: str, limit: int) -> None:
    clean = inert(text, limit)
    assert len(clean) <= limit
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in clean)
    assert inert(clean, limit) == clean
