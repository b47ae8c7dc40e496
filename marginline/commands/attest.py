"""`marginline attest`: loans read by the attester itself, committed to and signed."""

import asyncio
import re
import time
from collections.abc import Sequence
from pathlib import Path

from engine.reading import SECOND_NS
from engine.record import record
from engine.rendering import timestamp
from marginline.commands.risk import read_portfolio
from marginline.commands.setup import read_config
from marginline.exits import Exit
from marginline.output import put, put_json, say
from marginline.secrets import resolve
from marginline.solvency.attesting import Read
from marginline.solvency.attesting import attest as signed
from marginline.solvency.documents import MAX_SUBJECT, render_openings, render_snapshot
from marginline.solvency.files import read as read_file
from marginline.solvency.files import require_new, write_new
from marginline.solvency.holdings import parse_assets
from marginline.solvency.sources import from_config, from_portfolio
from providers.errors import ConfigError

MAX_BLOCK = 2**64
_HOUR_S = 3600


@record
class Place:
    """Where accounts are read: a portfolio document, with the block that it is of, or else the config."""

    config: Path | None = None
    portfolio: str | None = None
    block: int | None = None
    block_hash: str | None = None
    timeout_s: float = 20.0


@record
class Outputs:
    """Two new files: the public snapshot, and the openings that only the prover may have."""

    snapshot: Path
    openings: Path


def attest(
    names: Sequence[str],
    place: Place,
    outputs: Outputs,
    *,
    key: str,
    subject: str,
    hours: int,
    assets: Path | None,
    as_json: bool,
) -> Exit:
    """Read the named accounts, write their signed snapshot and its openings; raises `AppError`."""
    if len(set(names)) != len(names):
        raise ConfigError("an account is named twice; it would be counted twice")
    if len(subject) > MAX_SUBJECT or not re.fullmatch(r"[ -~]*", subject):
        raise ConfigError(f"--subject: must be at most {MAX_SUBJECT} printable ASCII characters")
    if outputs.snapshot == outputs.openings:
        raise ConfigError("--openings: is the snapshot's own file; the openings are secret, the snapshot is public")
    require_new(outputs.snapshot, outputs.openings)
    wanted = None if assets is None else read_file(assets, parse_assets)
    seed = _seed(key)
    found = _read(names, place)
    expires_at_s = time.time_ns() // SECOND_NS + hours * _HOUR_S
    if expires_at_s <= found.taken_at_s:
        raise ConfigError(f"the accounts are of {timestamp(found.taken_at_s * SECOND_NS)}, which is yet to come")
    snapshot, openings = signed(found, seed, subject=subject, expires_at_s=expires_at_s, wanted=wanted)
    document = render_snapshot(snapshot)
    write_new(outputs.openings, render_openings(openings, snapshot.taken_at_s), is_secret=True)
    write_new(outputs.snapshot, document)
    if as_json:
        put_json(document)
    else:
        put(f"attester {snapshot.attester.hex()}")
        put(f"snapshot {outputs.snapshot}: {len(names)} account(s), valid until {document['expires_at']}")
        put(f"openings {outputs.openings}: secret, for whoever proves")
    for reason in found.reasons:
        say(f"signed although degraded: {reason}")
    if wanted is None:
        listed = ", ".join(entry.asset for entry in snapshot.assets)
        say(f"the public list shows what is held ({listed}); --assets FILE lists more, so that it does not")
    return Exit.OK


def _read(names: Sequence[str], place: Place) -> Read:
    if (place.block is None) != (place.block_hash is None):
        raise ConfigError("--block and --block-hash belong together")
    if place.portfolio is None:
        if place.block is not None:
            raise ConfigError("--block: is for a portfolio document; accounts of a config are read at the newest block")
        return asyncio.run(from_config(read_config(place.config), names, place.timeout_s))
    if place.block is not None and not 0 <= place.block < MAX_BLOCK:
        raise ConfigError("--block: no chain is that long")
    hash_ = None if place.block_hash is None else _hash(place.block_hash)
    return from_portfolio(read_portfolio(place.portfolio), names, place.block, hash_)


def _hash(text: str) -> bytes:
    if not re.fullmatch(r"0x[0-9a-fA-F]{64}", text, re.ASCII):
        raise ConfigError("--block-hash: must be 0x and 64 hex digits")
    return bytes.fromhex(text[2:])


def _seed(reference: str) -> bytes:
    text = resolve(reference, "--key")
    if not re.fullmatch(r"(?:0x)?[0-9a-fA-F]{64}", text, re.ASCII):
        raise ConfigError("--key: must give 64 hex digits (openssl rand -hex 32); what was given is something else")
    return bytes.fromhex(text[-64:])
