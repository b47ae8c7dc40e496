"""What rescues have changed in the simulated market: amounts that arrived in accounts at known moments."""

from decimal import Decimal
from enum import StrEnum

from engine.record import record


class Deed(StrEnum):
    """What was done with an amount."""

    SUPPLIED = "supplied"
    REPAID = "repaid"
    MARGIN = "margin"


@record
class Change:
    """An amount that arrived `at_s` simulated seconds after the start. `closes`: it repaid all that was owed then."""

    deed: Deed
    asset: str
    amount: Decimal
    at_s: float
    closes: bool = False


class Changes:
    """Every change by account; before its moment a change has not happened, so that the past stays as it was."""

    def __init__(self) -> None:
        self._by_account: dict[str, tuple[Change, ...]] = {}

    def add(self, account: str, change: Change) -> None:
        """Let `change` happen at its moment."""
        self._by_account[account] = (*self._by_account.get(account, ()), change)

    def of(self, account: str, at_s: float) -> tuple[Change, ...]:
        """Return what has happened to `account` by `at_s`."""
        known = self._by_account.get(account, ())
        return tuple(change for change in known if change.at_s <= at_s) if known else known
