"""Tones and grounds as styles, with and without a theme of ours."""

from rich.color import Color
from textual.theme import BUILTIN_THEMES

from engine.assessment import Severity
from widgets.tones import SEVERITY_TONES, Ground, Palette, Tone, palette

DEEP = {
    "background": "#111416",
    "tone-text": "#c3ccd5",
    "tone-danger": "#f4624a",
    "tone-danger-style": "bold",
    "tone-stale": "#a98be8",
    "tone-stale-style": "reverse",
    "tone-liquidatable": "#ffffff",
    "tone-liquidatable-background": "#b4232f",
    "ground-raised": "#262c31",
}
MONO = {
    "background": "ansi_default",
    "tone-text": "ansi_default",
    "tone-muted": "ansi_default",
    "tone-muted-style": "dim",
    "tone-danger": "ansi_default",
    "tone-danger-style": "bold",
    "tone-stale": "ansi_default",
    "tone-stale-style": "reverse",
    "ground-raised-style": "reverse",
}


def test_a_theme_of_ours_decides_colour_background_and_attributes() -> None:
    styles = palette(DEEP)
    danger = styles.style(Tone.DANGER)
    assert danger.color == Color.parse("#f4624a")
    assert danger.bold
    assert styles.style(Tone.LIQUIDATABLE).bgcolor == Color.parse("#b4232f")
    assert styles.style(Tone.DANGER, Ground.RAISED).bgcolor == Color.parse("#262c31")


def test_a_ground_that_the_theme_lacks_paints_nothing() -> None:
    assert palette(MONO).style(Tone.TEXT, Ground.DROWNED).bgcolor is None


def test_a_reversed_cursor_row_is_one_colour_and_never_reversed_twice() -> None:
    styles = palette(MONO)
    raised = {styles.style(tone, Ground.RAISED) for tone in (Tone.TEXT, Tone.MUTED, Tone.STALE)}
    assert len(raised) == 1
    (style,) = raised
    assert style.reverse
    assert not style.dim
    assert styles.style(Tone.DANGER, Ground.RAISED).bold


def test_the_terminals_own_colours_stay_its_own() -> None:
    styles = palette({"background": "ansi_default", "tone-text": "ansi_default", "tone-warn": "ansi_bright_yellow"})
    assert styles.style(Tone.WARN).color == Color.from_ansi(11)
    assert styles.style(Tone.TEXT).color == Color.default()


def test_every_stock_theme_gives_every_tone_a_style() -> None:
    for theme in BUILTIN_THEMES.values():
        styles: Palette = palette({**theme.to_color_system().generate(), **theme.variables})
        assert set(styles.tones) == set(Tone)
        assert all(styles.style(tone).color is not None for tone in Tone)


def test_every_severity_has_a_tone_and_only_safe_is_plain() -> None:
    assert set(SEVERITY_TONES) == set(Severity)
    assert [severity for severity, tone in SEVERITY_TONES.items() if tone is Tone.TEXT] == [Severity.SAFE]
