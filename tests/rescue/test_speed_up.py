"""Speeding up on the real contracts by the command line: one of two lands, the journal knows which, kills too."""

import json
import random
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chain.market import Market
from tests.chain.rescuing import OWNER, approve
from tests.rescue.gate import Forward, Gate
from tests.rescue.house import House

WANT = ("topup", "main", "--to", "1.8", "--by", "repay", "--confirm", "--json")
KILLS = 4


@pytest.fixture(autouse=True)
def mines_again(market36: Market) -> Iterator[None]:
    """Let the shared node mine by itself for whoever comes next, and nothing that still waits."""
    yield
    market36.anvil.rpc.call("anvil_dropAllTransactions")
    market36.anvil.rpc.call("evm_setAutomine", True)


def stuck(house: House) -> dict[str, Any]:
    """Send a repayment that waits in the mempool; return its action. Mining stays off."""
    house.give("USDC", 10_000)
    approve(house.market, OWNER.address, "USDC", 10**12)
    house.market.anvil.rpc.call("evm_setAutomine", False)
    done = house.run(*WANT, "--wait", "1")
    assert (done.code, done.json["outcome"]) == (32, "unknown"), done.err
    answer: dict[str, Any] = done.json
    return answer


def test_a_waiting_rescue_is_shown_its_fee_and_then_sped_up(house: House) -> None:
    sent = house.sent() + 2  # the lab's approval, and one of the two repayments
    action = stuck(house)
    faster = ("topup", "--speed-up", action["action"], "--json")
    shown = house.run(*faster)
    assert (shown.code, shown.json["outcome"]) == (30, "refused")
    assert "add --confirm" in shown.json["reason"]
    fee = {key: float(value) for key, value in shown.json["fee_usd"].items()}
    assert 0 < fee["before_at_most"] * 1.12 < fee["after_at_most"]
    assert shown.json["replaces"] == action["steps"][0]["reference"]
    with Gate(house.market.anvil.url) as gate:
        house.settings["rpc_url"] = f'"{gate.url}"'

        def mined(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
            reply: dict[str, Any] = forward()
            house.market.anvil.mine()
            return {key: reply[key] for key in ("result", "error") if key in reply}

        gate.rules["eth_sendRawTransaction"] = mined
        done = house.run(*faster, "--confirm")
        house.settings["rpc_url"] = f'"{house.market.anvil.url}"'
    assert (done.code, done.json["outcome"]) == (0, "confirmed"), done.err
    (step,) = done.json["steps"]
    assert step["replaced"] == [action["steps"][0]["reference"]]
    assert step["reference"] not in step["replaced"]
    assert house.sent() == sent
    assert 1.8 <= house.health < 1.81
    told = house.run("history", "--verify", "--json").json
    kinds = [entry["kind"] for entry in reversed(told["entries"])]
    assert kinds[kinds.index("replace") :] == ["replace", "signed", "sent", "outcome", "result", "note"]
    assert house.run(*faster, "--confirm").code == 30


def test_a_rescue_that_landed_meanwhile_is_not_sent_again(house36: House) -> None:
    action = stuck(house36)
    house36.market.anvil.mine()
    sent = house36.sent()
    done = house36.run("topup", "--speed-up", action["action"], "--confirm", "--json")
    assert done.code == 30
    assert "is confirmed" in done.json["reason"]
    assert house36.sent() == sent
    assert 1.8 <= house36.health < 1.81


def test_the_replaced_one_that_lands_first_is_found_by_the_journal(house36: House) -> None:
    """The faster one never arrives: its sender sees the old one land, and says so."""
    action = stuck(house36)
    with Gate(house36.market.anvil.url) as gate:
        house36.settings["rpc_url"] = f'"{gate.url}"'

        def overtaken(request: dict[str, Any], forward: object) -> dict[str, Any]:
            house36.market.anvil.mine()
            gate.rules.clear()
            return {"error": {"code": -32000, "message": "nonce too low"}}

        gate.rules["eth_sendRawTransaction"] = overtaken
        done = house36.run("topup", "--speed-up", action["action"], "--confirm", "--json", "--wait", "10")
    assert (done.code, done.json["outcome"]) == (0, "confirmed"), done.err
    assert done.json["steps"][0]["reference"] == action["steps"][0]["reference"]
    assert len(done.json["steps"][0]["replaced"]) == 1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("cap", "over the cap of 0.00 USD per action"),
        ("frozen", "the reserve is paused"),
        ("poor", "insufficient ETH for gas"),
    ],
)
def test_a_speed_up_is_refused_and_signs_nothing(house36: House, spoil: str, words: str) -> None:
    action = stuck(house36)
    if spoil == "cap":
        house36.limits["max_topup_usd"] = "0"
    elif spoil == "poor":
        house36.market.anvil.rpc.call("anvil_setBalance", OWNER.address, hex(1))
    else:
        house36.market.anvil.rpc.call("anvil_dropAllTransactions")
        usdc = house36.market.tokens["USDC"].address
        house36.market.anvil.rpc.call("evm_setAutomine", True)
        house36.market.configurator.send("setReservePause", usdc, True, sender=house36.market.admin)
    with Gate(house36.market.anvil.url) as gate:
        house36.settings["rpc_url"] = f'"{gate.url}"'
        done = house36.run("topup", "--speed-up", action["action"], "--confirm", "--json")
        assert (done.code, gate.raw) == (30, []), done.out + done.err
    assert words in done.json["reason"]
    kinds = [entry["kind"] for entry in house36.run("history", "--json").json["entries"]]
    assert "replace" not in kinds
    assert kinds.count("signed") == 1


def _killed(house: House, gate: Gate, action: str, stop_at: int, passes: bool) -> None:
    gate.requests, gate.stop_at, gate.passes = 0, stop_at, passes
    gate.reached.clear()
    process: subprocess.Popen[str] = house.start("topup", "--speed-up", action, "--confirm", "--json", "--wait", "1")
    try:
        while not gate.reached.wait(0.05):
            if process.poll() is not None:
                break
    finally:
        process.kill()
        process.communicate(timeout=10)
    gate.stop_at = None


@pytest.mark.parametrize("passes", [False, True], ids=["request lost", "answer lost"])
def test_whenever_a_speed_up_dies_one_of_the_two_lands_and_is_told(house36: House, passes: bool) -> None:
    dice = random.Random(f"speed-up {passes}")
    seen = set()
    with Gate(house36.market.anvil.url) as gate:
        house36.settings["rpc_url"] = f'"{gate.url}"'
        action = stuck(house36)
        (slow,) = gate.raw
        sent = house36.sent()
        journal = {file: file.read_bytes() for file in house36.folder.glob("journal.sqlite3*")}
        gate.requests = 0
        house36.run("topup", "--speed-up", action["action"], "--json")
        count = gate.requests
        for stop_at in sorted([*dice.sample(range(2, count), KILLS - 2), count + 5, count + 7]):
            mark = house36.market.anvil.snapshot()
            gate.raw = []
            _killed(house36, gate, action["action"], stop_at, passes)
            told = house36.run("history", "--reconcile", "--verify", "--json").json
            assert (told["problems"], told["actions"][0]["is_open"]) == ([], True)
            house36.market.anvil.mine()
            told = house36.run("history", "--reconcile", "--verify", "--json").json
            (settled,) = told["actions"]
            (step,) = settled["steps"]
            assert (told["problems"], settled["stage"]) == ([], "confirmed"), (stop_at, json.dumps(settled))
            receipt = house36.market.anvil.rpc.call("eth_getTransactionReceipt", step["reference"])
            assert receipt["status"] == "0x1"
            for replaced in step["replaced"]:
                assert house36.market.anvil.rpc.call("eth_getTransactionReceipt", replaced) is None
            assert house36.sent() == sent + 1
            assert len(set(gate.raw)) == len(gate.raw) <= 1
            assert 1.8 <= house36.health < 1.81
            seen.add(len(step["replaced"]))
            house36.market.anvil.revert(mark)  # which empties the mempool
            house36.market.anvil.rpc.call("eth_sendRawTransaction", slow)
            for file, content in journal.items():
                file.write_bytes(content)
    assert seen == {0, 1}, "killed too early or too late each time"
