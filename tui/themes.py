"""The themes: what every tone and ground looks like. The only place where colours are named.

`deep`, `light`, `contrast` and `cvd` are painted in true colour or its 256-colour nearest. `ansi` uses the
terminal's own 16 colours, and `mono` attributes only: reverse, bold and dim carry what colour carries elsewhere.
"""

from collections.abc import Mapping
from dataclasses import field

from textual.theme import Theme

from engine.record import record
from widgets.tones import Tone


@record
class Look:
    """A theme's colours by tone and ground; `attributes` are added to a tone's text."""

    background: str
    surface: str
    raised: str
    drowned: str
    tones: Mapping[Tone, str]
    is_dark: bool = True
    on_liquidatable: tuple[str, str] = ("#ffffff", "#b4232f")
    attributes: Mapping[Tone, str] = field(default_factory=dict)


_ATTRIBUTES: Mapping[Tone, str] = {
    Tone.STRONG: "bold",
    Tone.KEY: "bold",
    Tone.DANGER: "bold",
    Tone.LIQUIDATABLE: "bold",
    Tone.STALE: "reverse",
}


def _tones(
    text: str,
    strong: str,
    muted: str,
    faint: str,
    rule: str,
    accent: str,
    watch: str,
    warn: str,
    danger: str,
    other: str,
) -> dict[Tone, str]:
    """Return the colours by tone; `other` is what is unknown, stale, or still to come."""
    return {
        Tone.TEXT: text,
        Tone.STRONG: strong,
        Tone.MUTED: muted,
        Tone.FAINT: faint,
        Tone.RULE: rule,
        Tone.ACCENT: accent,
        Tone.KEY: accent,
        Tone.WATCH: watch,
        Tone.WARN: warn,
        Tone.DANGER: danger,
        Tone.UNKNOWN: other,
        Tone.NEXT: other,
        Tone.STALE: other,
    }


_DEEP = _tones(
    text="#c3ccd5",
    strong="#f1f5f8",
    muted="#8a959e",
    faint="#566068",
    rule="#343b41",
    accent="#74b7dc",
    watch="#d9c58b",
    warn="#f0b429",
    danger="#f4624a",
    other="#a98be8",
)

LOOKS: Mapping[str, Look] = {
    "deep": Look("#111416", "#181b1e", "#262c31", "#3a1c1b", _DEEP),
    "light": Look(
        "#f6f5f1",
        "#eeece6",
        "#dfe6ea",
        "#f3d3cc",
        _tones(
            text="#2f353b",
            strong="#0b0f13",
            muted="#5f6468",
            faint="#a9a69d",
            rule="#cfccc3",
            accent="#1c6a93",
            watch="#1b7080",
            warn="#9a5b00",
            danger="#a01030",
            other="#6b4aa0",
        ),
        is_dark=False,
    ),
    "contrast": Look(
        "#000000",
        "#0c0c0c",
        "#1c1c1c",
        "#400000",
        _tones(
            text="#ffffff",
            strong="#ffffff",
            muted="#c8c8c8",
            faint="#808080",
            rule="#6a6a6a",
            accent="#6fd3ff",
            watch="#fff3b0",
            warn="#ffc800",
            danger="#ff8a78",
            other="#c9a6ff",
        ),
        on_liquidatable=("#ffffff", "#b00010"),
    ),
    "cvd": Look(
        "#111416",
        "#181b1e",
        "#262c31",
        "#3a2614",
        {
            **_DEEP,
            Tone.WATCH: "#56b4e9",
            Tone.WARN: "#f5d90a",
            Tone.DANGER: "#ff8833",
            Tone.UNKNOWN: "#8f8f8f",
            Tone.NEXT: "#b9b3e8",
            Tone.STALE: "#b0b0b0",
        },
        on_liquidatable=("#000000", "#ff8833"),
    ),
}
"""The themes in colour."""

_ANSI_TONES: Mapping[Tone, tuple[str, str]] = {
    Tone.TEXT: ("ansi_default", "none"),
    Tone.STRONG: ("ansi_default", "bold"),
    Tone.MUTED: ("ansi_default", "dim"),
    Tone.FAINT: ("ansi_bright_black", "none"),
    Tone.RULE: ("ansi_bright_black", "none"),
    Tone.ACCENT: ("ansi_cyan", "none"),
    Tone.KEY: ("ansi_cyan", "bold"),
    Tone.WATCH: ("ansi_yellow", "none"),
    Tone.WARN: ("ansi_bright_yellow", "none"),
    Tone.DANGER: ("ansi_bright_red", "bold"),
    Tone.LIQUIDATABLE: ("ansi_bright_white", "bold"),
    Tone.UNKNOWN: ("ansi_bright_magenta", "none"),
    Tone.NEXT: ("ansi_bright_magenta", "none"),
    Tone.STALE: ("ansi_bright_magenta", "reverse"),
}
_MONO_ATTRIBUTES: Mapping[Tone, str] = {
    Tone.STRONG: "bold",
    Tone.MUTED: "dim",
    Tone.FAINT: "dim",
    Tone.RULE: "dim",
    Tone.ACCENT: "bold",
    Tone.KEY: "bold",
    Tone.DANGER: "bold",
    Tone.LIQUIDATABLE: "bold reverse",
    Tone.STALE: "reverse",
}

_ANSI_BASE: Mapping[str, str] = {
    "ansi-background": "ansi_default",
    "ansi-foreground": "ansi_default",
    "border-blurred": "ansi_bright_black",
    "block-cursor-foreground": "ansi_black",
    "block-cursor-background": "ansi_white",
    "input-cursor-background": "ansi_white",
    "input-cursor-foreground": "ansi_black",
    "input-selection-background": "ansi_white",
    "input-selection-foreground": "ansi_black",
    "screen-selection-background": "ansi_white",
    "screen-selection-foreground": "ansi_black",
    "scrollbar": "ansi_bright_black",
    "scrollbar-background": "ansi_default",
    "ground-raised-style": "reverse",
}


def themes() -> tuple[Theme, ...]:
    """Return every theme, the default first."""
    return (*(_coloured(name, look) for name, look in LOOKS.items()), _ansi(), _mono())


NAMES = (*LOOKS, "ansi", "mono")
"""The names of all themes, the default first."""


def is_ansi(name: str) -> bool:
    """Return whether a theme leaves colours to the terminal."""
    return name not in LOOKS


def _coloured(name: str, look: Look) -> Theme:
    variables = {f"tone-{tone}": colour for tone, colour in look.tones.items()}
    variables[f"tone-{Tone.LIQUIDATABLE}"], variables[f"tone-{Tone.LIQUIDATABLE}-background"] = look.on_liquidatable
    variables |= {f"tone-{tone}-style": words for tone, words in {**_ATTRIBUTES, **look.attributes}.items()}
    variables |= {
        "ground-raised": look.raised,
        "ground-drowned": look.drowned,
        "ground-surface": look.surface,
        "scrollbar": look.tones[Tone.RULE],
        "scrollbar-hover": look.tones[Tone.FAINT],
        "scrollbar-active": look.tones[Tone.FAINT],
        "scrollbar-background": look.background,
        "scrollbar-background-hover": look.background,
        "scrollbar-background-active": look.background,
        "scrollbar-corner-color": look.background,
    }
    return Theme(
        name=name,
        primary=look.tones[Tone.ACCENT],
        secondary=look.tones[Tone.UNKNOWN],
        warning=look.tones[Tone.WARN],
        error=look.tones[Tone.DANGER],
        success=look.tones[Tone.WATCH],
        accent=look.tones[Tone.ACCENT],
        foreground=look.tones[Tone.TEXT],
        background=look.background,
        surface=look.surface,
        panel=look.raised,
        boost=look.raised,
        dark=look.is_dark,
        variables=variables,
    )


def _ansi() -> Theme:
    variables = {f"tone-{tone}": colour for tone, (colour, _) in _ANSI_TONES.items()}
    variables |= {f"tone-{tone}-style": words for tone, (_, words) in _ANSI_TONES.items()}
    variables[f"tone-{Tone.LIQUIDATABLE}-background"] = "ansi_red"
    return _uncoloured("ansi", variables, accent="ansi_cyan")


def _mono() -> Theme:
    variables = {f"tone-{tone}": "ansi_default" for tone in Tone}
    variables |= {f"tone-{tone}-style": words for tone, words in _MONO_ATTRIBUTES.items()}
    return _uncoloured("mono", variables, accent="ansi_default")


def _uncoloured(name: str, variables: Mapping[str, str], accent: str) -> Theme:
    return Theme(
        name=name,
        primary=accent,
        secondary=accent,
        warning=accent,
        error=accent,
        success=accent,
        accent=accent,
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        ansi=True,
        variables={**_ANSI_BASE, **variables},
    )
