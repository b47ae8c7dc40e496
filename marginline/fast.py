"""The short way to the first frame: `demo` and `dashboard` with plain options, read without the command-line library.

Whatever is not plain (an unknown option, a missing or bad value, help) goes the long way, which knows how to complain.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

_FLAGS = {
    "--ascii": ("ascii_only", True),
    "--no-ascii": ("ascii_only", False),
    "--mask": ("mask", True),
    "--no-mask": ("mask", False),
    "--mouse": ("mouse", True),
    "--no-mouse": ("mouse", False),
    "--low-bandwidth": ("low_bandwidth", True),
}
_VALUES = {
    "demo": {"--scenario": "scenario", "--seed": "seed", "--speed": "speed", "--theme": "theme", "--fps": "fps"},
    "dashboard": {"--config": "config", "-c": "config", "--theme": "theme", "--fps": "fps"},
}


@dataclass(slots=True)
class Options:
    """The options of `demo` and `dashboard`, with the defaults of `marginline.cli`; `None` = not said."""

    config: Path | None = None
    scenario: str = "calm"
    seed: int = 7
    speed: float = 1.0
    theme: str | None = None
    ascii_only: bool | None = None
    mask: bool | None = None
    mouse: bool | None = None
    fps: int | None = None
    low_bandwidth: bool = False


def opener(arguments: Sequence[str], environment: Sequence[str]) -> Callable[[], int] | None:
    """Return what opens the screen for a plain command line, or `None` when the long way must decide."""
    plain = parse(arguments, environment)
    if plain is None:
        return None
    command, said = plain

    def work() -> int:
        from marginline.commands.dashboard import Look, open_dashboard, open_demo

        look = Look(said.theme, said.ascii_only, said.mask, said.mouse, said.fps, said.low_bandwidth)
        if command == "demo":
            return open_demo(said.scenario, said.seed, said.speed, look)
        return open_dashboard(said.config, look)

    return work


def parse(arguments: Sequence[str], environment: Sequence[str]) -> tuple[str, Options] | None:
    """Return the command and its options, or `None` when the long way must decide.

    `environment` is the names of variables that are set: any `MARGINLINE_` one but the config's goes the long way.
    """
    if any(name.startswith("MARGINLINE_") and name != "MARGINLINE_CONFIG" for name in environment):
        return None
    command = arguments[0] if arguments else "dashboard"
    if command not in _VALUES:
        return None
    options = Options()
    words = iter(arguments[1:])
    for word in words:
        if word in _FLAGS:
            name, flag = _FLAGS[word]
            setattr(options, name, flag)
            continue
        option, equals, value = word.partition("=")
        target = _VALUES[command].get(option)
        given = value if equals else next(words, None)
        if target is None or not given or not _store(options, target, given):
            return None
    return command, options


def _store(options: Options, name: str, text: str) -> bool:
    """Set one option from its text; return whether it was plain."""
    kind = next(field.type for field in fields(options) if field.name == name)
    try:
        value: str | int | float | Path = text
        if kind in (int, int | None):
            value = int(text)
        elif kind is float:
            value = float(text)
        elif name == "config":
            value = Path(text)
    except ValueError:
        return False
    if isinstance(value, int | float) and not _LIMITS[name][0] <= value <= _LIMITS[name][1]:
        return False
    setattr(options, name, value)
    return True


_LIMITS = {"seed": (0, 2**63), "speed": (0.1, 1000), "fps": (1, 60)}
