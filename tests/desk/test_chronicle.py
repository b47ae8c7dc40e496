"""What of a desk's snapshots is kept: every change once, and each account once a minute."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from desk.chronicle import Chronicle, keep_for_ever
from desk.journal import Journal
from desk.settings import DeskSettings
from desk.snapshot import Snapshot
from desk.state import LiveState
from engine.assessment import Severity
from providers.ports import Reading
from tests.doubles import SECOND_NS, START_NS, loan


def snapshots() -> list[Snapshot]:
    """Return ETH at 2500, twice the same, then at 2000 (a warning becomes a danger), then a minute later."""
    state = LiveState(DeskSettings(), {"main": 300.0}, {}, START_NS)
    made = []
    for seconds, price in ((0, "2500"), (1, "2500"), (2, "2000"), (61, "2000"), (63, "2000")):
        now_ns = START_NS + seconds * SECOND_NS
        state.apply(Reading("main", (loan(price=price),), now_ns, 100 + seconds), now_ns)
        made.append(state.settle(now_ns))
    return made


async def stream(*given: Snapshot) -> AsyncIterator[Snapshot]:
    for snapshot in given:
        yield snapshot


def test_changes_are_kept_once_and_accounts_once_a_minute(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")
    asyncio.run(keep_for_ever(stream(*snapshots()), journal))
    seen = [((one.at_ns - START_NS) // SECOND_NS, one.severity) for one in journal.observations("main", START_NS)]
    assert seen == [(0, Severity.WARN), (2, Severity.DANGER), (63, Severity.DANGER)]
    assert [line.severity for line in journal.alerts() if line.key.endswith("main")] == ["danger", "warn"]
    assert journal.observations("main", START_NS)[0].health == str(
        snapshots()[0].accounts["main"].assessment.health_factor
    )
    assert journal.verify() == ()


def test_the_same_snapshot_twice_is_no_news() -> None:
    chronicle = Chronicle()
    first = snapshots()[0]
    observations, alerts = chronicle.news(first)
    assert (len(observations), len(alerts)) == (1, 1)
    assert chronicle.news(first) == ([], [])


def test_a_damaged_journal_does_not_stop_watching(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")
    journal.path.write_bytes(b"not a database" * 1000)
    asyncio.run(keep_for_ever(stream(*snapshots()), journal))
    assert journal.path.read_bytes() == b"not a database" * 1000
