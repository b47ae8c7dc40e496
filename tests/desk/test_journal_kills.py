"""A hundred processes killed while they rescue: the journal tells the truth, nothing is sent twice or denied."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest

from desk.actions import ActionState, Refusal, Stage, StepFate
from desk.intents import plan_id
from tests.desk.kill_points import executor_in
from tests.doubles_rescue import plan_for

ROOT = Path(__file__).parents[2]
PLACES = (
    *(f"{name}:{count}" for name in ("before-sign", "signed", "before-send", "sent", "find") for count in (1, 2)),
    "start:1",
    "read:1",
    "read-again:1",
    "done:1",
)


def killed(folder: Path, points: list[str]) -> list[str]:
    """Return where each process was killed; its files are in `folder` under its number."""
    orders = "".join(f"{index} {point}\n" for index, point in enumerate(points))
    program = [sys.executable, "-m", "tests.desk.kill_points", str(folder)]
    done = subprocess.run(program, input=orders, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


async def after_restart(folder: Path) -> None:
    """Check everything that a new process may rely on after the old one was killed."""
    executor, chain, box = executor_in(folder)
    taken = list(chain.sent)
    assert len(taken) == len(set(taken))
    assert executor.journal.verify() == ()
    before = executor.journal.actions()
    known = {step.reference for action in before for step in action.steps if step.reference}
    assert set(taken) <= known, "the chain took what the journal does not know"

    await executor.arm({}, actor="restarted")
    assert box.signatures == 0
    assert chain.sent == taken
    (action,) = executor.journal.actions() or (None,)
    plan = plan_for(made_at_ns=chain.clock())
    if action is None:
        assert not executor.journal.knows(plan_id(plan))
        assert taken == []
        assert (await executor.execute(plan, plan.options[0], actor="again")).stage is Stage.CONFIRMED
        assert len(chain.sent) == 2
    else:
        tells_the_truth(action, taken)
        with pytest.raises(Refusal, match=r"carried out before|reconcile it before"):
            await executor.execute(plan, plan.options[0], actor="again")
        assert chain.sent == taken
        assert box.signatures == 0
    assert executor.journal.verify() == ()
    await executor.aclose()


def tells_the_truth(action: ActionState, taken: list[str]) -> None:
    """Check that what the journal says after reconciling is what the chain took."""
    fates = {step.reference: step.fate for step in action.steps if step.reference}
    for reference, fate in fates.items():
        assert fate is (StepFate.CONFIRMED if reference in taken else StepFate.UNKNOWN)
    if StepFate.UNKNOWN in fates.values():
        assert action.stage is Stage.UNKNOWN
    elif len(taken) == 2:
        assert action.stage is Stage.CONFIRMED
    else:
        assert action.stage is (Stage.UNFINISHED if taken else Stage.UNSENT)


def test_a_hundred_kills_leave_a_true_journal_and_send_nothing_twice(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    named = [chance.choice(PLACES) for _ in range(60 - len(PLACES))]
    points = [*PLACES, *named, *(f"{chance.choice(PLACES)}+{chance.uniform(0.0, 0.012):.4f}" for _ in range(40))]
    places = killed(tmp_path, points)
    assert len(places) == len(points) == 100
    assert places[:60] == points[:60]
    for index, place in enumerate(places):
        try:
            asyncio.run(after_restart(tmp_path / str(index)))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, run {index}, killed at {place}: {error}") from error
