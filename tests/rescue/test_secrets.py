"""No key and no password in anything that is written or shown, with every path taken and logging at DEBUG."""

import base64
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.chain.rescuing import OWNER_KEY, RESCUE_KEY
from tests.rescue.house import PASSWORD, RESCUER, House

LOUD = """
import faulthandler, logging, sys
faulthandler.enable()
logging.basicConfig(level=logging.DEBUG, filename=sys.argv.pop(1))
logging.getLogger().setLevel(logging.DEBUG)
from marginline.cli import run
sys.exit(run(sys.argv[1:]))
"""
CRASH = """
import sys
import providers.evm.rescue.signing as signing
def broken(step, signer):
    signer.sign_digest(b"\\1" * 32)
    raise RuntimeError("a fault of our own while the key is unlocked")
signing.sign = broken
"""


def _spellings(secret: bytes) -> dict[str, bytes]:
    """Return a secret as text, hex, base64 and other ways in which bytes get printed."""
    found = {
        "raw": secret,
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "base64": base64.b64encode(secret).rstrip(b"="),
        "base64 url": base64.urlsafe_b64encode(secret).rstrip(b"="),
        "repr": repr(secret)[2:-1].encode(),
        "number": str(int.from_bytes(secret, "big")).encode(),
        "bytes": ", ".join(map(str, secret)).encode(),
        "quoted": quote(secret).encode(),
        "utf-16": secret.decode("latin-1").encode("utf-16-le"),
        "backwards": secret[::-1],
    }
    return {name: spelling for name, spelling in found.items() if len(spelling) > 8}


class Watcher(threading.Thread):
    """Collects the command lines of every process while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self._ended = threading.Event()
        self.seen: set[bytes] = set()

    def run(self) -> None:
        while not self._ended.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    continue
            time.sleep(0.05)

    def end(self) -> None:
        self._ended.set()
        self.join()


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    watching = Watcher()
    watching.start()
    yield watching
    watching.end()


def _run(house: House, *arguments: str, before: str = "", code: int = 0) -> bytes:
    """Run one command at DEBUG; return everything that it said. No secret is in its environment."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MARGINLINE_", "XDG_"))}
    command = [sys.executable, "-X", "dev", "-W", "ignore", "-c", before + LOUD, str(house.folder / "debug.log")]
    done = subprocess.run(
        [*command, *arguments, "--config", str(house.config)],
        env=env | {"HOME": str(house.folder)},
        cwd=Path(__file__).resolve().parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr.decode()
    return done.stdout + done.stderr


def _keep(folder: Path, name: str, content: str) -> str:
    path = folder / name
    path.write_text(content)
    path.chmod(0o600)
    return f"file:{path}"


def test_nothing_that_is_written_or_shown_holds_a_key_or_a_password(
    house36: House, watcher: Watcher, tmp_path_factory: pytest.TempPathFactory
) -> None:
    anvil = house36.market.anvil
    anvil.skip(
        max(1, int(time.time()) - anvil.timestamp())
    )  # reverts of earlier tests set its clock back: doctor tells
    safe = tmp_path_factory.mktemp("safe")
    owner, rescue = (_keep(safe, name, "0x" + key.hex()) for name, key in (("o", OWNER_KEY), ("r", RESCUE_KEY)))
    password = _keep(safe, "p", PASSWORD)
    wrong = _keep(safe, "w", "another password altogether")
    broken = _keep(safe, "b", "0x" + OWNER_KEY.hex()[:-1] + "zz")
    house36.give("WETH", 10, RESCUER.address)
    house36.give("DAI", 10_000, RESCUER.address)
    house36.give("USDC", 10_000)
    said = [
        _run(house36, "signers", "add", "rescue", "--key-from", rescue, "--password-from", password),
        _run(house36, "signers", "add", "rescue", "--key-from", rescue, "--password-from", password, code=2),
        _run(house36, "signers", "add", "bad", "--key-from", broken, "--password-from", password, code=2),
        _run(house36, "signers", "list", "--json"),
    ]
    house36.settings["signer"] = f'"{owner}"'
    topup = ("topup", "main", "--confirm", "--json")
    said += [
        _run(house36, "plan", "main", "--to", "1.5", "--json", "--export", str(house36.folder / "steps.json")),
        _run(house36, *topup, "--to", "1.5", "--by", "repay"),
        _run(house36, "config", "show", "--json"),
        _run(house36, "config", "show"),
    ]
    house36.settings["signer"] = f'"{broken}"'
    said.append(_run(house36, *topup, "--to", "1.6", code=2))
    house36.settings["signer"] = '"keystore:rescue"'
    unlock = ("--password-from", password)
    said += [
        _run(house36, *topup, "--to", "1.6", "--by", "supply", "--with", "ETH", "--password-from", wrong, code=3),
        _run(house36, *topup, "--to", "1.6", code=2),
        _run(house36, *topup, "--to", "1.6", "--by", "supply", "--with", "ETH", *unlock),
        _run(house36, *topup, "--to", "1.7", "--by", "supply", "--with", "DAI", *unlock),
        _run(house36, *topup, "--to", "90", "--by", "supply", *unlock, code=30),
    ]
    house36.market.anvil.rpc.call("evm_setAutomine", False)
    try:
        said.append(_run(house36, *topup, "--to", "1.75", "--by", "supply", *unlock, "--wait", "1", code=32))
        (action,) = re.findall(rb'"action": ?"([0-9a-f]{16})"', said[-1])
        faster = ("topup", "--speed-up", action.decode(), "--confirm", "--json", *unlock, "--wait", "1")
        said.append(_run(house36, *faster, code=32))
    finally:
        house36.market.anvil.rpc.call("evm_setAutomine", True)
    house36.market.anvil.mine()
    said += [
        _run(house36, "history", "--reconcile", "--json"),
        _run(house36, *topup, "--to", "1.8", "--by", "supply", "--with", "ETH", *unlock, before=CRASH, code=1),
        _run(house36, "history", "--reconcile", "--verify", "--json"),
        _run(house36, "doctor", "--json"),
        _run(house36, "signers", "remove", "rescue", "--yes"),
    ]
    watcher.end()
    written = {str(path): path.read_bytes() for path in house36.folder.rglob("*") if path.is_file()}
    assert len(written[str(house36.folder / "debug.log")]) > 1000
    assert any("journal.sqlite3" in name for name in written)
    assert b"a fault of our own" in b"".join(said)
    places = written | {f"command {number}": text for number, text in enumerate(said)}
    places |= {f"process {number}": line for number, line in enumerate(watcher.seen)}
    for secret in (OWNER_KEY, RESCUE_KEY, PASSWORD.encode()):
        for spelling, content in _spellings(secret).items():
            for place, text in places.items():
                assert content not in text, f"{spelling} of a secret in {place}"
