"""`attest`, `prove` and `verify` as their three users run them, and what each says to bad input."""

import contextlib
import hashlib
import io
import json
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marginline.cli import run
from marginline.solvency.documents import render_openings, render_proof, render_snapshot
from marginline.solvency.statement import STANDARD, Mode
from tests.marginline.command import Done, marginline
from tests.solvency import other
from tests.solvency.cases import SEED, signed, standard

BOOK: dict[str, Any] = {
    "schema": "marginline.portfolio/1",
    "as_of": "2026-11-22T10:00:00Z",
    "prices": {
        "ETH": {"oracle": "2500.12345678", "round_id": 110680464442257320247},
        "USDC": {"oracle": "1", "stable": True},
        "WBTC": {"oracle": "97000.5"},
    },
    "accounts": [
        {
            "name": "main",
            "kind": "loan",
            "chain_id": 1,
            "collateral": [{"asset": "ETH", "amount": "10.123456789", "liquidation_threshold": "0.83"}],
            "debt": [{"asset": "USDC", "amount": "14999.123457"}],
        },
        {
            "name": "second",
            "kind": "loan",
            "chain_id": 1,
            "collateral": [{"asset": "ETH", "amount": "1.5", "liquidation_threshold": "0.8"}],
            "debt": [],
        },
        {
            "name": "dear",
            "kind": "loan",
            "prices": {"ETH": {"oracle": "2600"}},
            "collateral": [{"asset": "ETH", "amount": "1", "liquidation_threshold": "0.8"}],
            "debt": [],
        },
        {"name": "hl", "kind": "perp", "balance": "5000", "quote": "USDC", "positions": []},
        {"name": "ib", "kind": "broker", "cash": "-20000", "positions": []},
    ],
}
MARKET = {
    "schema": "marginline.assets/1",
    "assets": [
        {"asset": "ETH", "liquidation_threshold": "0.8"},
        {"asset": "USDC", "liquidation_threshold": "0.78"},
        {"asset": "WBTC", "liquidation_threshold": "0.73"},
    ],
}
KEY = SEED.hex()
NONCE = hashlib.sha256(b"nonce").hexdigest()[:32]


def write(path: Path, document: Any, mode: int = 0o600) -> Path:
    """Write `document` as JSON and return its path."""
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    path.chmod(mode)
    return path


def quick(*arguments: str | Path) -> Done:
    """Run one command line in this process: what is only refused needs no process of its own."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    return Done(code, out.getvalue(), err.getvalue())


def attest(home: Path, *names: str, key: str | None = None, more: tuple[str | Path, ...] = ()) -> Done:
    """Run `attest` on the document, with the key in a file."""
    book, seed = write(home / "book.txt", BOOK), write(home / "key.txt", KEY)
    files = ("--snapshot", home / "s.json", "--openings", home / "o.json")
    return quick("attest", *(names or ("main",)), "--portfolio", book, "--key", key or f"file:{seed}", *files, *more)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a snapshot, its openings and a surplus-only proof of 1.25, made by the commands."""
    home = tmp_path_factory.mktemp("shown")
    files = ("--snapshot", home / "s.json", "--openings", home / "o.json", "--portfolio", "-")
    rest = ("--assets", write(home / "market.txt", MARKET), "--subject", "Fund I", "--key", "env:ATTESTER", "--json")
    made = marginline("attest", "main", *files, *rest, stdin=json.dumps(BOOK), env={"ATTESTER": KEY}, home=home)
    assert made.code == 0, made.err
    assert made.json == json.loads((home / "s.json").read_text())
    done = prove(home, "--surplus-only")
    assert done.code == 0, done.err
    return home


def prove(home: Path, *more: str | Path, floor: str = "1.25", nonce: str = NONCE, proof: str = "p.json") -> Done:
    """Run `prove` on the files of a folder."""
    files = ("--snapshot", home / "s.json", "--openings", home / "o.json", "--proof", home / proof)
    return quick("prove", *files, "--floor", floor, "--nonce", nonce, *more)


def verifying(home: Path, nonce: str = NONCE, attester: str | None = None) -> list[str | Path]:
    """Return the command line that verifies the files of a folder."""
    files = ("--snapshot", home / "s.json", "--proof", home / "p.json")
    who = attester or json.loads((home / "s.json").read_text())["attester"]
    return ["verify", *files, "--attester", who, "--nonce", nonce]


def verify(home: Path, *more: str | Path, nonce: str = NONCE, attester: str | None = None) -> Done:
    """Run `verify` on the files of a folder."""
    return quick(*verifying(home, nonce, attester), *more)


def test_a_proof_says_what_it_proves_and_what_not(shown: Path) -> None:
    done = marginline(*verifying(shown))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("VALID: proves a health factor of at least 1.25 at the stated prices\n")
    assert '1 account of "Fund I", read at 2026-11-22T10:00:00Z' in done.out
    assert "surplus-only: that every amount is in range is the attester's word" in done.out
    assert "not compared with yours" in done.out
    assert "does not prove that there is no other debt\n" in done.out
    assert done.out.endswith("not audited\n")


def test_the_answer_as_json(shown: Path) -> None:
    done = verify(shown, "--json", "--floor", "1.1")
    assert done.code == 0, done.err
    answer = done.json
    assert (answer["schema"], answer["valid"], answer["floor"]) == ("marginline.verify/1", True, "1.25")
    assert answer["audited"] is False
    assert "that there is no other debt" in answer["does_not_prove"]


def test_the_second_verifier_accepts_the_files_as_they_lie(shown: Path) -> None:
    other.require()
    attester = json.loads((shown / "s.json").read_text())["attester"]
    command = ["node", other.VERIFIER, shown / "s.json", shown / "p.json", attester, NONCE]
    done = subprocess.run(command, capture_output=True, text=True, cwd=other.ROOT, check=False)
    assert (done.returncode, done.stdout) == (0, "valid\n"), done.stderr
    done = subprocess.run([*command[:-1], "00" * 16], capture_output=True, text=True, cwd=other.ROOT, check=False)
    assert (done.returncode, done.stdout) == (5, "not valid: nonce\n"), done.stderr


def test_only_the_openings_hold_amounts_and_only_their_owner_reads_them(shown: Path) -> None:
    assert stat.S_IMODE((shown / "o.json").stat().st_mode) == 0o600
    secrets = json.loads((shown / "o.json").read_text())
    amounts = {one["amount"] for side in ("collateral", "debt") for one in secrets[side]} - {"0"}
    assert amounts == {"101234567890", "149991234570"}
    public = (shown / "s.json").read_text() + (shown / "p.json").read_text()
    blindings = {one["blinding"] for side in ("collateral", "debt") for one in secrets[side]}
    assert not [secret for secret in amounts | blindings | {KEY} if secret in public]


@pytest.mark.parametrize(
    ("more", "nonce", "attester", "words"),
    [
        ((), "ab" * 16, None, "the nonce is not the one you asked for"),
        ((), NONCE, "ab" * 32, "not of the attester you named"),
        (("--floor", "1.5"), NONCE, None, "the floor is below the one you asked for"),
        (("--full",), NONCE, None, "the proof is surplus-only, you asked for full"),
    ],
)
def test_what_was_not_asked_for_is_not_valid(
    shown: Path, more: tuple[str, ...], nonce: str, attester: str | None, words: str
) -> None:
    done = verify(shown, *more, nonce=nonce, attester=attester)
    assert done.code == 5
    assert done.out.startswith("NOT VALID: ")
    assert words in done.out


def test_prices_and_thresholds_are_compared_when_offered(shown: Path, tmp_path: Path) -> None:
    book = write(tmp_path / "book.txt", BOOK)
    same = verify(shown, "--portfolio", book)
    assert same.code == 0, same.out
    assert "prices and thresholds: as yours, but not compared: threshold of USDC, threshold of WBTC" in same.out
    moved = json.loads(json.dumps(BOOK))
    moved["prices"]["ETH"] = {"oracle": "2475"}
    write(book, moved)
    done = verify(shown, "--portfolio", book, "--json")
    assert done.code == 5
    assert done.json["reasons"] == ["ETH: the stated price 2500.12345678 is not yours, 2475"]
    assert verify(shown, "--portfolio", book, "--tolerance", "0.02").code == 0
    strict = json.loads(json.dumps(BOOK))
    strict["accounts"][1]["collateral"][0]["liquidation_threshold"] = "0.79"
    write(book, strict)
    done = verify(shown, "--portfolio", book)
    assert (done.code, done.out) == (5, "NOT VALID: ETH: the stated threshold 0.8 is above yours, 0.79\n")


def test_a_full_proof_of_two_accounts_at_a_block(tmp_path: Path) -> None:
    block = ("--block", "23000000", "--block-hash", "0x" + "5a" * 32)
    made = attest(tmp_path, "main", "second", more=block)
    assert made.code == 0, made.err
    assert "the public list shows what is held (ETH, USDC)" in made.err
    snapshot = json.loads((tmp_path / "s.json").read_text())
    assert snapshot["block"] == {"chain_id": "1", "number": "23000000", "hash": "5a" * 32}
    assert snapshot["assets"][0] == {
        "asset": "ETH",
        "decimals": "10",
        "threshold_bps": "8000",
        "price_down": "250012345678",
        "price_up": "250012345678",
        "round_id": "110680464442257320247",
    }
    assert prove(tmp_path, floor="1.5").code == 0
    done = verify(tmp_path, "--full")
    assert done.code == 0, done.out
    assert "2 accounts together (not each)" in done.out
    assert f"block 23000000 (0x{'5a' * 32}) of chain 1" in done.out
    assert "full: every amount is proven to be in range" in done.out


def test_a_floor_above_the_health_cannot_be_proven(shown: Path) -> None:
    done = prove(shown, "--surplus-only", floor="1.5", proof="high.json")
    assert done.code == 2
    assert "cannot be proven: health at the stated prices is below 1.5" in done.err
    assert not (shown / "high.json").exists()


@pytest.mark.parametrize(
    ("names", "more", "words"),
    [
        (("hl",), (), "hl: only loans can be attested; what a perp account must keep"),
        (("ib",), (), "ib: only loans can be attested; what a broker account must keep"),
        (("none",), (), 'there is no account "none"; there are: main'),
        (("main", "main"), (), "named twice"),
        (("main", "dear"), (), "dear: ETH has another price"),
        (("main",), ("--block", "5"), "--block and --block-hash belong together"),
        (("main",), ("--block", "5", "--block-hash", "0x12"), "0x and 64 hex digits"),
        (("dear",), ("--block", "5", "--block-hash", "0x" + "12" * 32), "say its chain_id"),
        (("main",), ("--subject", "fünf"), "--subject: must be at most 100 printable ASCII"),
        (("main",), ("--hours", "0"), "--hours"),
        (("main",), ("--assets", "/no/such/file"), "/no/such/file: cannot be read"),
    ],
)
def test_what_cannot_be_attested_is_refused_by_name(
    tmp_path: Path, names: tuple[str, ...], more: tuple[str, ...], words: str
) -> None:
    done = attest(tmp_path, *names, more=more)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    ("assets", "words"),
    [
        (MARKET["assets"][:1], "does not list USDC"),
        ([{"asset": "ETH", "liquidation_threshold": "0.84"}, MARKET["assets"][1]], "ETH is above the account's"),
        ([*MARKET["assets"], {"asset": "DAI", "liquidation_threshold": "0.7"}], "the price of DAI is unknown"),
        ([MARKET["assets"][0]] * 2, "none of them twice"),
        ([MARKET["assets"][0] | {"price": "2500"}, MARKET["assets"][1]], "must state every price or none"),
        ([one | {"price": "2400"} for one in MARKET["assets"]], "the price of ETH is more than 1 % from"),
        ([MARKET["assets"][0] | {"liquidation_threshold": "NaN"}], "assets[0].liquidation_threshold"),
        ([MARKET["assets"][0] | {"treshold": "1"}], "assets[0].treshold: unknown key"),
        ([{"asset": f"A{i}", "liquidation_threshold": "0.5"} for i in range(17)], "at most 16 are read"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(tmp_path: Path, assets: list[Any], words: str) -> None:
    market = write(tmp_path / "market.txt", {"schema": "marginline.assets/1", "assets": assets})
    done = attest(tmp_path, more=("--assets", market))
    assert (done.code, done.out) == (2, "")
    assert words in done.err


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (KEY, "--key: must be a reference"),
        ("env:NOBODY", "environment variable NOBODY is not set"),
        ("file:/no/such/key", "/no/such/key cannot be read"),
        ("cmd:echo " + "z" * 64, "must give 64 hex digits"),
    ],
)
def test_a_key_that_is_none_is_refused_and_never_shown(tmp_path: Path, key: str, words: str) -> None:
    done = attest(tmp_path, key=key)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert KEY not in done.err
    assert "zzzz" not in done.err


@pytest.mark.parametrize("as_of", ["1969-12-31T23:59:59Z", "2999-01-01T00:00:00Z"])
def test_a_document_of_another_age_is_not_attested(tmp_path: Path, as_of: str) -> None:
    book = write(tmp_path / "old.txt", BOOK | {"as_of": as_of})
    done = attest(tmp_path, more=("--portfolio", book))
    assert (done.code, done.out) == (2, "")
    assert "before 1970" in done.err or "yet to come" in done.err


def test_no_file_is_ever_overwritten(shown: Path) -> None:
    before = {path.name: path.read_bytes() for path in shown.glob("*.json")}
    assert "s.json: exists already and is not overwritten" in attest(shown).err
    again = prove(shown)
    assert again.code == 2
    assert "p.json: exists already and is not overwritten" in again.err
    assert {path.name: path.read_bytes() for path in shown.glob("*.json")} == before


def test_a_file_in_no_folder_is_refused_before_anything_is_read(shown: Path) -> None:
    done = prove(shown, proof="none/p.json")
    assert (done.code, done.out) == (2, "")
    assert "there is no folder" in done.err


@pytest.mark.parametrize(
    ("floor", "nonce", "words"),
    [
        ("1.3", NONCE, "--floor: '1.3' is not one of 1.1, 1.25, 1.5, 2"),
        ("NaN", NONCE, "--floor"),
        ("1.25", "abcd", "--nonce: has 2 bytes, 16 to 64 are needed"),
        ("1.25", "xyz", "--nonce: must be bytes in lower-case hex"),
    ],
)
def test_a_floor_off_the_grid_and_a_short_nonce_are_refused(shown: Path, floor: str, nonce: str, words: str) -> None:
    done = prove(shown, floor=floor, nonce=nonce, proof="new.json")
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_openings_that_others_can_read_or_of_another_snapshot_are_refused(tmp_path: Path) -> None:
    story, stranger = standard(Mode.SURPLUS_ONLY), standard(Mode.SURPLUS_ONLY, seed=b"stranger")
    write(tmp_path / "s.json", render_snapshot(story.snapshot))
    openings = write(tmp_path / "o.json", render_openings(story.openings, 1), 0o644)
    assert "readable by others (mode 0644); run: chmod 600" in prove(tmp_path).err
    write(openings, render_openings(stranger.openings, 1))
    assert "cannot be proven: the openings belong to another snapshot" in prove(tmp_path).err
    write(openings, render_openings(story.openings, 1) | {"more": 1})
    assert "o.json: more: unknown key" in prove(tmp_path).err
    assert not (tmp_path / "p.json").exists()


def test_an_expired_snapshot_is_neither_proven_nor_valid(tmp_path: Path) -> None:
    story = standard(Mode.SURPLUS_ONLY)
    old = replace(story.snapshot, taken_at_s=1_700_000_000, expires_at_s=1_700_086_400)
    write(tmp_path / "s.json", render_snapshot(signed(old, SEED, STANDARD)))
    write(tmp_path / "o.json", render_openings(story.openings, 1))
    done = prove(tmp_path)
    assert done.code == 2
    assert "the snapshot has expired" in done.err
    write(tmp_path / "p.json", render_proof(story.proof))
    done = verify(tmp_path, nonce=story.proof.nonce.hex())
    assert (done.code, done.out) == (5, "NOT VALID: the snapshot has expired\n")


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("s.json", "{", "s.json: document: is not JSON"),
        ("p.json", "[]", "p.json: document: must be an object"),
        ("p.json", '{"schema": "marginline.snapshot/1"}', "p.json: schema: must be marginline.proof/1"),
        ("s.json", '"unit": 5', "s.json: unit: must be 1 to 40 printable ASCII"),
        ("s.json", '"unt": "USD"', "s.json: unt: unknown key; did you mean unit?"),
        ("p.json", '"nonce": "NaN"', "p.json: nonce: must be bytes in lower-case hex"),
    ],
)
def test_a_document_that_is_none_is_refused_by_its_key(
    shown: Path, tmp_path: Path, file: str, text: str, words: str
) -> None:
    documents = {name: json.loads((shown / name).read_text()) for name in ("s.json", "p.json")}
    attester = documents["s.json"]["attester"]
    for name, document in documents.items():
        write(tmp_path / name, document)
    spoiled = text if text[0] in "{[" else json.dumps(documents[file] | json.loads("{" + text + "}"))
    write(tmp_path / file, spoiled)
    done = verify(tmp_path, attester=attester)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--tolerance", "nan"), "--tolerance: must be a fraction from 0 to 0.5"),
        (("--tolerance", "x"), "--tolerance: 'x' is not a number"),
        (("--floor", "1.3"), "--floor: '1.3' is not one of"),
        (("--portfolio", "/no/such/file"), "/no/such/file: cannot be read"),
        (("--portfolio", "x", "--config", "x"), "stands beside --config"),
        (("--config", "/no/such/file"), "/no/such/file"),
    ],
)
def test_bad_wishes_of_a_verifier_are_refused(shown: Path, more: tuple[str, ...], words: str) -> None:
    done = verify(shown, *more)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_an_attester_that_is_no_key_is_refused(shown: Path) -> None:
    done = verify(shown, attester="main")
    assert done.code == 2
    assert "--attester: must be the attester's public key" in done.err


@pytest.mark.parametrize("module", ["rbcl", "nacl"])
def test_without_the_extra_the_commands_say_how_to_install_it(shown: Path, module: str) -> None:
    files = f"'--snapshot', '{shown}/s.json', '--proof', '{shown}/p.json'"
    program = (
        f"import sys\nsys.modules[{module!r}] = None\nfrom marginline.cli import run\n"
        f"raise SystemExit(run(['verify', {files}, '--attester', '{_attester(shown)}', '--nonce', '{NONCE}']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'marginline[zk]'" in done.stderr
    assert "Traceback" not in done.stderr


def _attester(home: Path) -> str:
    found: str = json.loads((home / "s.json").read_text())["attester"]
    return found
