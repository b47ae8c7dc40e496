"""What a screen without accounts says: what to do first."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Choice:
    """A key, the command behind it, and what it does."""

    key: str
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Empty:
    """A headline, one explaining line, the choices and a closing line."""

    headline: str = ""
    explanation: str = ""
    choices: tuple[Choice, ...] = ()
    footnote: str = ""
