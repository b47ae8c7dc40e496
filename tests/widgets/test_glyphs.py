"""Text at the widget's edge: inert, bounded, exactly as wide as asked."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from widgets.glyphs import LEVELS, LONGEST, clean, crop, fit, number, right, to_ascii, width_of


@given(st.text(max_size=60), st.integers(0, 40))
def test_a_fitted_text_takes_exactly_its_cells(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) == width
    assert cell_len(right(text, width)) == width
    assert cell_len(crop(text, width)) <= width


@given(st.text(max_size=60), st.integers(1, 40))
def test_a_number_takes_exactly_its_cells(text: str, width: int) -> None:
    assert cell_len(number(text, width)) == width


@given(st.text(max_size=80))
def test_clean_text_holds_only_printable_characters_with_a_width(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.isprintable()
    assert all(cell_len(char) > 0 for char in cleaned)
    assert not any(unicodedata.bidirectional(char) in {"R", "AL", "AN", "RLO", "RLE", "RLI"} for char in cleaned)
    assert width_of(cleaned) == sum(cell_len(char) for char in cleaned)


@given(st.text(max_size=80))
def test_ascii_text_keeps_its_width(text: str) -> None:
    cleaned = clean(text)
    assert to_ascii(cleaned).isascii()
    assert len(to_ascii(cleaned)) == width_of(cleaned)


@pytest.mark.parametrize(
    ("hostile", "inert"),
    [
        ("US\u202eDC", "US_DC"),
        ("\x1b[31mETH\x1b[0m", "_[31mETH_[0m"),
        ("E\u200bTH", "E_TH"),
        ("a\r\nb\tc", "a  b c"),
        ("שלום", "____"),
        ("e\u0301", "é"),
        ("q\u0301", "q_"),
        ("\U0001f4b0gold", "_gold"),
        ("[bold]ETH[/]", "[bold]ETH[/]"),
        ("\x9b2J", "_2J"),
        ("日本", "日本"),
        ("\ud800", "_"),
    ],
)
def test_hostile_characters_become_underscores(hostile: str, inert: str) -> None:
    assert clean(hostile) == inert


def test_a_text_of_ten_kilobytes_is_cut() -> None:
    assert len(clean("x" * 10_240)) == LONGEST
    assert crop("x" * 10_240, 5) == "xxxx…"


def test_a_wide_character_is_never_halved() -> None:
    assert fit("日本語", 4) == "日… "
    assert right("日本語", 6) == "日本語"


def test_a_number_ends_before_its_marker_cell() -> None:
    assert number("1.310", 8) == "  1.310 "
    assert number("1.310?", 8) == "  1.310?"
    assert number("?", 8) == "      ? "
    assert number("", 4) == "    "


def test_a_number_that_does_not_fit_never_turns_into_another_number() -> None:
    assert number("1,234,567", 9) == " 1234567 "
    assert number("123,456,789", 9) == "######## "
    assert number("-123,456,789?", 9) == "########?"


def test_our_glyphs_have_their_ascii_counterparts() -> None:
    assert to_ascii("─━│┃░▌╌·σ→…×") == "-=||.#..S>.x"
    assert to_ascii(LEVELS) == ".::-=="
    assert to_ascii("\u2800\u2801\u28ff") == " **"
    assert to_ascii("日é") == "___"
