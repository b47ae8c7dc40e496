"""A rescue in a shell, on real Aave v3.0 and v3.6: planned, confirmed, mined, and health where it was wanted."""

import json
import sqlite3
from decimal import Decimal

import pytest

from tests.chain.node import Tx
from tests.marginline.command import Done
from tests.rescue.house import OWNER, PASSWORD, RESCUER, House

NEAR = Decimal("1.005")


def titles(done: Done) -> list[str]:
    """Return the titles of a topup's steps, all of which were confirmed."""
    assert done.code == 0, done.err
    assert done.json["outcome"] == "confirmed"
    assert {step["fate"] for step in done.json["steps"]} == {"confirmed"}
    return [step["title"].split()[0] for step in done.json["steps"]]


def test_a_supply_with_an_approval_reaches_its_target(house: House) -> None:
    house.give("WETH", 10)
    done = house.run("topup", "main", "--to", "1.6", "--by", "supply", "--with", "ETH", "--confirm", "--json")
    assert titles(done) == ["approve", "supply"]
    assert Decimal("1.6") <= house.health < Decimal("1.6") * NEAR
    assert Decimal(done.json["health_factor"]["before"]) == pytest.approx(Decimal("1.3833"), abs=Decimal("0.001"))
    assert Decimal(done.json["health_factor"]["after"]) == house.health


def test_a_token_with_permit_needs_one_transaction(house: House) -> None:
    house.give("DAI", 20_000)
    done = house.run("topup", "main", "--to", "1.6", "--with", "DAI", "--by", "supply", "--confirm", "--json")
    assert titles(done) == ["supply"]
    assert Decimal("1.6") <= house.health < Decimal("1.6") * NEAR


def test_an_encrypted_rescue_wallet_pays_for_the_owner(house: House) -> None:
    house.keep_signer("rescue", "RESCUE_KEY")
    house.settings["signer"] = '"keystore:rescue"'
    house.give("WETH", 10, RESCUER.address)
    before = house.sent(OWNER.address)
    password = {"PASSWORD": PASSWORD}
    arguments = ("topup", "main", "--to", "1.7", "--by", "supply", "--confirm", "--json")
    done = house.run(*arguments, "--password-from", "env:PASSWORD", env=password)
    assert titles(done) == ["approve", "supply"]
    assert Decimal("1.7") <= house.health < Decimal("1.7") * NEAR
    assert (house.sent(OWNER.address), house.sent(RESCUER.address)) == (before, 2)


def test_a_repayment_reaches_its_target(house: House) -> None:
    house.give("USDC", 10_000)
    done = house.run("topup", "main", "--to", "2", "--by", "repay", "--confirm", "--json")
    assert titles(done) == ["approve", "repay"]
    assert 2 <= house.health < 2 * NEAR


@pytest.mark.parametrize("payer", ["OWNER_KEY", "RESCUE_KEY"])
def test_a_full_close_leaves_nothing_owed(house: House, payer: str) -> None:
    house.market.lend_out(50)
    house.market.anvil.skip(86_400)
    house.settings["signer"] = f'"env:{payer}"'
    house.give("USDC", 16_000, (OWNER if payer == "OWNER_KEY" else RESCUER).address)
    done = house.run("topup", "main", "--to", "2", "--close", "--confirm", "--json")
    assert titles(done)[-1] == "repay"
    assert house.market.account_data(OWNER.address).debt_base == 0
    assert done.json["health_factor"]["after"] is None


def test_the_chains_own_coin_is_wrapped_and_supplied(house: House) -> None:
    done = house.run("topup", "main", "--to", "1.6", "--by", "supply", "--with", "ETH", "--confirm", "--json")
    assert titles(done) == ["wrap", "approve", "supply"]
    assert Decimal("1.6") <= house.health < Decimal("1.6") * NEAR


def test_a_plan_in_a_file_is_carried_out_exactly_and_only_once(house: House) -> None:
    house.give("USDC", 10_000)
    file = house.folder / "plan.json"
    planned = house.run("plan", "main", "--to", "1.8", "--by", "repay", "--json")
    assert planned.code == 0, planned.err
    file.write_text(planned.out)
    done = house.run("topup", "--plan", file, "--confirm", "--json")
    assert titles(done) == ["approve", "repay"]
    assert done.json["amount"] == planned.json["options"][0]["amount"]
    assert Decimal("1.8") <= house.health < Decimal("1.8") * NEAR
    sent = house.sent()
    again = house.run("topup", "--plan", file, "--confirm", "--json")
    assert (again.code, again.json["outcome"], house.sent()) == (30, "refused", sent)


def test_without_confirm_the_plan_is_shown_and_nothing_is_signed(house: House) -> None:
    house.give("USDC", 10_000)
    sent = house.sent()
    shown = house.run("topup", "main", "--to", "1.8", "--by", "repay")
    assert shown.code == 30
    assert "repay" in shown.out
    assert "--confirm" in shown.err
    assert house.sent() == sent
    assert house.run("history", "--json").json["actions"] == []


def test_an_exported_plan_is_what_the_pool_takes_from_another_machine(house: House) -> None:
    """A read-only config prepares the steps; the owner sends them elsewhere."""
    del house.settings["signer"]
    house.give("USDC", 10_000)
    file = house.folder / "steps.json"
    done = house.run("plan", "main", "--to", "1.8", "--by", "repay", "--export", file)
    assert done.code == 0, done.err
    document = json.loads(file.read_text())
    assert document["schema"] == "marginline.export/1"
    for step in document["steps"]:
        payload = step["payload"]
        house.market.anvil.send(Tx(payload["from"], payload["to"], payload["data"], int(payload["value"], 16)))
    assert Decimal("1.8") <= house.health < Decimal("1.8") * NEAR


def test_history_tells_what_was_done_and_finds_an_altered_entry(house36: House) -> None:
    house36.give("USDC", 10_000)
    assert house36.run("topup", "main", "--to", "1.8", "--by", "repay", "--confirm").code == 0
    told = house36.run("history", "--verify", "--json")
    assert (told.code, told.json["valid"], told.json["problems"]) == (0, True, [])
    (action,) = told.json["actions"]
    assert (action["account"], action["means"], action["stage"]) == ("main", "repay", "confirmed")
    assert action["actor"].startswith("cli ")
    kinds = [entry["kind"] for entry in reversed(told.json["entries"]) if entry["action"]]
    assert kinds == ["intent", *["signed", "sent", "outcome"] * 2, "result"]
    journal = sqlite3.connect(house36.folder / "journal.sqlite3")
    journal.execute("DROP TRIGGER entries_stay")
    journal.execute("UPDATE entries SET data = replace(data, 'USDC', 'USDT') WHERE kind = 'intent'")
    journal.commit()
    journal.close()
    altered = house36.run("history", "--verify", "--json")
    assert (altered.code, altered.json["valid"]) == (5, False)
    assert "altered" in altered.json["problems"][0]
    refused = house36.run("topup", "main", "--to", "2", "--by", "repay", "--confirm")
    assert refused.code == 30
    assert "journal" in refused.err
