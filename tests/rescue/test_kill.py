"""`kill -9` through the command line: afterwards the journal tells the truth, and nothing is sent twice."""

import random
from typing import Any

import pytest

from tests.chain.rescuing import OWNER, approve
from tests.rescue.gate import Gate
from tests.rescue.house import House

WANT = ("topup", "main", "--to", "1.8", "--by", "repay", "--confirm", "--json")
POINTS = 8


def _killed(house: House, gate: Gate, stop_at: int, passes: bool) -> None:
    """Run a topup and kill it when its request number `stop_at` stays without an answer; it may end before."""
    gate.requests, gate.stop_at, gate.passes = 0, stop_at, passes
    gate.reached.clear()
    process = house.start(*WANT)
    try:
        while not gate.reached.wait(0.05):
            if process.poll() is not None:
                assert process.returncode == 0, process.communicate(timeout=5)
                break
    finally:
        process.kill()
        process.communicate(timeout=10)
    gate.stop_at = None


def _requests(house: House, gate: Gate) -> int:
    """Return how many requests one undisturbed topup makes; its state is undone."""
    mark = house.market.anvil.snapshot()
    gate.requests = 0
    assert house.run(*WANT).code == 0
    house.market.anvil.revert(mark)
    for file in house.folder.glob("journal.sqlite3*"):
        file.unlink()
    return gate.requests


def _truth(house: House, action: dict[str, Any], before: int) -> None:
    """Hold every step of an action against the chain, and the chain against the steps."""
    landed = 0
    for step in action["steps"]:
        receipt = None
        if step["reference"] is not None:
            receipt = house.market.anvil.rpc.call("eth_getTransactionReceipt", step["reference"])
        assert (receipt is not None) is (step["fate"] == "confirmed"), step
        landed += receipt is not None
    assert house.sent() - before == landed
    stages = {"confirmed": landed == len(action["steps"]), "unsent": landed == 0}
    assert stages.get(action["stage"], landed < len(action["steps"])), action


@pytest.mark.parametrize("passes", [False, True], ids=["request lost", "answer lost"])
def test_whatever_moment_it_dies_the_next_start_knows(house36: House, passes: bool) -> None:
    dice = random.Random(f"kill {passes}")
    with Gate(house36.market.anvil.url) as gate:
        house36.settings["rpc_url"] = f'"{gate.url}"'
        house36.give("USDC", 10_000)
        count = _requests(house36, gate)
        seen = set()
        for stop_at in sorted([*dice.sample(range(2, count), POINTS - 1), count]):
            mark = house36.market.anvil.snapshot()
            before, gate.raw = house36.sent(), []
            _killed(house36, gate, stop_at, passes)
            told = house36.run("history", "--reconcile", "--verify", "--json")
            assert (told.code, told.json["problems"]) == (0, []), told.err
            if told.json["actions"]:
                (action,) = told.json["actions"]
                _truth(house36, action, before)
                seen.add(action["stage"])
            else:
                assert (house36.sent(), gate.raw) == (before, [])
                seen.add("not begun")
            is_open = any(action["is_open"] for action in told.json["actions"])
            again = house36.run(*WANT)
            assert again.code in ((30,) if is_open else (0, 30)), again.err
            if again.code == 0:
                assert 1.8 <= house36.health < 1.81
            assert len(set(gate.raw)) == len(gate.raw)
            assert house36.market.account_data(OWNER.address).debt_base > 0
            house36.market.anvil.revert(mark)
            for file in house36.folder.glob("journal.sqlite3*"):
                file.unlink()
        assert "confirmed" in seen
        assert len(seen) >= 2, seen


def test_a_signature_that_was_never_handed_over_blocks_until_its_owner_decides(house36: House) -> None:
    """Killed while the node had not even got it: it might have arrived, so nothing more is sent."""
    house36.give("USDC", 10_000)
    approve(house36.market, OWNER.address, "USDC", 10**12)
    with Gate(house36.market.anvil.url) as gate:
        house36.settings["rpc_url"] = f'"{gate.url}"'

        def swallow(request: dict[str, Any], forward: object) -> dict[str, Any]:
            gate._stop()
            return {"result": None}

        gate.rules["eth_sendRawTransaction"] = swallow
        process = house36.start(*WANT)
        try:
            assert gate.reached.wait(60)
        finally:
            process.kill()
            process.communicate(timeout=10)
        gate.rules.clear()
        sent = house36.sent()
        refused = house36.run(*WANT)
        assert refused.code == 30
        assert "unknown" in refused.json["reason"]
        assert (house36.sent(), gate.raw) == (sent, [])
        (action,) = house36.run("history", "--json").json["actions"]
        assert (action["is_open"], action["steps"][0]["fate"]) == (True, "unknown")
        early = house36.run("history", "--abandon", action["id"], "--reason", "node never saw it")
        assert early.code == 30
        assert "may still land" in early.err
