"""`marginline keys`: what the terminal really sends, byte by byte."""

import os
import sys

from marginline.exits import Exit
from marginline.output import put, say
from providers.errors import ConfigError

_NAMES = {
    b"\x1b": "esc",
    b"\r": "enter",
    b"\n": "ctrl+j",
    b"\t": "tab",
    b"\x7f": "backspace",
    b"\x08": "ctrl+h",
    b" ": "space",
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1bOC": "right",
    b"\x1bOD": "left",
    b"\x1b[H": "home",
    b"\x1b[F": "end",
    b"\x1b[1~": "home",
    b"\x1b[4~": "end",
    b"\x1b[5~": "pageup",
    b"\x1b[6~": "pagedown",
    b"\x1b[3~": "delete",
    b"\x1b[Z": "shift+tab",
    b"\x1bOP": "f1",
}


def name_of(sequence: bytes) -> str:
    """Return the key that a byte sequence stands for, "" when we know none."""
    if sequence in _NAMES:
        return _NAMES[sequence]
    if len(sequence) == 1 and sequence < b"\x20":
        return f"ctrl+{chr(sequence[0] + 96)}"
    text = sequence.decode("utf-8", "replace")
    return text if len(text) == 1 and text.isprintable() else ""


def keys() -> int:
    """Print each key press as bytes and name until q or ctrl-c; raises `ConfigError` without a terminal."""
    import termios
    import tty

    if not sys.stdin.isatty():
        raise ConfigError("keys: standard input is not a terminal; run it in the terminal that you want to test")
    say(f"TERM={os.environ.get('TERM', '')}  press keys; q or ctrl-c ends")
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSADRAIN)
        while True:
            sequence = os.read(descriptor, 64)
            if not sequence:
                break
            shown = " ".join(f"{byte:02x}" for byte in sequence)
            put(f"{shown:<24} {name_of(sequence) or '(no name)'}\r")
            sys.stdout.flush()
            if sequence in (b"q", b"\x03"):
                break
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
    return Exit.OK
