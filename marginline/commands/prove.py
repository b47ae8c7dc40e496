"""`marginline prove`: the holder's proof that health is at least a floor, for one verifier."""

import time
from pathlib import Path

from engine.reading import SECOND_NS, DocumentError, Node
from marginline.exits import Exit
from marginline.output import put, put_json
from marginline.solvency.documents import nonce_bytes, parse_openings, parse_snapshot, render_proof
from marginline.solvency.files import read, require_new, write_new
from marginline.solvency.proof import Unprovable, verify_snapshot
from marginline.solvency.proof import prove as proven
from marginline.solvency.statement import FLOORS, Mode, NotValid
from providers.errors import ConfigError


def prove(
    snapshot_file: Path, openings_file: Path, proof_file: Path, *, floor: str, nonce: str, mode: Mode, as_json: bool
) -> Exit:
    """Write the proof into a new file; raises `ConfigError` when it cannot be made."""
    floor_bps, asked = floor_of(floor), nonce_of(nonce)
    require_new(proof_file)
    snapshot = read(snapshot_file, parse_snapshot)
    openings = read(openings_file, parse_openings, is_secret=True)
    now_s = time.time_ns() // SECOND_NS
    try:
        verify_snapshot(snapshot, snapshot.attester, now_s)
        made = proven(snapshot, openings, mode, floor_bps, asked, now_s)
    except NotValid as error:
        raise ConfigError(f"{snapshot_file}: {error}") from error
    except Unprovable as error:
        raise ConfigError(f"cannot be proven: {error}") from error
    document = render_proof(made)
    write_new(proof_file, document)
    if as_json:
        put_json(document)
    else:
        put(f"proof {proof_file}: health of at least {floor}, {mode.value}, {len(made.data):,} bytes")
    return Exit.OK


def floor_of(text: str) -> int:
    """Return a floor of the grid in basis points; raises `ConfigError`."""
    if text not in FLOORS:
        raise ConfigError(
            f"--floor: {text[:20]!r} is not one of {', '.join(FLOORS)}: a finer grid would tell the health itself"
        )
    return FLOORS[text]


def nonce_of(text: str) -> bytes:
    """Return the verifier's nonce; raises `ConfigError`."""
    try:
        return nonce_bytes(Node("--nonce", text))
    except DocumentError as error:
        raise ConfigError(f"{error} (the verifier makes one: openssl rand -hex 16)") from error
