"""Set-up and diagnosis from a shell: nothing is overwritten, nothing secret is printed, every failure has its code."""

import asyncio
import http.server
import json
import re
import threading
import tomllib
from pathlib import Path

import pytest

from engine.rescue import Means
from marginline.commands.keys import name_of
from marginline.registry import (
    ACCOUNT_MODULES,
    OPTION_MODULES,
    RESCUE_MODULES,
    SettingsByProvider,
    account_module,
    all_infos,
)
from tests.binance_server import KEY, SECRET, Binance
from tests.dydx_server import ADDRESS as DYDX
from tests.marginline.command import marginline, write
from tests.signed_thread import serving

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


def test_the_matrix_holds_everything_that_the_adapters_say_and_it_is_true() -> None:
    rows = {row["title"]: row for row in marginline("providers", "--json").json["providers"]}
    for info in all_infos():
        row = rows[info.title]
        assert (row["live"], row["permissions"]) == (info.live, dict(info.permissions))
        assert (row["depth"], row["options"]) == (info.depth, info.options)
        assert (set(row["required"]), set(row["settings"])) == (info.required, info.settings)
    for name in ACCOUNT_MODULES:
        module = account_module(name)
        info = module.INFO
        assert info.depth is hasattr(module, "depth_source"), name
        assert info.options is (name in OPTION_MODULES), name
        assert info.kinds, name
        assert info.reads, name
        assert info.live, f"{name}: how changes arrive is not told"
        if "key" in info.required:
            assert info.permissions.get("read"), f"{name}: what a key needs to read is not told"
        if info.rescues:
            assert info.permissions.get("rescue"), f"{name}: what a rescue needs is not told"


def test_the_readme_names_exactly_the_providers_that_there_are() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## What it reads")[2].partition("\n\n|")[2].partition("\n\n")[0]
    cells = [line.split("|")[0 if line.startswith(" provider") else 1] for line in f"|{table}".splitlines()]
    named = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    assert sorted(named) == sorted(SettingsByProvider())


def test_the_help_of_init_names_every_provider() -> None:
    words = "".join(marginline("init", "--help").out.replace("│", " ").split())
    assert [name for name in SettingsByProvider() if name not in words] == []


def test_init_writes_references_to_a_key_and_what_it_must_be_allowed(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    done = marginline("init", "--config", path, "--provider", "okx", "--name", "my-okx", home=tmp_path)
    assert done.code == 0, done.err
    text = path.read_text()
    (account,) = tomllib.loads(text)["account"]
    assert {part: account[part] for part in ("key", "secret", "passphrase")} == {
        "key": "env:MY_OKX_KEY",
        "secret": "env:MY_OKX_SECRET",
        "passphrase": "env:MY_OKX_PASSPHRASE",
    }
    assert "#   to read: Read" in text
    assert "never give it the right to withdraw" in text
    assert "export MY_OKX_KEY and MY_OKX_SECRET and MY_OKX_PASSPHRASE" in done.err
    assert marginline("config", "check", "--config", path, home=tmp_path).code == 0


@pytest.mark.parametrize("provider", [*sorted(set(ACCOUNT_MODULES) - {"ccxt"}), "ccxt:bitget"])
def test_init_writes_a_valid_config_for_every_provider(tmp_path: Path, provider: str) -> None:
    path = tmp_path / "config.toml"
    address = DYDX if provider == "dydx" else ADDRESS
    more = ["--address", address] if "address" in account_module(provider).INFO.required else []
    done = marginline("init", "--config", path, "--provider", provider, "--chain", "ethereum", *more, home=tmp_path)
    assert done.code == 0, done.err
    (account,) = tomllib.loads(path.read_text())["account"]
    needed = account_module(provider).INFO.required
    assert needed <= set(account) | {"rest_url", "ws_url"}
    assert marginline("config", "check", "--config", path, home=tmp_path).code == 0


def test_doctor_reads_a_venue_and_tells_what_its_key_may_do_too_much(tmp_path: Path) -> None:
    venue = Binance()
    venue.rights["enableWithdrawals"] = True
    with serving(venue.server) as server:
        account = ["[[account]]", 'name = "bn"', 'provider = "binance-usdm"', 'key = "env:BN_KEY"']
        lines = [*account, 'secret = "env:BN_SECRET"', f'rest_url = "{server.url_rest}"', "[prices]", "venues = []"]
        path = write(tmp_path / "c.toml", lines)
        keys = {"BN_KEY": KEY, "BN_SECRET": SECRET}
        done = marginline("doctor", "--json", "--config", path, env=keys, home=tmp_path)
        missing = marginline("doctor", "--config", path, home=tmp_path)
    said = [row for row in done.json["checks"] if row["check"] == "account bn"]
    assert said[0]["state"] == "live", done.out
    assert any(row["state"] == "warned" and "withdraw" in row["detail"] for row in said), done.out
    assert missing.code != 0
    assert "BN_KEY is not set" in missing.out + missing.err


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
