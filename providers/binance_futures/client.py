"""Signed requests to Binance: what is sent is exactly what is signed, with the venue's time of the moment.

Wire: developers.binance.com, "General Info" of USDS-M Futures, Portfolio Margin and Wallet (read 2026-11). Parameters
are percent-encoded first, `signature` = hex(HMAC-SHA-256(secret, query or body)) comes last, `X-MBX-APIKEY` names the
key. Errors are `{"code": -n, "msg": "..."}`; -1000, -1001, -1006 and -1007 say that the outcome is unknown.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode

import msgspec

from providers.binance_futures.numbers import read
from providers.credentials import Credentials
from providers.errors import ProviderError, RateLimited, Refused, Unauthorised, Unreachable
from providers.http import Call, HttpTransport, shared_budget
from providers.text import inert
from providers.venue_clock import VenueClock

RECV_WINDOW_MS = 5_000
_MEASURE_EVERY_S = 600.0
_UNKNOWN_OUTCOME = frozenset({-1000, -1001, -1006, -1007, -1016})
_BAD_KEY = frozenset({-1002, -1099, -2014, -2015})
_BANNED_UNTIL = re.compile(r"until (\d{13})")
_FORM = "application/x-www-form-urlencoded"

# Family of paths -> (requests' weight per minute, reply header with what the venue counted).
_BUDGETS: Mapping[str, tuple[float, str]] = {
    "fapi": (2400, "x-mbx-used-weight-1m"),
    "sapi": (12000, "x-sapi-used-ip-weight-1m"),
    "papi": (6000, "x-mbx-used-weight-1m"),
}
_PERMISSIONS = (
    ("/sapi/v1/asset/transfer", "Permits Universal Transfer"),
    ("POST /fapi", "Enable Futures"),
    ("POST /papi", "Enable Portfolio Margin Trading"),
    ("/papi", "Enable Reading"),
    ("/fapi", "Enable Reading"),
)


class ClockRefused(Refused):
    """The venue would not take the time that a request was signed with; the request was not carried out."""


class _Error(msgspec.Struct, frozen=True):
    code: int = 0
    msg: str = ""


class _ServerTime(msgspec.Struct, frozen=True):
    serverTime: int


def signed_query(fields: Mapping[str, str], credentials: Credentials, now_ms: int) -> str:
    """Return `fields` with `recvWindow`, `timestamp` and `signature`, percent-encoded as it is to be sent."""
    plain = urlencode({**fields, "recvWindow": str(RECV_WINDOW_MS), "timestamp": str(now_ms)}, quote_via=quote, safe="")
    return f"{plain}&signature={credentials.hmac_sha256(plain.encode()).hex()}"


def signed_call(method: str, path: str, fields: Mapping[str, str], credentials: Credentials, now_ms: int) -> Call:
    """Return the signed request: in the query for GET, as a form otherwise."""
    signed = signed_query(fields, credentials, now_ms)
    headers = {"X-MBX-APIKEY": credentials.key}
    if method == "GET":
        return Call(method, path, signed, headers)
    return Call(method, path, headers={**headers, "Content-Type": _FORM}, content=signed.encode())


def error_of(venue: str, place: str, status: int, body: bytes, hint: str, now_ms: int) -> ProviderError | None:
    """Return what the venue means by its own error code, `None` without one.

    `hint` tells the owner which key it is, `now_ms` is the venue's time, against which a ban's end counts.
    """
    if b'"code"' not in body[:512]:
        return None
    try:
        said = msgspec.json.decode(body, type=_Error)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if said.code >= 0:
        return None
    words = f"{place}: {said.code} {inert(said.msg, 140)}".rstrip()
    if said.code == -1003 or status in (418, 429):
        until = _BANNED_UNTIL.search(said.msg)
        return RateLimited(venue, words, None if until is None else max((int(until[1]) - now_ms) / 1e3, 0.0))
    if said.code == -1008:
        return RateLimited(venue, words)
    if said.code in _UNKNOWN_OUTCOME or status >= 500:
        return Unreachable(venue, words)
    if said.code == -1021:
        return ClockRefused(venue, words, said.code)
    if said.code == -1022:
        return Unauthorised(venue, f"{words}: is this the secret of {hint}?", said.code)
    if said.code in _BAD_KEY:
        needed = next((name for start, name in _PERMISSIONS if start in place), "Enable Reading")
        return Unauthorised(
            venue,
            f'{words}: {hint} is wrong or deleted, its IP list excludes this machine, or it lacks "{needed}"',
            said.code,
        )
    return Refused(venue, words, said.code)


class Timekeeper:
    """Keeps one `VenueClock` measured by the futures host's time endpoint."""

    def __init__(self, http: HttpTransport, *, clock: Callable[[], int] = time.time_ns) -> None:
        self.venue_clock = VenueClock(clock=clock)
        self._http, self._clock = http, clock
        self._due_ns = 0

    def now_ms(self) -> int:
        """Return the venue's time now."""
        return self.venue_clock.now_ms()

    async def keep(self) -> None:
        """Measure when it is due. A venue that does not tell its time leaves what is known."""
        if self._clock() < self._due_ns and self.venue_clock.is_measured:
            return
        self._due_ns = self._clock() + round(_MEASURE_EVERY_S * 1e9)
        try:
            await self.measure()
        except (Unreachable, Refused):
            self._due_ns = self._clock() + 30_000_000_000

    async def measure(self) -> None:
        """Ask the venue for its time and trust it, whatever was known; raises `ProviderError`."""
        sent_ns = self._clock()
        raw = await self._http.get("/fapi/v1/time")
        told = read("time", raw, _ServerTime)
        self.venue_clock.forget()
        self.venue_clock.learn(told.serverTime * 1_000_000, sent_ns, self._clock())


class Client:
    """Requests of one account to one family of paths ("fapi", "sapi", "papi") on its host."""

    def __init__(
        self,
        venue: str,
        family: str,
        base_url: str,
        credentials: Credentials,
        *,
        timekeeper: Timekeeper | None = None,
        tls_ca: str | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        weight, header = _BUDGETS[family]
        self.venue, self._credentials = venue, credentials
        self.http = HttpTransport(
            venue,
            base_url,
            budget=shared_budget("binance", base_url, weight, 60),
            used_header=header,
            tls_ca=tls_ca,
            judge=self._judge,
        )
        self.timekeeper = timekeeper or Timekeeper(self.http, clock=clock)
        self._is_known = False

    async def public(self, path: str, fields: Mapping[str, str] | None = None, *, weight: float = 1) -> bytes:
        """Return the reply of a GET that needs no key; raises `ProviderError`."""
        return await self.http.get(path, params=fields, weight=weight)

    async def signed(self, path: str, fields: Mapping[str, str] | None = None, *, weight: float = 1) -> bytes:
        """Return the reply of a signed GET; raises `ProviderError`.

        When the venue refuses the time, it is asked for its own and the request is signed once more.
        """
        await self.prepare()
        try:
            return await self._read(path, fields or {}, weight)
        except ClockRefused:
            await self.timekeeper.measure()
        try:
            return await self._read(path, fields or {}, weight)
        except ClockRefused as error:
            why = self.timekeeper.venue_clock.complaint() or "its clock or the way to it is not steady"
            raise Unreachable(self.venue, f"{error.detail}: {why}") from error

    async def keyed(self, method: str, path: str) -> bytes:
        """Return the reply of a request that only names the key and may be repeated (listen keys)."""
        await self.prepare()
        call = Call(method, path, headers={"X-MBX-APIKEY": self._credentials.key, "Content-Type": _FORM})
        return await self.http.call(lambda: call, is_read=True)

    async def prepare(self) -> None:
        """Look the key up off the loop, and know the venue's time."""
        if not self._is_known:
            await asyncio.to_thread(self._look_up)
            self._is_known = True
        await self.timekeeper.keep()

    def _look_up(self) -> None:
        self._credentials.hmac_sha256(b"")
        _ = self._credentials.key

    async def _read(self, path: str, fields: Mapping[str, str], weight: float) -> bytes:
        def make() -> Call:
            return signed_call("GET", path, fields, self._credentials, self.timekeeper.now_ms())

        return await self.http.call(make, is_read=True, weight=weight)

    def _judge(self, place: str, status: int, body: bytes) -> ProviderError | None:
        hint = self._credentials.hint if self._is_known else "the key"
        return error_of(self.venue, place, status, body, hint, self.timekeeper.now_ms())
