"""Files of the solvency commands: read with a bound, written once and never over another."""

import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from engine.reading import MAX_BYTES, DocumentError
from providers.errors import ConfigError

T = TypeVar("T")


def read(path: Path, parse: Callable[[bytes], T], *, is_secret: bool = False) -> T:
    """Return what `parse` makes of a file; raises `ConfigError` naming file and key.

    A secret file that others can read is refused.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if is_secret and mode & 0o077:
                raise ConfigError(f"{path}: is readable by others (mode {mode:04o}); run: chmod 600 {path}")
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        return parse(text)
    except DocumentError as error:
        raise ConfigError(f"{path}: {error}") from error


def require_new(*paths: Path) -> None:
    """Refuse a path where something lies already, or whose folder is not there; raises `ConfigError`."""
    for path in paths:
        if not path.parent.is_dir():
            raise ConfigError(f"{path}: cannot be written: there is no folder {path.parent}")
        if path.exists() or path.is_symlink():
            raise ConfigError(f"{path}: exists already and is not overwritten; move it away, or choose another name")


def write_new(path: Path, document: Mapping[str, Any], *, is_secret: bool = False) -> None:
    """Write a JSON document into a file that must not be there yet, a secret one for its owner alone (mode 0600)."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if is_secret else 0o644)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
    except FileExistsError:
        require_new(path)
        raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error
