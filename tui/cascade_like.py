"""What the dashboard asks of whoever works out cascades; the answers are those of `marginline cascade --json`."""

from typing import Protocol

from desk.snapshot import Snapshot
from engine.answers import Answer
from engine.record import record


@record
class CascadeFound:
    """What a cascade does to one account, as of `made_at_ns`: `answer` is `marginline.cascade/1`, else `because`.

    `asset` is the collateral whose market it is. `book_at_ns` is when the loans were read or their file was written,
    `None` for a drawn book. `is_drawn` says that no market stands behind the book. `is_whole` says that paths over time
    are in it, if any are ever to be.
    """

    account: str
    made_at_ns: int
    asset: str = ""
    answer: Answer | None = None
    because: str = ""
    book_at_ns: int | None = None
    is_drawn: bool = False
    is_whole: bool = True


class CascadeDesk(Protocol):
    """Works out cascades for accounts of a snapshot."""

    async def cascade_of(self, snapshot: Snapshot, account: str, *, with_paths: bool) -> CascadeFound:
        """Return what a cascade does to an account, or why there is none; without paths over time it is quick."""
