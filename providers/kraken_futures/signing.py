"""How Kraken Futures requests and log-ins are signed, and what the venue's errors mean.

Wire: docs.kraken.com, "Futures REST", "Futures WebSocket", support.kraken.com 360022635832 (read 2026-11). It is
HMAC-SHA-512 under the decoded secret of SHA-256(arguments + nonce + path), where the path leaves out "/derivatives".
A nonce is optional; those of one key must rise, so all reads of this process share one counter per key.
"""

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode
from weakref import WeakKeyDictionary

import msgspec

from providers.credentials import Credentials
from providers.errors import ProviderError, RateLimited, Refused, Unauthorised, Unreachable
from providers.http import Call
from providers.text import inert

VENUE = "kraken-futures"
ROOT = "/derivatives/api/v3/"
READ_RIGHT, MOVE_RIGHT = "General API: read only", "General API: full access"

# Cost of requests against a budget of 500 in ten seconds; public ones are free.
BUDGET, PERIOD_S = 500, 10.0
READ_COST, FILLS_COST, WRITE_COST = 2, 25, 10

_LIMIT = frozenset({"apiLimitExceeded"})
_AUTH = frozenset({"authenticationError", "insufficientPermissions", "permissionDenied"})
_NONCE = frozenset({"nonceBelowThreshold", "nonceDuplicate"})
# What says nothing about whether a request was carried out.
_UNSURE = frozenset({"Server Error", "serverError", "Unavailable", "unavailable", "unknownError", "Timeout", "timeout"})
_LEAP = 10_000


class Nonces:
    """Numbers that rise whatever the clock does. `clock` is UTC now in ns."""

    def __init__(self, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock, self._last = clock, 0
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    @property
    def turn(self) -> asyncio.Lock:
        """Return what a request holds until it is answered, so that nonces arrive in their order."""
        return self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())

    def next(self) -> int:
        """Return milliseconds of now, or one more than the last."""
        self._last = max(self._clock() // 1_000_000, self._last + 1)
        return self._last

    def leap(self) -> None:
        """Go well beyond what another program may have used with the same key."""
        self._last = max(self._last, self._clock() // 1_000_000) + _LEAP


_by_key: dict[str, Nonces] = {}


def nonces_of(credentials: Credentials) -> Nonces:
    """Return the one counter of this process for a key, which is not kept itself."""
    return _by_key.setdefault(hashlib.sha256(credentials.key.encode()).hexdigest(), Nonces())


def encoded(fields: Mapping[str, str]) -> str:
    """Return arguments as they are signed and sent."""
    return urlencode(fields, quote_via=quote)


def authent(credentials: Credentials, arguments: str, nonce: str, path: str) -> str:
    """Return the signature of a request; `path` is the whole one ("/derivatives/api/v3/accounts")."""
    signed = f"{arguments}{nonce}{path.removeprefix('/derivatives')}"
    digest = hashlib.sha256(signed.encode()).digest()
    return base64.b64encode(credentials.hmac_sha512_of_base64(digest)).decode()


def signed_challenge(credentials: Credentials, challenge: str) -> str:
    """Return the answer to a WebSocket's challenge."""
    digest = hashlib.sha256(challenge.encode()).digest()
    return base64.b64encode(credentials.hmac_sha512_of_base64(digest)).decode()


def public_call(endpoint: str, fields: Mapping[str, str]) -> Call:
    """Return a public request."""
    return Call("GET", f"{ROOT}{endpoint}", encoded(fields))


def private_call(method: str, endpoint: str, fields: Mapping[str, str], credentials: Credentials, nonce: str) -> Call:
    """Return a signed request; arguments of a POST go into its body. An empty `nonce` leaves it out."""
    path, arguments = f"{ROOT}{endpoint}", encoded(fields)
    headers = {"APIKey": credentials.key, "Authent": authent(credentials, arguments, nonce, path)}
    if nonce:
        headers["Nonce"] = nonce
    if method == "GET":
        return Call("GET", path, arguments, headers)
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return Call(method, path, "", headers, arguments.encode())


class _Reply(msgspec.Struct, frozen=True):
    result: str = ""
    error: str = ""
    errors: list[msgspec.Raw] = []


def problem_of(raw: bytes) -> str:
    """Return the venue's word for what is wrong, "" for a reply that is no error; raises nothing."""
    try:
        reply = msgspec.json.decode(raw, type=_Reply)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    if reply.result != "error" and not reply.error:
        return ""
    return inert(reply.error, 80) or "error without a word"


def judge(credentials: Credentials | None) -> Callable[[str, int, bytes], ProviderError | None]:
    """Return what turns the venue's words into our errors, which come with HTTP 200; names the key and its right."""

    def verdict(place: str, status: int, body: bytes) -> ProviderError | None:
        word = problem_of(body)
        is_write = not place.startswith("GET ")
        if status in (401, 403) or word in _AUTH:
            key = "" if credentials is None else f"{credentials.hint}: "
            right = MOVE_RIGHT if is_write else READ_RIGHT
            return Unauthorised(VENUE, f"{key}{place}: {word or f'HTTP {status}'}; the key needs {right}", status)
        if not word or status in (418, 429):
            return None
        detail = f"{place}: {word}"
        if word in _LIMIT:
            return RateLimited(VENUE, detail, PERIOD_S)
        if word in _NONCE:
            if credentials is not None:
                nonces_of(credentials).leap()
            again = "another program may use the same key; give each its own"
            return Refused(VENUE, f"{detail}; {again}") if is_write else Unreachable(VENUE, f"{detail}; {again}")
        if word in _UNSURE or status >= 500:
            return Unreachable(VENUE, detail)
        return Refused(VENUE, detail, status)

    return verdict
