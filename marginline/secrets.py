"""References to secrets: the config names where a secret is, never the secret itself.

`env:NAME`, `cmd:COMMAND`, `keyring:SERVICE/USER`, `file:PATH` (mode 0600 or refused). What they resolve to is never
part of an error, a log line or a repr.
"""

import os
import shlex
import stat
import subprocess
from pathlib import Path

from providers.errors import ConfigError

SCHEMES = ("env", "cmd", "keyring", "file")
_COMMAND_TIMEOUT_S = 30


def is_reference(text: str) -> bool:
    """Return whether `text` names a place instead of being a value."""
    return text.partition(":")[0] in SCHEMES and ":" in text


def resolve(reference: str, where: str) -> str:
    """Return what `reference` points to; `where` names the config key in errors. Raises `ConfigError`."""
    scheme, _, rest = reference.partition(":")
    match scheme:
        case "env":
            value = os.environ.get(rest)
            if not value:
                raise ConfigError(f"{where}: environment variable {rest} is not set")
        case "cmd":
            value = _command(rest, where)
        case "file":
            value = _file(Path(rest).expanduser(), where)
        case "keyring":
            value = _keyring(rest, where)
        case _:
            raise ConfigError(f"{where}: must be a reference ({', '.join(f'{name}:...' for name in SCHEMES)})")
    value = value.strip()
    if not value:
        raise ConfigError(f"{where}: {scheme}: reference gives an empty value")
    return value


def _command(command: str, where: str) -> str:
    try:
        done = subprocess.run(  # the owner's own command, from the owner's own config, without a shell
            shlex.split(command), capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=True
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        reason = (
            f"exit {error.returncode}" if isinstance(error, subprocess.CalledProcessError) else type(error).__name__
        )
        name = command.split()[0] if command.split() else "(empty)"
        raise ConfigError(f"{where}: command {name} failed ({reason})") from error
    return done.stdout.splitlines()[0] if done.stdout else ""


def _file(path: Path, where: str) -> str:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise ConfigError(f"{where}: {path} is readable by others (mode {mode:04o}); run: chmod 600 {path}")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: {path} cannot be read ({type(error).__name__})") from error


def _keyring(name: str, where: str) -> str:
    service, _, user = name.partition("/")
    try:
        import keyring  # optional extra; heavy
        from keyring.errors import KeyringError
    except ImportError as error:
        raise ConfigError(
            f"{where}: keyring is not installed; install marginline[keyring], or use env: or cmd:"
        ) from error
    try:
        value = keyring.get_password(service, user)
    except KeyringError as error:
        raise ConfigError(f"{where}: the keyring did not answer ({type(error).__name__}); use env: or cmd:") from error
    if value is None:
        raise ConfigError(f"{where}: the keyring has no entry {service}/{user}")
    return str(value)
