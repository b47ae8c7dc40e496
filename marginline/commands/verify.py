"""`marginline verify`: what a proof shows, and what it does not."""

import asyncio
import re
import time
from decimal import Decimal, InvalidOperation
from pathlib import Path

from engine.answers import envelope
from engine.reading import SECOND_NS
from engine.record import record
from engine.rendering import timestamp
from marginline.commands.prove import floor_of, nonce_of
from marginline.commands.risk import read_portfolio
from marginline.commands.setup import read_config
from marginline.exits import Exit
from marginline.output import put, put_json
from marginline.solvency.attesting import Read
from marginline.solvency.comparing import Comparison, compare
from marginline.solvency.documents import parse_proof, parse_snapshot
from marginline.solvency.files import read
from marginline.solvency.proof import Asked
from marginline.solvency.proof import verify as require_valid
from marginline.solvency.sources import known_loans
from marginline.solvency.statement import Mode, NotValid, Proof, Snapshot
from providers.errors import ConfigError

SCHEMA = "marginline.verify/1"
NOT_PROVEN = (
    "that there is no other debt",
    "that the attester told the truth about the amounts",
    "anything about the health later than the snapshot",
)


@record
class Wishes:
    """What the verifier asks for: see `Asked`. `tolerance` is how far stated prices may be from its own, a fraction."""

    attester: str
    nonce: str
    floor: str | None = None
    full: bool = False
    tolerance: str = "0"


def verify(
    snapshot_file: Path,
    proof_file: Path,
    wishes: Wishes,
    *,
    portfolio: str | None,
    config: Path | None,
    timeout_s: float,
    as_json: bool,
) -> Exit:
    """Print whether the proof holds and what it says; 0 when it does, 5 when not. Raises `AppError` for bad input."""
    now_ns = time.time_ns()
    asked = _asked(wishes, now_ns)
    tolerance = _tolerance(wishes.tolerance)
    snapshot, proof = read(snapshot_file, parse_snapshot), read(proof_file, parse_proof)
    known = _known(portfolio, config, snapshot, timeout_s)
    reasons, compared = _judged(snapshot, proof, asked, known, tolerance)
    if as_json:
        put_json(_answer(snapshot, proof, reasons, compared, now_ns))
    elif reasons:
        for reason in reasons:
            put(f"NOT VALID: {reason}")
    else:
        _put_valid(snapshot, proof, compared)
    return Exit.NOT_VALID if reasons else Exit.OK


def _judged(
    snapshot: Snapshot, proof: Proof, asked: Asked, known: Read | None, tolerance: Decimal
) -> tuple[tuple[str, ...], Comparison | None]:
    try:
        require_valid(snapshot, proof, asked)
    except NotValid as error:
        return (str(error),), None
    if known is None:
        return (), None
    compared = compare(snapshot, known, tolerance)
    return compared.differs, compared


def _asked(wishes: Wishes, now_ns: int) -> Asked:
    if not re.fullmatch(r"[0-9a-f]{64}", wishes.attester, re.ASCII):
        raise ConfigError("--attester: must be the attester's public key, 64 lower-case hex digits")
    floor_bps = 0 if wishes.floor is None else floor_of(wishes.floor)
    nonce = nonce_of(wishes.nonce)
    return Asked(bytes.fromhex(wishes.attester), nonce, now_ns // SECOND_NS, floor_bps, wishes.full)


def _tolerance(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ConfigError(f"--tolerance: {text[:40]!r} is not a number") from None
    if not value.is_finite() or not 0 <= value <= Decimal("0.5"):
        raise ConfigError("--tolerance: must be a fraction from 0 to 0.5")
    return value


def _known(portfolio: str | None, config: Path | None, snapshot: Snapshot, timeout_s: float) -> Read | None:
    if portfolio is not None and config is not None:
        raise ConfigError("--portfolio: stands beside --config; compare with one of them")
    if portfolio is not None:
        document = read_portfolio(portfolio)
        return Read(document.accounts, document.prices, document.as_of_ns // SECOND_NS, None)
    return None if config is None else asyncio.run(known_loans(read_config(config), snapshot.block, timeout_s))


def _floor(proof: Proof) -> str:
    return f"{proof.floor_bps / 10_000:g}"


def _of(snapshot: Snapshot) -> str:
    together = "1 account" if snapshot.accounts == 1 else f"{snapshot.accounts} accounts together (not each)"
    whose = f' of "{snapshot.subject}"' if snapshot.subject else ""
    block = snapshot.block
    where = "" if block is None else f", block {block.number} (0x{block.hash.hex()}) of chain {block.chain_id}"
    return f"{together}{whose}, read at {timestamp(snapshot.taken_at_s * SECOND_NS)}{where}"


def _claims(snapshot: Snapshot, proof: Proof, compared: Comparison | None) -> list[tuple[str, str]]:
    ranges = (
        "full: every amount is proven to be in range"
        if proof.mode is Mode.FULL
        else "surplus-only: that every amount is in range is the attester's word"
    )
    prices = "the attester's, not compared with yours" if compared is None else "as yours"
    if compared is not None and compared.unchecked:
        prices += f", but not compared: {', '.join(compared.unchecked)}"
    return [
        ("of", _of(snapshot)),
        ("by the word of", snapshot.attester.hex()),
        ("mode", ranges),
        ("block, prices and thresholds" if snapshot.block else "prices and thresholds", prices),
        ("valid until", timestamp(snapshot.expires_at_s * SECOND_NS)),
        *(("caveat of the attester", caveat) for caveat in snapshot.caveats),
    ]


def _put_valid(snapshot: Snapshot, proof: Proof, compared: Comparison | None) -> None:
    put(f"VALID: proves a health factor of at least {_floor(proof)} at the stated prices")
    for name, text in _claims(snapshot, proof, compared):
        put(f"  {name}: {text}")
    for claim in NOT_PROVEN:
        put(f"does not prove {claim}")
    put("not audited")


def _answer(
    snapshot: Snapshot, proof: Proof, reasons: tuple[str, ...], compared: Comparison | None, now_ns: int
) -> dict[str, object]:
    block = snapshot.block
    return envelope(
        SCHEMA,
        now_ns,
        snapshot.caveats,
        valid=not reasons,
        reasons=list(reasons),
        floor=_floor(proof),
        mode=proof.mode.value,
        attester=snapshot.attester.hex(),
        subject=snapshot.subject,
        accounts=snapshot.accounts,
        taken_at=timestamp(snapshot.taken_at_s * SECOND_NS),
        expires_at=timestamp(snapshot.expires_at_s * SECOND_NS),
        block=None
        if block is None
        else {"chain_id": block.chain_id, "number": block.number, "hash": f"0x{block.hash.hex()}"},
        compared=compared is not None,
        unchecked=[] if compared is None else list(compared.unchecked),
        does_not_prove=list(NOT_PROVEN),
        audited=False,
    )
