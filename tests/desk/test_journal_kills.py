"""A hundred processes killed while they rescue: the journal tells the truth, nothing is sent twice or denied."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest

from desk.actions import ActionState, Refusal, Stage, StepFate
from desk.entries import EntryKind
from desk.intents import plan_id
from tests.desk.kill_points import executor_in, speeding_in
from tests.doubles_rescue import plan_for

ROOT = Path(__file__).parents[2]
PLACES = (
    *(f"{name}:{count}" for name in ("before-sign", "signed", "before-send", "sent", "find") for count in (1, 2)),
    "start:1",
    "read:1",
    "read-again:1",
    "done:1",
)


def killed(folder: Path, points: list[str], work: str = "carry-out") -> list[str]:
    """Return where each process was killed; its files are in `folder` under its number."""
    orders = "".join(f"{index} {point}\n" for index, point in enumerate(points))
    program = [sys.executable, "-m", "tests.desk.kill_points", str(folder), work]
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


FASTER = ("start", "checked", "before-sign", "signed", "before-send", "sent", "find", "done")


async def after_a_speed_up_was_killed(folder: Path, lands: int) -> str:
    """Restart, let one of what was sent for the supply land, and check that it alone is what the journal tells."""
    executor, chain, box = speeding_in(folder)
    taken = list(chain.sent)
    assert taken[:2] == ["tx-7-16", "tx-8-16"]
    assert taken[2:] in ([], ["tx-8-19"])
    assert executor.journal.verify() == ()
    (before,) = executor.journal.actions()
    assert set(taken) <= {reference for step in before.steps for reference in step.references}
    kinds = [entry.kind for entry in executor.journal.history()]
    if "tx-8-19" in before.steps[1].references:
        assert EntryKind.REPLACE in kinds, "signed without an intent"

    await executor.arm({}, actor="restarted")
    (still,) = executor.journal.actions()
    assert (still.stage, still.steps[1].fate) == (Stage.UNKNOWN, StepFate.UNKNOWN)
    plan = plan_for(made_at_ns=chain.clock())
    with pytest.raises(Refusal, match=r"carried out before|reconcile it before"):
        await executor.execute(plan, plan.options[0], actor="again")

    waiting = taken[1:]
    landed = chain.mined[8] = waiting[lands % len(waiting)]
    (settled,) = await executor.reconcile_open(actor="restarted")
    assert (settled.stage, settled.steps[1].reference) == (Stage.CONFIRMED, landed)
    assert chain.sent == taken
    assert box.signatures == 0
    assert executor.journal.verify() == ()
    await executor.aclose()
    return f"{len(taken)} {'signed' if 'tx-8-19' in before.steps[1].references else 'not signed'}"


def test_kills_around_a_speed_up_leave_both_known_and_one_of_them_true(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    points = [f"{name}:1" for name in FASTER] * 3
    points += [f"{chance.choice(FASTER)}:1+{chance.uniform(0.0, 0.012):.4f}" for _ in range(26)]
    places = killed(tmp_path, points, "speed-up")
    assert places[: 3 * len(FASTER)] == points[: 3 * len(FASTER)]
    seen = set()
    for index, place in enumerate(places):
        try:
            seen.add(asyncio.run(after_a_speed_up_was_killed(tmp_path / str(index), index % 2)))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, run {index}, killed at {place}: {error}") from error
    assert seen == {"2 not signed", "2 signed", "3 signed"}
