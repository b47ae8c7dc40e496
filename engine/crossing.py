"""The nearest integer at which a condition holds, for conditions that need not be monotone.

Rounding makes a contract's health factor a staircase that can cross its limit more than once, so a plain bisection
may miss the first crossing. This search proves whole intervals by bounds and splits only those it cannot decide.
"""

from collections.abc import Callable

Verdict = Callable[[int, int], bool | None]
"""Says of an interval (low, high): `True` the condition holds throughout, `False` nowhere, `None` undecided.

It must decide every interval of one point."""

BUDGET = 8_000


def nearest(verdict: Verdict, start: int, end: int, budget: int = BUDGET) -> int | None:
    """Return the point nearest to `start`, going toward `end` (both included), where the condition holds, or `None`.

    Exact as long as `budget` verdicts suffice, which they do but for degenerate input; past it the near end of the
    first undecided interval is returned, so an answer is never too far.
    """
    rising = end >= start
    stack = [(min(start, end), max(start, end))]
    for _ in range(budget):
        if not stack:
            return None
        low, high = stack.pop()
        holds = verdict(low, high)
        if holds is False:
            continue
        if holds:
            return low if rising else high
        middle = (low + high) // 2
        halves = ((low, middle), (middle + 1, high))
        stack.extend(reversed(halves) if rising else halves)
    if not stack:
        return None
    low, high = stack[-1]
    return low if rising else high
