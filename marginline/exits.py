"""Exit codes: what the shell learns from a run (the table in README, "Exit codes")."""

from collections.abc import Iterable
from enum import IntEnum

from engine.assessment import Severity


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    AUTH = 3
    NETWORK = 4
    NOT_VALID = 5
    WATCH = 10
    WARN = 11
    DANGER = 12
    LIQUIDATABLE = 13
    UNKNOWN = 20
    REFUSED = 30
    FAILED = 31
    OUTCOME_UNKNOWN = 32


_BY_SEVERITY = {
    Severity.SAFE: Exit.OK,
    Severity.WATCH: Exit.WATCH,
    Severity.WARN: Exit.WARN,
    Severity.DANGER: Exit.DANGER,
    Severity.LIQUIDATABLE: Exit.LIQUIDATABLE,
    Severity.UNKNOWN: Exit.UNKNOWN,
}
_WORST_FIRST = (Exit.LIQUIDATABLE, Exit.DANGER, Exit.UNKNOWN, Exit.WARN, Exit.WATCH)
_LEVEL = {
    Severity.SAFE: 0,
    Severity.WATCH: 1,
    Severity.WARN: 2,
    Severity.UNKNOWN: 2,
    Severity.DANGER: 3,
    Severity.LIQUIDATABLE: 4,
}
_NAGIOS = {
    Exit.OK: (0, "OK"),
    Exit.WATCH: (1, "WARNING"),
    Exit.WARN: (1, "WARNING"),
    Exit.DANGER: (2, "CRITICAL"),
    Exit.LIQUIDATABLE: (2, "CRITICAL"),
    Exit.UNKNOWN: (3, "UNKNOWN"),
}


def worst_exit(severities: Iterable[Severity], fail_at: Severity = Severity.WATCH) -> Exit:
    """Return the code of the worst account at or above `fail_at`, in the order 13, 12, 20, 11, 10, 0.

    Unknown counts as at least `warn`; with `fail_at` unknown only unknown and what ranks above it count. No account
    at all is unknown: nothing was judged.
    """
    found = list(severities)
    if not found:
        return Exit.UNKNOWN
    codes = {_BY_SEVERITY[severity] for severity in found if _LEVEL[severity] >= _LEVEL[fail_at]}
    if fail_at is Severity.UNKNOWN:
        codes.discard(Exit.WARN)
    return next((code for code in _WORST_FIRST if code in codes), Exit.OK)


def nagios(code: Exit) -> tuple[int, str]:
    """Return the Nagios plugin code (0-3) and its word for a `check` result."""
    return _NAGIOS[code]
