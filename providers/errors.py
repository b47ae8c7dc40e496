"""Errors that leave `providers/`, by what the caller does about them.

    AppError
      ConfigError                   bad file, flag or key            -> exit 2, before any screen opens
      ProviderError(venue, detail)
        Unreachable                 connect, timeout, dropped        -> back off with jitter; the feed shows DOWN
        RateLimited(retry_after_s)  429, 418, venue's own words      -> wait exactly that
        Refused(status)             4xx, bad symbol, no right        -> stop this call, tell the trader
          Unauthorised              key missing, wrong or too weak   -> exit 3
        Malformed                   shape or value we can't read     -> the read loop drops and counts; 10 in a row drop

No httpx, websockets or OS exception ever leaves this package: adapters translate at the edge with `raise ... from`.
Messages name the venue, the place and what happens next; keys, signatures and secrets never appear in them.
"""


class AppError(Exception):
    """Anything this program says to its user as an error."""


class ConfigError(AppError):
    """A file, flag, environment variable or key that we cannot use; the message says which, where and what to do."""


class ProviderError(AppError):
    """A venue or chain did not answer as it should."""

    def __init__(self, venue: str, detail: str) -> None:
        super().__init__(f"{venue}: {detail}")
        self.venue = venue
        self.detail = detail


class Unreachable(ProviderError):
    """Connection, timeout or drop: worth another try after a pause."""


class RateLimited(ProviderError):
    """The venue asks us to wait; `retry_after_s` is what it asked for, `None` if it did not say."""

    def __init__(self, venue: str, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(venue, detail)
        self.retry_after_s = retry_after_s


class Refused(ProviderError):
    """The venue understood and said no; asking again changes nothing. `status` is its HTTP or own code."""

    def __init__(self, venue: str, detail: str, status: int | None = None) -> None:
        super().__init__(venue, detail)
        self.status = status


class Unauthorised(Refused):
    """A key is missing, wrong, expired or lacks a permission."""


class Malformed(ProviderError):
    """A reply whose shape or value we cannot read."""
