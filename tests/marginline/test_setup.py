"""Set-up and diagnosis from a shell: nothing is overwritten, nothing secret is printed, every failure has its code."""

import asyncio
import http.server
import json
import threading
import tomllib
from pathlib import Path

import pytest

from engine.rescue import Means
from marginline.commands.keys import name_of
from marginline.registry import RESCUE_MODULES
from tests.marginline.command import marginline, write

ADDRESS = "0x52908400098527886E0F7030069857D2E4169EE7"


def test_init_writes_a_config_that_is_valid_and_never_overwrites_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "config.toml"
    arguments = ("init", "--config", path, "--provider", "aave-v3", "--chain", "ethereum", "--address", ADDRESS)
    done = marginline(*arguments, home=tmp_path)
    assert done.code == 0, done.err
    assert done.out.strip() == str(path)
    assert tomllib.loads(path.read_text())["account"][0]["address"] == ADDRESS
    before = path.read_bytes()
    again = marginline(*arguments, home=tmp_path)
    assert again.code == 2
    assert "exists already" in again.err
    forced = marginline("init", "--config", path, "--provider", "manual", "--force", home=tmp_path)
    assert forced.code == 0, forced.err
    assert before in [kept.read_bytes() for kept in path.parent.glob("config.toml.*")]
    assert marginline("config", "check", "--config", path, home=tmp_path).code == 0


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("0x52908400098527886e0F7030069857D2E4169EE7", ["checksum"]),
        ("0x1234", ["address"]),
        ("vitalik.eth", ["address"]),
    ],
)
def test_init_refuses_an_address_that_cannot_be_one(tmp_path: Path, address: str, words: list[str]) -> None:
    path = tmp_path / "config.toml"
    done = marginline(
        "init", "--config", path, "--provider", "aave-v3", "--chain", "base", "--address", address, home=tmp_path
    )
    assert done.code == 2
    assert all(word in done.err.lower() for word in words), done.err
    assert list(tmp_path.glob("config.toml*")) == []


def test_without_a_config_every_reader_says_what_to_do(tmp_path: Path) -> None:
    for command in ("status", "check", "alerts", "doctor"):
        done = marginline(command, home=tmp_path)
        assert done.code == 2, command
        assert "marginline init" in done.err
    opened = marginline(home=tmp_path)
    assert opened.code == 2
    assert "marginline demo" in opened.err


def test_config_path_and_show(tmp_path: Path) -> None:
    expected = tmp_path / "config" / "marginline" / "config.toml"
    assert marginline("config", "path", home=tmp_path).out.strip() == str(expected)
    path = write(
        tmp_path / "c.toml",
        ["[[account]]", 'name = "hl"', 'provider = "hyperliquid"', f'address = "{ADDRESS}"', 'signer = "env:MY_KEY"'],
    )
    shown = marginline("config", "show", "--json", env={"MARGINLINE_CONFIG": str(path), "MY_KEY": "hunter2"})
    assert shown.code == 0, shown.err
    assert shown.json["accounts"][0]["signer"] == "env:MY_KEY"
    assert "hunter2" not in shown.out + shown.err


def test_config_show_tells_the_confirmations_that_are_waited_for(tmp_path: Path) -> None:
    lines = ["[[account]]", 'name = "main"', 'provider = "aave-v3"', f'address = "{ADDRESS}"', 'chain = "ethereum"']
    path = write(tmp_path / "c.toml", [*lines, 'rpc_url = "http://127.0.0.1:1"', "confirmations = 12"])
    assert "confirmations = 12" in marginline("config", "show", "-c", path).out
    assert marginline("config", "show", "--json", "-c", path).json["accounts"][0]["confirmations"] == 12


def test_a_literal_secret_is_refused_with_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "c.toml",
        [
            "[[account]]",
            'name = "bn"',
            'provider = "hyperliquid"',
            f'address = "{ADDRESS}"',
            'secret = "hunter2hunter2"',
        ],
    )
    done = marginline("config", "check", "-c", path)
    assert done.code == 2
    assert f"{path}:5:" in done.err
    assert "hunter2" not in done.err


def test_a_missing_variable_is_named_before_anything_starts(tmp_path: Path) -> None:
    account = ["[[account]]", 'name = "a"', 'provider = "aave-v3"', 'chain = "ethereum"', f'address = "{ADDRESS}"']
    path = write(tmp_path / "c.toml", [*account, 'rpc_url = "env:NO_SUCH_URL"'])
    done = marginline("status", "-c", path)
    assert done.code == 2
    assert "NO_SUCH_URL is not set" in done.err


def test_providers_are_listed_from_the_adapters() -> None:
    done = marginline("providers", "--json")
    names = {row["name"] for row in done.json["providers"]}
    assert {"aave-v3", "hyperliquid", "manual", "binance", "coinbase", "kraken", "okx", "bybit"} <= names


def test_what_providers_says_of_rescues_is_what_there_is() -> None:
    rows = marginline("providers", "--json").json["providers"]
    said = {row["name"]: row["rescues"] for row in rows if row["kinds"]}
    assert said["simulated"] == ["supply", "repay", "add-margin"]
    for name, means in said.items():
        if name != "simulated":
            assert bool(means) is (name in RESCUE_MODULES), name
        assert set(means) <= {each.value for each in Means}


def test_notify_test_reaches_the_channel_or_says_why_not(tmp_path: Path) -> None:
    bodies: list[bytes] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200 if "/good" in self.path else 403)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    path = write(tmp_path / "c.toml", ["[notify]", 'urls = ["env:CHANNEL"]'])
    url = f"json://user:hunter2@127.0.0.1:{server.server_port}"
    try:
        good = marginline("notify", "test", "-c", path, env={"CHANNEL": f"{url}/good"})
        bad = marginline("notify", "test", "-c", path, "--json", env={"CHANNEL": f"{url}/bad"})
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert good.code == 0, good.err
    assert "marginline" in json.loads(bodies[0])["title"]
    assert bad.code == 4
    assert bad.json["ok"] is False
    assert "hunter2" not in good.out + good.err + bad.out + bad.err


def test_notify_test_without_a_channel_says_how_to_add_one(tmp_path: Path) -> None:
    done = marginline("notify", "test", "-c", write(tmp_path / "c.toml", ["[prices]"]))
    assert done.code == 2
    assert "urls" in done.err


@pytest.mark.parametrize(
    ("sequence", "name"), [(b"\x1b[A", "up"), (b"q", "q"), (b"\x03", "ctrl+c"), (b"\t", "tab"), (b"\x1b[99x", "")]
)
def test_keys_have_names(sequence: bytes, name: str) -> None:
    assert name_of(sequence) == name


def test_every_command_explains_itself_with_an_example() -> None:
    commands = [
        "demo",
        "dashboard",
        "status",
        "check",
        "prices",
        "risk",
        "alerts",
        "init",
        "doctor",
        "providers",
        "keys",
    ]

    async def helps() -> list[str]:
        runs = [asyncio.to_thread(marginline, *command.split(), "--help") for command in [*commands, "notify test"]]
        return [done.out for done in await asyncio.gather(*runs)]

    for command, text in zip([*commands, "notify test"], asyncio.run(helps()), strict=True):
        assert f"\n      marginline {command}" in text, command


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_there_for_every_shell(shell: str, tmp_path: Path) -> None:
    done = marginline("--show-completion", shell, home=tmp_path)
    assert done.code == 0, done.err
    assert "marginline" in done.out


@pytest.mark.parametrize(
    "arguments",
    [("check", "--fail-at", "panic"), ("demo", "--seed", "x"), ("nonsense",), ("status", "--bogus"), ("risk",)],
)
def test_bad_usage_is_exit_2(arguments: tuple[str, ...]) -> None:
    done = marginline(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert "Error" in done.err
    assert "Traceback" not in done.err
