"""What the dashboard asks of a desk; a live one, an attached one and a replay satisfy it alike."""

from typing import Protocol

from desk.snapshot import Snapshot


class DeskLike(Protocol):
    """The latest snapshot, the loop that keeps it fresh, and the two things that a reader may ask for."""

    @property
    def snapshot(self) -> Snapshot:
        """Return the latest snapshot; the same object while nothing changed."""

    async def run(self) -> None:
        """Keep the snapshot fresh until cancelled."""

    def acknowledge(self, key: str) -> None:
        """Mark the alert `key` as seen."""

    def acknowledge_all(self) -> None:
        """Mark every alert as seen."""

    def refresh(self) -> None:
        """Ask for every account to be read again now."""
