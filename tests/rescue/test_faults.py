"""A node that dies, repeats itself, forgets, or mines somebody else's transaction: the outcome is right each time."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.chain.rescuing import OWNER, approve
from tests.marginline.command import Done
from tests.rescue.gate import Dies, Forward, Gate
from tests.rescue.house import House

WANT = ("topup", "main", "--to", "1.8", "--by", "repay", "--confirm", "--json")
SEND = "eth_sendRawTransaction"


def _rescued(house: House, spoil: Callable[[Gate], None], *, wait: str = "20") -> tuple[Done, Gate]:
    """Run a topup of one transaction through a gate that `spoil` has set up."""
    house.give("USDC", 10_000)
    approve(house.market, OWNER.address, "USDC", 10**12)
    with Gate(house.market.anvil.url) as gate:
        house.settings["rpc_url"] = f'"{gate.url}"'
        spoil(gate)
        done = house.run(*WANT, "--wait", wait)
        house.settings["rpc_url"] = f'"{house.market.anvil.url}"'
    return done, gate


def test_a_node_that_dies_after_accepting_leaves_a_confirmed_rescue(house36: House) -> None:
    def accept_and_die(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        forward()
        raise Dies

    sent = house36.sent()
    done, gate = _rescued(house36, lambda gate: gate.rules.update({SEND: accept_and_die}))
    assert (done.code, done.json["outcome"]) == (0, "confirmed"), done.err
    assert len(gate.raw) == 1
    assert house36.sent() - sent == 2  # the lab's approval and the repayment
    assert 1.8 <= house36.health < 1.81


def test_a_node_that_takes_it_twice_makes_it_happen_once(house36: House) -> None:
    def twice(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        forward()
        second: dict[str, Any] = forward()
        return {key: second[key] for key in ("result", "error") if key in second}

    done, _ = _rescued(house36, lambda gate: gate.rules.update({SEND: twice}))
    assert (done.code, done.json["outcome"]) == (0, "confirmed"), done.err
    assert 1.8 <= house36.health < 1.81


def test_a_dropped_transaction_is_unknown_and_blocks_the_account(house36: House) -> None:
    def drop(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        return {"result": "0x" + "ab" * 32}

    before = house36.health
    done, gate = _rescued(house36, lambda gate: gate.rules.update({SEND: drop}), wait="1")
    assert (done.code, done.json["outcome"]) == (32, "unknown"), done.err
    assert house36.health == pytest.approx(before)
    again = house36.run(*WANT)
    assert again.code == 30
    assert "unknown" in again.json["reason"]
    assert gate.raw == []


def test_a_transaction_that_arrives_late_is_found_by_the_next_start(house36: House) -> None:
    """The node said nothing and mined it when the command had given up."""
    kept: list[str] = []

    def keep(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        kept.append(request["params"][0])
        raise Dies

    done, _ = _rescued(house36, lambda gate: gate.rules.update({SEND: keep}), wait="1")
    assert done.code == 32
    house36.market.anvil.rpc.call(SEND, kept[0])
    told = house36.run("history", "--reconcile", "--json")
    assert told.code == 0, told.err
    (action,) = told.json["actions"]
    assert (action["stage"], action["is_open"]) == ("confirmed", False)
    assert 1.8 <= house36.health < 1.81
    sent = house36.sent()
    assert house36.run(*WANT).code == 30  # the target is reached
    assert house36.sent() == sent


def test_a_foreign_transaction_that_takes_the_nonce_is_a_rejection(house36: House) -> None:
    def overtake(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        gift = {"from": OWNER.address, "to": OWNER.address, "value": "0x1", "gas": "0x5208"}
        house36.market.anvil.rpc.call("eth_sendTransaction", gift)
        reply: dict[str, Any] = forward()
        return {key: reply[key] for key in ("result", "error") if key in reply}

    before = house36.health
    done, gate = _rescued(house36, lambda gate: gate.rules.update({SEND: overtake}))
    assert (done.code, done.json["outcome"]) == (31, "rejected"), done.out + done.err
    assert len(gate.raw) == 1
    assert house36.health == pytest.approx(before)
    assert "nonce" in json.dumps(done.json)
    assert house36.run(*WANT).code == 0  # settled: the account is free again
    assert 1.8 <= house36.health < 1.81


def test_a_block_that_leaves_the_chain_is_not_called_confirmed(house36: House) -> None:
    rolled: list[bool] = []

    def reorganise(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        reply: dict[str, Any] = forward()
        if reply.get("result") is not None and not rolled:
            rolled.append(True)
            house36.market.anvil.rpc.call("anvil_rollback", 1)
            house36.market.anvil.mine(2)
        return {key: reply[key] for key in ("result", "error") if key in reply}

    before = house36.health
    done, _ = _rescued(house36, lambda gate: gate.rules.update({"eth_getTransactionReceipt": reorganise}), wait="2")
    assert rolled
    assert house36.health == pytest.approx(before)
    assert done.code != 0, done.out
    assert done.json["outcome"] in ("unknown", "rejected")
