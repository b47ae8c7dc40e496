"""Signers: encrypted key files, references, and that a key or a password shows nowhere."""

import asyncio
import copy
import json
import pickle
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from eth_keys.datatypes import PublicKey, Signature

from marginline import keystore, signers
from marginline.keystore import Secret
from marginline.signers import SignerBox
from providers.errors import AppError, ConfigError, Unauthorised

# The key and address of anvil's and hardhat's first account: public, and worth nothing.
KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
OTHER_KEY = "0x" + "11" * 32
PASSWORD = "correct horse battery staple"
CHEAP = 2  # the lowest scrypt cost that there is
DIGEST = bytes(range(32))


def secret(text: str) -> signers.Reader:
    return lambda: Secret.of(text)


def cheap(folder: Path, name: str = "rescue", key: str = KEY) -> keystore.Entry:
    return keystore.add(folder, name, Secret(bytes.fromhex(key[2:])), Secret.of(PASSWORD), work_factor=CHEAP)


def recovered(signature: tuple[int, int, int], digest: bytes) -> str:
    v, r, s = signature
    key: PublicKey = Signature(vrs=(v - 27, r, s)).recover_public_key_from_msg_hash(digest)
    return key.to_checksum_address()


def test_a_signer_is_added_listed_unlocked_and_signs(tmp_path: Path) -> None:
    folder = tmp_path / "signers"
    made = signers.add("rescue", secret(KEY), secret(PASSWORD), folder=folder)
    assert made.address == ADDRESS
    assert signers.listed(folder) == (made,)
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    content = made.path.read_text()
    assert json.loads(content)["crypto"]["kdf"] == "scrypt"
    assert json.loads(content)["crypto"]["kdfparams"]["n"] >= 2**17
    assert KEY[2:] not in content.lower()

    box = SignerBox("keystore:rescue", "test", folder=folder)
    assert (box.address, box.is_locked, box.needs_password) == (ADDRESS, True, True)
    asyncio.run(box.unlock(PASSWORD))
    signature = box.sign_digest(DIGEST)
    assert recovered(signature, DIGEST) == ADDRESS
    assert signature[0] in (27, 28)
    box.lock()
    with pytest.raises(Unauthorised, match="locked"):
        box.sign_digest(DIGEST)


def test_a_file_of_another_wallet_opens_as_well(tmp_path: Path) -> None:
    """The scrypt test vector of the Web3 Secret Storage definition (ethereum.org, read 2026-11)."""
    vector = {
        "address": "008aeeda4d805471df9b2a5b0f38a0c3bcba786b",
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
            "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
            "kdf": "scrypt",
            "kdfparams": {
                "dklen": 32,
                "n": 262144,
                "r": 1,
                "p": 8,
                "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
            },
            "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
        },
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "version": 3,
    }
    path = tmp_path / "geth.json"
    path.write_text(json.dumps(vector))
    path.chmod(0o600)
    key = keystore.decrypted(tmp_path, "geth", Secret.of("testpassword"))
    assert key.reveal().hex() == "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"


def test_decrypting_leaves_the_event_loop_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cheap(tmp_path)
    box = SignerBox("keystore:rescue", "test", folder=tmp_path)
    used: list[int] = []
    plain = keystore.decrypted

    def noted(folder: Path, name: str, password: Secret) -> Secret:
        used.append(threading.get_ident())
        return plain(folder, name, password)

    monkeypatch.setattr(keystore, "decrypted", noted)
    asyncio.run(box.unlock(PASSWORD))
    assert len(used) == 1
    assert used[0] != threading.get_ident()


def test_a_wrong_password_is_said_and_nothing_is_unlocked(tmp_path: Path) -> None:
    cheap(tmp_path)
    box = SignerBox("keystore:rescue", "test", folder=tmp_path)
    for wrong in ("incorrect", "", None):
        with pytest.raises(Unauthorised) as raised:
            asyncio.run(box.unlock(wrong))
        assert "incorrect" not in str(raised.value)
    assert box.is_locked


def test_a_wrong_password_later_keeps_what_was_unlocked(tmp_path: Path) -> None:
    cheap(tmp_path)
    box = SignerBox("keystore:rescue", "test", folder=tmp_path)
    asyncio.run(box.unlock(PASSWORD))
    with pytest.raises(Unauthorised):
        asyncio.run(box.unlock("incorrect"))
    assert recovered(box.sign_digest(DIGEST), DIGEST) == ADDRESS


@pytest.mark.parametrize("scheme", ["env", "file", "cmd"])
def test_a_reference_gives_the_key(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESCUE_KEY", KEY)
    kept = tmp_path / "key"
    kept.write_text(KEY + "\n")
    kept.chmod(0o600)
    reference = {"env": "env:RESCUE_KEY", "file": f"file:{kept}", "cmd": f"cmd:cat {kept}"}[scheme]
    box = SignerBox(reference, "test", folder=tmp_path)
    assert (box.address, box.needs_password) == ("", False)
    assert asyncio.run(box.learn_address()) == ADDRESS
    assert box.is_locked
    asyncio.run(box.unlock())
    assert recovered(box.sign_digest(DIGEST), DIGEST) == ADDRESS


def test_a_reference_that_changed_its_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESCUE_KEY", KEY)
    box = SignerBox("env:RESCUE_KEY", "test", folder=tmp_path)
    asyncio.run(box.learn_address())
    monkeypatch.setenv("RESCUE_KEY", OTHER_KEY)
    with pytest.raises(ConfigError, match=ADDRESS):
        asyncio.run(box.unlock())
    assert box.is_locked


@pytest.mark.parametrize(
    "text",
    [KEY[2:], KEY[:-1], KEY + "0", "0x" + "zz" * 32, "0x" + "00" * 32, "0x" + "ff" * 32, "", "word " * 12, "\udcff"],
)
def test_a_malformed_key_is_refused_and_not_shown(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="64 hex digits") as raised:
        signers.add("rescue", lambda: Secret(text.encode(errors="surrogateescape")), secret(PASSWORD), folder=tmp_path)
    assert not text or text not in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("reference", [KEY, "keystore:", "vault:x", "", "env:"])
def test_what_is_no_reference_is_refused_and_not_shown(reference: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reference") as raised:
        SignerBox(reference, "account main: signer", folder=tmp_path)
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("name", ["../rescue", "", "a/b", ".hidden", "x" * 41, "a b"])
def test_a_name_cannot_leave_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1-40 letters"):
        keystore.add(tmp_path / "signers", name, Secret(b"\1" * 32), Secret.of(PASSWORD), work_factor=CHEAP)
    assert not list(tmp_path.iterdir())


def test_an_existing_signer_is_never_overwritten(tmp_path: Path) -> None:
    before = cheap(tmp_path).path.read_bytes()
    with pytest.raises(ConfigError, match="exists already"):
        cheap(tmp_path, key=OTHER_KEY)
    assert (tmp_path / "rescue.json").read_bytes() == before


def test_an_empty_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="empty password"):
        signers.add("rescue", secret(KEY), secret(""), folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_removing_asks_and_keeps_the_file(tmp_path: Path) -> None:
    cheap(tmp_path)
    asked: list[str] = []

    def no(found: keystore.Entry) -> bool:
        asked.append(found.address)
        return False

    assert signers.remove("rescue", no, folder=tmp_path) is None
    assert asked == [ADDRESS]
    assert len(signers.listed(tmp_path)) == 1
    kept = signers.remove("rescue", lambda _: True, folder=tmp_path)
    assert kept is not None
    assert json.loads(kept.read_text())["address"].lower() == ADDRESS[2:].lower()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert signers.listed(tmp_path) == ()
    with pytest.raises(ConfigError, match="no such signer"):
        signers.remove("rescue", lambda _: True, folder=tmp_path)


def test_a_kept_file_is_never_replaced(tmp_path: Path) -> None:
    cheap(tmp_path)
    keystore.remove(tmp_path, "rescue", now_ns=0)
    cheap(tmp_path, key=OTHER_KEY)
    with pytest.raises(ConfigError, match="cannot be moved"):
        keystore.remove(tmp_path, "rescue", now_ns=0)
    assert len(signers.listed(tmp_path)) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"\xff", b'{"address":"12"}', b"[" * 20_000, b'{"address":"' + b"0" * 70_000 + b'"}'],
)
def test_what_is_no_key_file_is_a_config_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rescue.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="not an encrypted V3 key file"):
        signers.listed(tmp_path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("crypto",), None),
        (("crypto", "kdf"), "argon"),
        (("crypto", "ciphertext"), "zz"),
        (("crypto", "kdfparams", "n"), 3),
        (("crypto", "kdfparams"), {}),
        (("version",), 7),
    ],
)
def test_a_damaged_file_says_so(place: tuple[str, ...], value: object, tmp_path: Path) -> None:
    path = cheap(tmp_path).path
    content = json.loads(path.read_text())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises((ConfigError, Unauthorised)) as raised:
        keystore.decrypted(tmp_path, "rescue", Secret.of(PASSWORD))
    assert PASSWORD not in str(raised.value)


def test_a_file_that_names_another_address_is_refused(tmp_path: Path) -> None:
    path = cheap(tmp_path).path
    content = json.loads(path.read_text())
    content["address"] = "11" * 20
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="not that of the address"):
        keystore.decrypted(tmp_path, "rescue", Secret.of(PASSWORD))


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    cheap(tmp_path).path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        SignerBox("keystore:rescue", "test", folder=tmp_path)


def test_nothing_shows_a_key_or_a_password(tmp_path: Path) -> None:
    cheap(tmp_path)
    box = SignerBox("keystore:rescue", "test", folder=tmp_path)
    asyncio.run(box.unlock(PASSWORD))
    shown = [repr(box), str(box), f"{box}", repr(Secret.of(PASSWORD)), repr({"key": Secret.of(KEY)})]
    for text in shown:
        assert KEY[2:] not in text
        assert PASSWORD not in text
    for storing in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            storing(box)
        with pytest.raises(TypeError):
            storing(Secret.of(KEY))
    assert not hasattr(box, "__dict__")


def test_no_traceback_of_a_failure_holds_a_secret_in_its_variables(tmp_path: Path) -> None:
    """A crash report prints the local variables of every frame, and of whatever error caused the error."""
    path = cheap(tmp_path).path
    damaged = json.loads(path.read_text())
    damaged["address"] = "11" * 20
    (tmp_path / "other.json").write_text(json.dumps(damaged))
    (tmp_path / "other.json").chmod(0o600)
    wrong = "not the right password"
    attempts: list[Callable[[], object]] = [
        lambda: keystore.decrypted(tmp_path, "rescue", Secret.of(wrong)),
        lambda: keystore.decrypted(tmp_path, "other", Secret.of(PASSWORD)),
        lambda: keystore.parsed_key(Secret.of(KEY + "0"), "test"),
        lambda: signers.add("rescue", secret(KEY), secret(PASSWORD), folder=tmp_path),
    ]
    for attempt in attempts:
        with pytest.raises(AppError) as raised:
            attempt()
        seen: list[BaseException | None] = [raised.value]
        while seen and (error := seen.pop()) is not None:
            trace = error.__traceback__
            while trace is not None:
                if trace.tb_frame.f_code.co_filename != __file__:
                    text = repr(trace.tb_frame.f_locals)
                    assert not any(hidden in text for hidden in (KEY[2:], PASSWORD, wrong))
                    assert bytes.fromhex(KEY[2:]).__repr__()[2:-1] not in text
                trace = trace.tb_next
            seen += [error.__cause__] if error.__suppress_context__ else [error.__cause__, error.__context__]


def test_locking_wipes_what_was_held() -> None:
    held = Secret.of(PASSWORD)
    held.wipe()
    assert held.reveal() == b""
    assert not held


def test_a_typed_password_must_be_typed_twice_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["one", "two", "same", "same"])
    monkeypatch.setattr("getpass.getpass", lambda _: next(answers))
    with pytest.raises(ConfigError, match="differ"):
        signers.typed_twice("password: ")()
    assert signers.typed_twice("password: ")().reveal() == b"same"


def test_without_a_terminal_a_reference_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("getpass.getpass", closed)
    with pytest.raises(ConfigError, match="no terminal"):
        signers.typed("key: ")()


def test_the_folder_stands_beside_the_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MARGINLINE_CONFIG", str(tmp_path / "config.toml"))
    assert keystore.directory() == tmp_path / "signers"
    assert keystore.directory(Path("/etc/marginline/desk.toml")) == Path("/etc/marginline/signers")


def test_a_key_that_is_wiped_meanwhile_is_whole_or_gone_and_never_half() -> None:
    """Signing runs in a thread while `!` wipes: a half-wiped key would sign as one that can be guessed."""
    content = b"\xff" * 400_000
    key, seen = Secret(content), set()
    started = threading.Event()

    def watch() -> None:
        started.set()
        while key:
            seen.add(len(set(key.reveal())))

    thread = threading.Thread(target=watch)
    thread.start()
    started.wait()
    key.wipe()
    thread.join()
    assert seen <= {0, 1}
    assert key.reveal() == b""


def test_a_key_that_was_wiped_under_the_signers_hands_signs_nothing(tmp_path: Path) -> None:
    cheap(tmp_path)
    box = SignerBox("keystore:rescue", "test", folder=tmp_path)
    asyncio.run(box.unlock(PASSWORD))
    held = box._key
    assert held is not None
    held.wipe()
    with pytest.raises(Unauthorised, match="locked"):
        box.sign_digest(DIGEST)
