"""Solvency proofs of full size: time and size of each mode, and the agreement of both verifiers on many of them.

`python -m benchmarks.solvency` measures; `python -m benchmarks.solvency 1000` also makes that many random proofs and as
many mutated ones, surplus-only but for every hundredth, and asks both verifiers. That takes half an hour.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from random import Random
from typing import TypeVar

from marginline.solvency.documents import render_proof
from marginline.solvency.proof import verify
from marginline.solvency.statement import Mode
from tests.solvency import other
from tests.solvency.cases import Story, random_standard, standard, why_not
from tests.solvency.test_agreement import mutated

ROUNDS = 5
EVERY_FULL = 100
T = TypeVar("T")


def seconds(work: Callable[[], T], rounds: int = ROUNDS) -> float:
    """Return the median CPU time of `work`."""
    found = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return statistics.median(found)


def measured(mode: Mode) -> str:
    """Return one line: what proving and verifying cost in this mode."""
    story = standard(mode)
    proving = seconds(lambda: standard(mode))
    verifying = seconds(lambda: verify(story.snapshot, story.proof, story.asked))
    started = time.perf_counter()
    assert other.ask([story.case()])[0]["valid"]
    second = time.perf_counter() - started
    text = len(json.dumps(render_proof(story.proof)))
    return (
        f"{mode.value:<14} prove {proving:6.2f} s   verify {verifying:6.2f} s   second verifier {second:6.1f} s wall"
        f"   {len(story.proof.data):>7,} bytes   {text:>7,} bytes of JSON"
    )


def agreement(count: int) -> str:
    """Return what both verifiers said of `count` random and `count` mutated proofs."""
    dice = Random(20261127)
    stories: list[Story] = [
        random_standard(dice, Mode.SURPLUS_ONLY if number % EVERY_FULL else Mode.FULL) for number in range(count)
    ]
    cases = [*(story.case() for story in stories), *(mutated(story, dice) for story in stories)]
    ours = [not why_not(case) for case in cases]
    theirs = [answer["valid"] for answer in other.ask(cases, timeout_s=4 * 3600)]
    same = sum(mine == its for mine, its in zip(ours, theirs, strict=True))
    return (
        f"{count:,} random proofs: {sum(ours[:count]):,} accepted by ours, {sum(theirs[:count]):,} by the second; "
        f"{count:,} mutated: {sum(ours[count:]):,} and {sum(theirs[count:]):,}; "
        f"same verdict on {same:,} of {len(cases):,}"
    )


def main() -> None:
    """Measure, and compare when a number of proofs is given."""
    reason = other.missing()
    if reason is not None:
        sys.exit(reason)
    for mode in Mode:
        print(measured(mode), flush=True)
    if len(sys.argv) > 1:
        print(agreement(int(sys.argv[1])), flush=True)


if __name__ == "__main__":
    main()
