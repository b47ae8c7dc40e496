"""Contrast and separation of every coloured theme, in four kinds of vision; and that the others name no colour.

Contrast: WCAG 2.1, relative luminance. Vision: Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
Separation: CIE 1976 dE in Lab, D65.
"""

from itertools import combinations

import pytest
from textual.color import Color

from marginline.commands.dashboard import THEMES
from tui import themes
from widgets.tones import Ground, Tone, palette

READ = (Tone.TEXT, Tone.STRONG, Tone.MUTED, Tone.ACCENT, Tone.WATCH, Tone.WARN, Tone.DANGER, Tone.UNKNOWN, Tone.NEXT)
LEVELS = (Tone.WATCH, Tone.WARN, Tone.DANGER, Tone.UNKNOWN)
VISION = {
    "normal": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def linear(colour: str) -> tuple[float, float, float]:
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in Color.parse(colour).normalized)
    return r, g, b


def contrast(one: str, other: str) -> float:
    lights = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in (linear(one), linear(other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def lab(colour: str, vision: str) -> tuple[float, float, float]:
    r, g, b = linear(colour)
    seen = [min(1.0, max(0.0, row[0] * r + row[1] * g + row[2] * b)) for row in VISION[vision]]
    x = (0.4124564 * seen[0] + 0.3575761 * seen[1] + 0.1804375 * seen[2]) / 0.95047
    y = 0.2126729 * seen[0] + 0.7151522 * seen[1] + 0.0721750 * seen[2]
    z = (0.0193339 * seen[0] + 0.1191920 * seen[1] + 0.9503041 * seen[2]) / 1.08883
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def separation(one: str, other: str, vision: str) -> float:
    return float(sum((a - b) ** 2 for a, b in zip(lab(one, vision), lab(other, vision), strict=True)) ** 0.5)


@pytest.mark.parametrize(("name", "least"), [("deep", 4.5), ("light", 4.5), ("contrast", 7.0), ("cvd", 4.5)], ids=str)
def test_every_word_can_be_read_on_the_page_and_under_the_cursor(name: str, least: float) -> None:
    look = themes.LOOKS[name]
    page = {tone: round(contrast(look.tones[tone], look.background), 2) for tone in READ}
    assert min(page.values()) >= least, page
    raised = {tone: round(contrast(look.tones[tone], look.raised), 2) for tone in READ}
    assert min(raised.values()) >= least - 0.5, raised
    assert contrast(*look.on_liquidatable) >= 4.5


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(("name", "least"), [("deep", 20.0), ("cvd", 22.0), ("light", 15.0), ("contrast", 18.0)])
def test_severities_stay_apart_for_every_eye(name: str, least: float, vision: str) -> None:
    tones = themes.LOOKS[name].tones
    apart = {(a.value, b.value): round(separation(tones[a], tones[b], vision), 1) for a, b in combinations(LEVELS, 2)}
    assert min(apart.values()) >= least, apart


@pytest.mark.parametrize("name", themes.LOOKS)
def test_backgrounds_are_grey_enough_for_the_256_colour_ramp(name: str) -> None:
    look = themes.LOOKS[name]
    for colour in (look.background, look.surface, look.raised):
        channels = Color.parse(colour).rgb
        assert max(channels) - min(channels) <= 12, colour


def test_every_theme_paints_every_tone() -> None:
    for theme in themes.themes():
        paint = palette(theme.variables | {"background": theme.background or "ansi_default"})
        assert set(paint.tones) == set(Tone)
        assert f"tone-{Tone.TEXT}" in theme.variables
        assert set(paint.grounds) == set(Ground)


def test_mono_names_no_hue_and_tells_levels_by_attribute() -> None:
    mono = next(theme for theme in themes.themes() if theme.name == "mono")
    assert {value for key, value in mono.variables.items() if key.startswith("tone-") and "style" not in key} == {
        "ansi_default"
    }
    paint = palette(mono.variables)
    assert paint.tones[Tone.DANGER].bold
    assert paint.tones[Tone.LIQUIDATABLE].reverse
    assert paint.tones[Tone.STALE].reverse
    assert paint.grounds[Ground.RAISED].reverse


def test_the_names_are_those_of_the_themes() -> None:
    assert tuple(theme.name for theme in themes.themes()) == themes.NAMES
    assert [name for name in themes.NAMES if themes.is_ansi(name)] == ["ansi", "mono"]


def test_the_command_line_offers_exactly_these_themes() -> None:
    assert themes.NAMES == THEMES
