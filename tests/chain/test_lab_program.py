"""`make lab` as its user meets it: a process that prints a config, obeys orders and leaves nothing behind."""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from providers import binance
from providers.ports import PriceTick, VenueOptions
from tests.chain.lab_control import asset_price
from tests.chain.lab_venues import Walk
from tests.chain.node import ROOT, Anvil, Rpc


@dataclass
class Program:
    """A running lab, the file its orders go by, and the config it wrote."""

    process: subprocess.Popen[str]
    state: Path
    config: Path
    said: str

    def order(self, *words: str) -> str:
        """Return what an order answers."""
        command = [sys.executable, "-m", "tests.chain.lab", "--state", str(self.state), *words]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=30).stdout

    def health(self, name: str) -> Decimal:
        """Return the health factor that the chain says of an account of the config."""
        account = next(it for it in self.read_config()["account"] if it["name"] == name)
        state = json.loads(self.state.read_text())
        rpc = Rpc("127.0.0.1", state["rpc_port"])
        try:
            provider = {"to": account["addresses_provider"], "data": "0x026b1d5f"}  # getPool()
            pool = "0x" + rpc.call("eth_call", provider, "latest")[-40:]
            data = "0xbf92857c" + account["address"][2:].rjust(64, "0")  # getUserAccountData(address)
            return Decimal(int(rpc.call("eth_call", {"to": pool, "data": data}, "latest")[-64:], 16)).scaleb(-18)
        finally:
            rpc.close()

    def read_config(self) -> dict[str, Any]:
        """Return the config as TOML reads it."""
        return tomllib.loads(self.config.read_text())

    def mid(self, asset: str) -> Decimal:
        """Return the mid that the lab's Binance tells over REST."""
        venue = self.read_config()["venues"]["binance"]
        feed = binance.feed(VenueOptions(rest_url=venue["rest_url"], ws_url=venue["ws_url"]))
        (tick,) = asyncio.run(feed.snapshot(frozenset({asset})))
        return (tick.bid + tick.ask) / 2


@pytest.fixture
def program(node: Anvil, tmp_path: Path) -> Iterator[Program]:
    """A lab of its own; `node` is asked for so that a machine without a chain skips."""
    state = tmp_path / "lab.json"
    command = [sys.executable, "-m", "tests.chain.lab", "--state", str(state)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        said = "".join(lines)
        config = Path(said.partition("--config ")[2].split()[0])
        yield Program(process, state, config, said)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_the_lab_shows_three_accounts_and_obeys(program: Program) -> None:
    names = [account["name"] for account in program.read_config()["account"]]
    assert names == ["safe", "loop", "tight"]
    assert [round(program.health(name), 2) for name in names] == [Decimal("4.15"), Decimal("1.03"), Decimal("1.10")]

    assert "ETH oracle at 2260" in program.order("--set-price", "ETH=2260")
    assert program.health("tight") < 1 < program.health("loop")
    assert program.health("safe") == pytest.approx(Decimal("3.7516"), abs=Decimal("1e-6"))

    program.order("--set-price", "ETH=2500", "--market", "3.6")
    assert program.health("tight") > 1
    assert program.health("safe") < 4

    program.order("--set-cap", "wstETH=1.146")
    assert program.health("loop") < 1


def test_the_venues_can_run_ahead_of_the_oracle(program: Program) -> None:
    assert program.mid("ETH") == pytest.approx(Decimal(2500), rel=Decimal("0.002"))
    assert "ETH around 2250" in program.order("--venue-price", "ETH=2250")
    venues = program.read_config()["venues"]["binance"]
    feed = binance.feed(VenueOptions(rest_url=venues["rest_url"], ws_url=venues["ws_url"]))

    async def fallen() -> Decimal:
        async with asyncio.timeout(3):
            async for event in feed.ticks(frozenset({"ETH"})):
                if isinstance(event, PriceTick) and event.bid < 2300:
                    return event.bid
        raise AssertionError("the stream ended")

    assert asyncio.run(fallen()) == pytest.approx(Decimal(2250), rel=Decimal("0.002"))
    assert program.health("tight") > Decimal("1.1")


def test_the_lab_ends_cleanly_and_takes_its_files_along(program: Program) -> None:
    port = json.loads(program.state.read_text())["rpc_port"]
    program.process.send_signal(signal.SIGINT)
    assert program.process.wait(timeout=20) == 0
    assert not program.state.exists()
    assert not program.config.parent.exists()
    with pytest.raises(ConnectionRefusedError):
        Rpc("127.0.0.1", port).call("eth_chainId")


def test_an_order_without_a_lab_says_how_to_start_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chain.lab", "--state", str(tmp_path / "none"), "--set-price", "ETH=1"]
    run = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=30)
    assert (run.returncode, run.stderr) == (2, "lab: no lab is running; start one with: python -m tests.chain.lab\n")


def test_a_price_is_a_positive_number() -> None:
    assert asset_price("ETH=2300.5") == ("ETH", Decimal("2300.5"))
    assert asset_price("ETH=") == ("ETH", None)
    for text in ("ETH", "=5", "ETH=-1", "ETH=nan", "ETH=inf", "ETH=0", "ETH=x"):
        with pytest.raises(argparse.ArgumentTypeError):
            asset_price(text)


def test_quotes_wander_close_to_their_centre_and_never_cross() -> None:
    walk = Walk(7)
    quotes = [walk.quote("ETH", Decimal(2500)) for _ in range(2_000)]
    assert all(Decimal(bid) < Decimal(ask) for bid, ask in quotes)
    assert all(abs(Decimal(bid) - 2500) < 5 for bid, _ in quotes)
    assert len({bid for bid, _ in quotes}) > 50
    assert Walk(7).quote("ETH", Decimal(2500)) == quotes[0]


def test_past_closes_end_at_the_price_of_today() -> None:
    closes = Walk(1).closes(Decimal(2500))
    assert (len(closes), closes[-1]) == (60, "2500")
    assert all(Decimal(close) > 0 for close in closes)
