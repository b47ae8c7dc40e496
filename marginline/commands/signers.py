"""`marginline signers`: encrypted key files that may sign rescues. No key and no password is ever an argument."""

import sys
from pathlib import Path

from marginline import signers
from marginline.exits import Exit
from marginline.keystore import Entry
from marginline.output import put, put_json, put_table, say
from marginline.rescue import default_signers
from providers.errors import ConfigError


def add(path: Path | None, name: str, *, key_from: str | None, password_from: str | None) -> Exit:
    """Encrypt a key under a password into a new file, and print its address; raises `ConfigError`."""
    if not sys.stdin.isatty() and None in (key_from, password_from):
        raise ConfigError(
            "there is no terminal to ask on; give --key-from and --password-from (env:, cmd:, file: or keyring:)"
        )
    key = (
        signers.typed(f"private key of {name} (0x and 64 hex digits): ")
        if key_from is None
        else signers.referred(key_from, "--key-from")
    )
    password = (
        signers.typed_twice(f"new password for {name}: ")
        if password_from is None
        else signers.referred(password_from, "--password-from")
    )
    made = signers.add(name, key, password, folder=default_signers(path))
    put(made.address)
    say(f'{made.path}: written; use it with: signer = "keystore:{made.name}"')
    return Exit.OK


def listed(path: Path | None, *, as_json: bool) -> Exit:
    """Print every encrypted signer: name, address, file."""
    found = signers.listed(default_signers(path))
    if as_json:
        rows = [{"name": one.name, "address": one.address, "path": str(one.path)} for one in found]
        put_json({"schema": "marginline.signers/1", "signers": rows})
    elif found:
        put_table(("NAME", "ADDRESS", "FILE"), [(one.name, one.address, str(one.path)) for one in found], left=3)
    else:
        say(f"there is no signer in {default_signers(path)}; add one with: marginline signers add NAME")
    return Exit.OK


def remove(path: Path | None, name: str, *, yes: bool) -> Exit:
    """Move a signer's file aside, after asking; it stays readable with its password."""

    def confirmed(entry: Entry) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise ConfigError("there is no terminal to ask on; give --yes")
        sys.stderr.write(f"remove signer {entry.name} ({entry.address})? type its name: ")
        sys.stderr.flush()
        return sys.stdin.readline().strip() == entry.name

    kept = signers.remove(name, confirmed, folder=default_signers(path))
    say(f"signer {name} stays" if kept is None else f"out of use; its file is kept as {kept}")
    return Exit.OK
