"""Whatever forbids a rescue between plan and send: refused with its reason, nothing signed (the signer counts)."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from desk.actions import Refusal
from engine.rescue import Means, Target
from marginline.commands.plan import Wish
from tests.chain.contracts import aave30
from tests.chain.node import Anvil
from tests.rescue.house import KEYS, OWNER, House
from tests.rescue.inside import Bench, on_bench

WISH = Wish(Target(health=Decimal("1.6")), Means.SUPPLY, "ETH")
MINUTE_NS = 60 * 10**9
Change = Callable[[House, Bench], None]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)


@contextmanager
def _node_put_back(anvil: Anvil) -> Iterator[None]:
    """Put back chain id and base fee, which outlive a revert of the node."""
    fee = anvil.rpc.call("eth_getBlockByNumber", "latest", False)["baseFeePerGas"]
    yield
    anvil.rpc.call("anvil_setChainId", anvil.chain_id)
    anvil.rpc.call("anvil_setNextBlockBaseFeePerGas", fee)
    anvil.mine()


def _gas(anvil: Anvil, gwei: int) -> None:
    anvil.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(gwei * 10**9))
    anvil.mine()


def _configure(switch: str, value: object) -> Change:
    def change(house: House, bench: Bench) -> None:
        weth = house.market.tokens["WETH"].address
        house.market.configurator.send(switch, weth, value, sender=house.market.admin)

    return change


def _move_pool(house: House, bench: Bench) -> None:
    """Let the market name another pool than the one that was planned for."""
    provider = replace(
        house.market.pool, address=house.market.addresses_provider, abi=aave30()["PoolAddressesProvider"].abi
    )
    provider.send("setAddress", b"POOL".ljust(32, b"\0"), house.market.oracle.address, sender=house.market.admin)


def _wrong_chain(house: House, bench: Bench) -> None:
    house.market.anvil.rpc.call("anvil_setChainId", 4242)


def _no_code(house: House, bench: Bench) -> None:
    house.market.anvil.rpc.call("anvil_setCode", house.market.pool.address, "0x")


def _no_gas(house: House, bench: Bench) -> None:
    house.market.anvil.rpc.call("anvil_setBalance", OWNER.address, hex(10**12))


def _fees_rise(house: House, bench: Bench) -> None:
    _gas(house.market.anvil, 20)


def _market_falls(house: House, bench: Bench) -> None:
    house.market.set_price("WETH", 2_300 * 10**8)


def _plan_ages(house: House, bench: Bench) -> None:
    bench.ahead_ns[0] = 2 * MINUTE_NS


def _arming_expires(house: House, bench: Bench) -> None:
    bench.ahead_ns[0] = 16 * MINUTE_NS


def _source_empties(house: House, bench: Bench) -> None:
    weth = house.market.tokens["WETH"].contract
    weth.send("transfer", house.market.lender, weth.read("balanceOf", OWNER.address), sender=OWNER.address)


WORLDS: dict[str, tuple[Change, str]] = {
    "frozen": (_configure("setReserveFreeze", True), "frozen"),
    "paused": (_configure("setReservePause", True), "paused"),
    "supply cap": (_configure("setSupplyCap", 100_000), "cap"),
    "pool moved": (_move_pool, "is not an Aave v3 pool"),
    "wrong chain": (_wrong_chain, "chain"),
    "code missing": (_no_code, "is not an Aave v3 pool"),
    "no gas": (_no_gas, "gas"),
    "fees rose twentyfold": (_fees_rise, "fees rose"),
    "overtaken": (_market_falls, "overtook the plan"),
    "stale plan": (_plan_ages, "2[0-9]* s old|12[0-9] s old"),
    "arming expired": (_arming_expires, "arming has expired|not armed"),
    "source empty": (_source_empties, "insufficient balance|source empty"),
}


@pytest.mark.parametrize("world", WORLDS)
def test_a_world_that_changed_after_the_plan_refuses_and_signs_nothing(house: House, world: str) -> None:
    change, reason = WORLDS[world]
    house.give("WETH", 10)

    async def work(bench: Bench) -> None:
        made = await bench.plan(WISH)
        option = made.plan.options[0]
        assert option.ready, option.blockers
        await bench.executor.arm({}, actor="test")
        change(house, bench)
        sent = house.sent()
        with pytest.raises(Refusal, match=reason):
            await bench.executor.execute(made.plan, option, actor="test")
        assert (bench.box.signed, house.sent()) == (0, sent)
        kinds = [entry.kind for entry in bench.executor.journal.history()]
        assert "refused" in kinds
        assert not {"intent", "signed", "sent"} & set(kinds)

    with _node_put_back(house.market.anvil):
        _gas(house.market.anvil, 1)
        on_bench(house.config, work, time.time_ns)


def test_unarmed_nothing_is_signed(house36: House) -> None:
    house36.give("WETH", 10)

    async def work(bench: Bench) -> None:
        made = await bench.plan(WISH)
        with pytest.raises(Refusal, match="not armed"):
            await bench.executor.execute(made.plan, made.plan.options[0], actor="test")
        assert bench.box.signed == 0

    on_bench(house36.config, work, time.time_ns)


def test_a_second_process_on_the_same_journal_cannot_send(house36: House) -> None:
    house36.give("WETH", 10)

    async def work(bench: Bench) -> None:
        await bench.executor.arm({}, actor="test")
        second = house36.run("topup", "main", "--to", "1.6", "--confirm", "--json")
        assert second.code == 30
        assert "process" in second.json["reason"]

    sent = house36.sent()
    on_bench(house36.config, work, time.time_ns)
    assert house36.sent() == sent


@pytest.mark.parametrize(
    ("caps", "account", "reason"),
    [
        ({"max_topup_usd": "500"}, {}, "500"),
        ({"max_per_day_usd": "500"}, {}, "500"),
        ({}, {"limits": "{ max_topup_usd = 500 }"}, "500"),
    ],
    ids=["per action", "per day", "per account"],
)
def test_each_cap_refuses_by_exit_30(
    house36: House, caps: dict[str, str], account: dict[str, str], reason: str
) -> None:
    house36.give("WETH", 10)
    house36.limits |= caps
    house36.settings |= account
    sent = house36.sent()
    done = house36.run("topup", "main", "--to", "1.6", "--by", "supply", "--confirm", "--json")
    assert (done.code, done.json["outcome"], done.json["exit_code"], done.json["steps"]) == (30, "refused", 30, [])
    assert "cap" in done.json["reason"]
    assert reason in done.json["reason"]
    assert house36.sent() == sent


def test_the_cap_of_the_day_counts_what_was_sent_before(house36: House) -> None:
    house36.give("WETH", 10)
    first = house36.run("topup", "main", "--to", "1.5", "--by", "supply", "--with", "ETH", "--confirm", "--json")
    assert first.code == 0, first.err
    house36.limits["max_per_day_usd"] = "2600"  # 0.85 ETH were 2,110 USD, the next are as many again
    sent = house36.sent()
    second = house36.run("topup", "main", "--to", "1.6", "--by", "supply", "--with", "ETH", "--confirm", "--json")
    assert second.code == 30
    assert "left today" in second.json["reason"]
    assert house36.sent() == sent


def test_without_a_signer_the_account_is_read_only(house36: House) -> None:
    del house36.settings["signer"]
    house36.give("WETH", 10)
    planned = house36.run("plan", "main", "--to", "1.6", "--json").json["options"]
    assert {option["ready"] for option in planned} == {False}
    assert all(any("read-only" in blocker for blocker in option["blockers"]) for option in planned)
    done = house36.run("topup", "main", "--to", "1.6", "--confirm", "--json")
    assert done.code == 30
    assert "read-only" in done.json["reason"]


def test_a_target_out_of_reach_says_what_is_possible(house36: House) -> None:
    house36.market.anvil.rpc.call("anvil_setBalance", OWNER.address, hex(10**17))
    house36.give("WETH", 1)
    planned = house36.run("plan", "main", "--to", "4", "--json")
    assert planned.code == 0
    assert "with 1 ETH" in planned.json["possible"]
    done = house36.run("topup", "main", "--to", "4", "--by", "supply", "--confirm", "--json")
    assert done.code == 30
    assert "source empty" in done.json["reason"]
