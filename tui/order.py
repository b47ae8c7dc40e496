"""The order of accounts: the true one by urgency, and the one on screen, which holds still while someone types."""

from collections.abc import Callable, Mapping
from decimal import Decimal

from desk.snapshot import AccountState
from engine.assessment import Severity
from engine.severity import rank
from tui.view import Sort

RERANK_EVERY_S = 2.0
HOLD_AFTER_INPUT_S = 10.0
_FAR = Decimal("Infinity")


def urgency(state: AccountState) -> tuple[int, bool, Decimal, Decimal, str]:
    """Return the sort key of worst first: severity, room to the line, health, name.

    Of equal rank, an unknown one goes before a warned one and behind one that is known to be in danger.
    """
    assessment = state.assessment
    severity = Severity.UNKNOWN if state.is_stale else assessment.severity
    point = assessment.liquidation.get(assessment.nearest) if assessment.nearest is not None else None
    distance = point.distance if point is not None else None
    health = assessment.health_factor
    level = rank(severity, assessment.last_known)
    is_behind = (severity is Severity.UNKNOWN) is (level > rank(Severity.WARN))
    return (
        -level,
        is_behind,
        _FAR if distance is None else distance,
        _FAR if health is None else health,
        assessment.name,
    )


def worst_first(accounts: Mapping[str, AccountState]) -> tuple[str, ...]:
    """Return all names, the most urgent first."""
    return tuple(sorted(accounts, key=lambda name: urgency(accounts[name])))


def matches(state: AccountState, wanted: str) -> bool:
    """Return whether a filter finds the account: in its name, venue, provider, kind, severity or an asset.

    The filter ignores case; one that starts with `!` finds what does not match the rest.
    """
    if not wanted or wanted == "!":
        return True
    is_inverse, text = wanted.startswith("!"), wanted.removeprefix("!").casefold()
    account = state.account
    severity = "unknown" if state.is_stale else state.assessment.severity.value
    haystack = (account.name, account.venue, account.provider or "", account.kind.value, severity, *account.assets)
    return any(text in word.casefold() for word in haystack) is not is_inverse


def _key(sort: Sort) -> Callable[[AccountState], tuple[bool, Decimal | int | str]]:
    def of(state: AccountState) -> tuple[bool, Decimal | int | str]:
        assessment = state.assessment
        value: Decimal | int | str | None
        match sort:
            case Sort.HEALTH:
                value = assessment.health_factor
            case Sort.DISTANCE:
                point = assessment.liquidation.get(assessment.nearest) if assessment.nearest is not None else None
                value = point.distance if point is not None else None
            case Sort.BUFFER:
                value = assessment.buffer
            case Sort.AGE:
                value = state.block_time_ns or state.observed_at_ns
            case _:
                value = assessment.name.casefold()
        return (value is None, value if value is not None else 0)

    return of


class Order:
    """Keeps the order on screen: ranks again at most every two seconds, and not within ten of a key or a click."""

    def __init__(self) -> None:
        self._shown: tuple[str, ...] = ()
        self._chosen: tuple[Sort, bool] | None = None
        self._ranked_at_s = 0.0
        self._input_at_s: float | None = None

    def touched(self, now_s: float) -> None:
        """Take note of a key or a click."""
        self._input_at_s = now_s

    def release(self) -> None:
        """Rank again at the next chance, whatever was typed."""
        self._chosen = None

    def arrange(
        self,
        accounts: Mapping[str, AccountState],
        ranking: tuple[str, ...],
        sort: Sort,
        wanted: str,
        now_s: float,
        *,
        is_reversed: bool = False,
    ) -> tuple[tuple[str, ...], bool]:
        """Return the names to show, and whether their order is held although ranks have changed.

        A new account appears where it belongs; one that vanished leaves its place to the next.
        """
        is_new_choice = self._chosen != (sort, is_reversed)
        is_typing = self._input_at_s is not None and now_s - self._input_at_s < HOLD_AFTER_INPUT_S
        is_due = now_s - self._ranked_at_s >= RERANK_EVERY_S
        is_same_set = len(self._shown) == len(accounts) and all(name in accounts for name in self._shown)
        ranks_anew = is_new_choice or not is_same_set or (is_due and not is_typing)
        wished = self._shown
        if ranks_anew or is_typing:
            wished = self._wished(accounts, ranking, sort, is_reversed=is_reversed)
        if ranks_anew:
            self._shown, self._chosen, self._ranked_at_s = wished, (sort, is_reversed), now_s
        shown = tuple(name for name in self._shown if matches(accounts[name], wanted)) if wanted else self._shown
        return shown, is_typing and self._shown != wished

    @staticmethod
    def _wished(
        accounts: Mapping[str, AccountState], ranking: tuple[str, ...], sort: Sort, *, is_reversed: bool
    ) -> tuple[str, ...]:
        if sort is Sort.RISK:
            return ranking[::-1] if is_reversed else ranking
        key = _key(sort)
        return tuple(sorted(ranking, key=lambda name: key(accounts[name]), reverse=is_reversed))
