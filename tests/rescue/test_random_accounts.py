"""Two hundred random accounts: planned to a random target, carried out, and held against the contract."""

import random
import time
from decimal import Decimal
from pathlib import Path

import pytest

from desk.actions import Refusal, Stage
from engine.rescue import Option, Target
from marginline.commands.plan import Wish
from tests.chain.market import Market
from tests.chain.rescuing import OWNER, RESCUER
from tests.rescue.house import KEYS, House
from tests.rescue.inside import Bench, on_bench
from tests.rescue.random_accounts import fund, open_account

ACCOUNTS = 25
NEAR = Decimal("1.005")


@pytest.mark.parametrize("part", range(4))
def test_the_contract_stands_at_the_target_or_the_plan_said_why_not(
    market: Market, tmp_path: Path, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    dice = random.Random(f"rescues {market.version} {part}")
    rescued = 0
    for number in range(ACCOUNTS):
        mark = market.anvil.snapshot()
        folder = tmp_path / str(number)
        folder.mkdir()
        rescued += _one(market, folder, dice)
        market.anvil.revert(mark)
    assert rescued >= ACCOUNTS // 2, rescued


def _one(market: Market, folder: Path, dice: random.Random) -> bool:
    """Rescue one random account; return whether it was carried out, and not refused with a reason."""
    for address in (OWNER.address, RESCUER.address):
        market.anvil.rpc.call("anvil_setBalance", address, hex(100 * 10**18))
    open_account(market, dice)
    payer = "OWNER_KEY" if fund(market, dice) == OWNER.address else "RESCUE_KEY"
    caps = {"max_topup_usd": "999_999_999", "max_per_day_usd": "999_999_999"}
    house = House(market, folder, {"signer": f'"env:{payer}"'}, caps)
    before = house.health
    target = (min(before, Decimal(20)) * Decimal(dice.randint(102, 200)) / 100).quantize(Decimal("0.001"))
    wish = Wish(Target(health=target))
    sent = house.sent(OWNER.address) + house.sent(RESCUER.address)

    async def work(bench: Bench) -> tuple[Option | None, str]:
        made = await bench.plan(wish)
        ready = [option for option in made.plan.options if option.ready]
        if not ready:
            said = made.plan.possible or "; ".join(made.plan.options[0].blockers if made.plan.options else ())
            return None, said
        option = dice.choice(ready)
        await bench.executor.arm({}, actor="test")
        done = await bench.executor.execute(made.plan, option, actor="test")
        assert done.stage is Stage.CONFIRMED, (done, option)
        return option, done.evidence

    try:
        option, said = on_bench(house.config, work, time.time_ns)
    except Refusal as refusal:
        option, said = None, str(refusal)
    if option is None:
        assert said
        assert house.sent(OWNER.address) + house.sent(RESCUER.address) == sent
        return False
    data = market.account_data(OWNER.address)
    if option.is_full_close:
        owed_then_repaid = option.health.after is None
        assert (data.debt_base == 0) is owed_then_repaid
        assert house.health >= target
    else:
        assert target <= house.health < target * NEAR, (option, before)
    return True
