"""Runs the installed command as a user does: a process of its own, its streams and its exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARGINLINE = Path(sys.executable).with_name("marginline")


@dataclass(frozen=True, slots=True)
class Done:
    """What one run left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return stdout as JSON."""
        return json.loads(self.out)


def marginline(
    *arguments: str | Path,
    stdin: str | bytes = b"",
    env: Mapping[str, str] | None = None,
    timeout: float = 60,
    home: Path | None = None,
) -> Done:
    """Run `marginline` to its end; `home` is an empty home, so that no config of the developer is read."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MARGINLINE_", "XDG_"))}
    if home is not None:
        clean |= {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_STATE_HOME": str(home / "state")}
    done = subprocess.run(
        [str(MARGINLINE), *map(str, arguments)],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        env=clean | dict(env or {}),
        timeout=timeout,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def write(path: Path, lines: Sequence[str]) -> Path:
    """Write a file of `lines` and return its path."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
