"""Figures that nobody vouches for are marked in plain tables and left out of performance data."""

from dataclasses import replace

from desk.snapshot import AccountState, Snapshot
from engine.assess import assess
from engine.assessment import Severity
from marginline.commands.readers import _performance
from marginline.words import account_rows
from tests.doubles import START_NS, loan

ACCOUNT = loan()
KNOWN = assess(ACCOUNT, {}, START_NS)
STALE = replace(KNOWN, severity=Severity.UNKNOWN, last_known=KNOWN.severity)


def performance(found: object) -> str:
    state = AccountState("main", ACCOUNT, found, START_NS)  # type: ignore[arg-type]  # either of the two above
    return _performance(Snapshot(1, START_NS, {"main": state}))


def test_a_figure_of_unknown_standing_carries_its_mark() -> None:
    (_, (known,)), (_, (stale,)) = account_rows([(ACCOUNT, KNOWN)]), account_rows([(ACCOUNT, STALE)])
    assert known[3] == "1.383"
    assert stale[3] == "1.383?"
    assert stale[6] == known[6] == "ETH"
    assert stale[7] == f"{known[7]}?"


def test_performance_data_is_floored_and_undetermined_when_nobody_vouches_for_it() -> None:
    assert performance(KNOWN) == "'main health'=1.383 'main distance'=27.71%"
    assert performance(STALE) == "'main health'=U 'main distance'=U"
