"""What must be decided before Textual is imported: it reads its environment once, at import. Imports none of it."""

import gc
import os
from collections.abc import Mapping

COLOUR_SYSTEMS = ("auto", "truecolor", "256", "standard", "none")
LOW_BANDWIDTH_FPS = 1.0
DEFAULT_FPS = 10.0
_C_LOCALES = ("", "C", "POSIX")
_COERCED = ("C.UTF-8", "C.utf8", "UTF-8")


def prepare(colors: str = "auto") -> None:
    """Set what Textual reads at import: no animation, prompt repaints, the colour system. Garbage waits for the frame.

    The paint timer caps output, so Textual's own frame rate only decides how soon a key is answered.
    """
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    os.environ.setdefault("TEXTUAL_FPS", "120")
    if colors not in ("auto", "none"):
        os.environ["TEXTUAL_COLOR_SYSTEM"] = colors
    gc.disable()


def first_frame_is_out() -> None:
    """Collect garbage again; what start-up left behind lives as long as the program and is not looked at any more."""
    gc.freeze()
    gc.enable()


def started_with() -> Mapping[str, str]:
    """Return the environment that this process was started with.

    Under the C locale Python sets LC_CTYPE to a UTF-8 one for itself (PEP 538), so that `os.environ` does not say any
    more what the terminal can show. Where the kernel does not tell, such an LC_CTYPE is taken as Python's.
    """
    try:
        with open("/proc/self/environ", "rb") as file:
            pairs = os.fsdecode(file.read()).split("\0")
    except OSError:
        is_coerced = os.environ.get("LANG", "") in _C_LOCALES and os.environ.get("LC_CTYPE") in _COERCED
        return {name: value for name, value in os.environ.items() if not (is_coerced and name == "LC_CTYPE")}
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def wants_ascii(environ: Mapping[str, str]) -> bool:
    """Return whether the locale names no UTF-8. Python's own idea of it says UTF-8 even under `LC_ALL=C`."""
    named = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "")
    return "utf8" not in named.casefold().replace("-", "")


def theme_for(asked: str | None, colors: str, environ: Mapping[str, str]) -> str:
    """Return the theme: the one asked for, else `mono` without colour, `ansi` with 16 colours, `deep` with more."""
    if asked:
        return asked
    if environ.get("NO_COLOR") or colors == "none" or environ.get("TERM") == "dumb":
        return "mono"
    if colors == "standard" or environ.get("TERM", "") in ("linux", "vt100", "vt220", "xterm", "screen", "ansi"):
        return "ansi"
    return "deep"
