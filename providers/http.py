"""One HTTP client for every venue and chain: deadlines, bounded replies, retried reads, one request budget per venue.

Whatever httpx or the operating system raises leaves here as `Unreachable`, `RateLimited`, `Refused`, `Unauthorised`
or `Malformed`. Messages name the venue, the method and the path that the caller gave; never the base URL (an RPC URL
holds a key), the query, a header or a body. Writes are sent once: nothing repeats a write by itself.
"""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit

from engine.record import record
from providers.budget import Budget, shared_budget
from providers.errors import ConfigError, Malformed, ProviderError, RateLimited, Refused, Unauthorised, Unreachable
from providers.text import inert

if TYPE_CHECKING:
    import httpx
    import msgspec

T = TypeVar("T")

__all__ = ["Budget", "Call", "HttpTransport", "checked_url", "decode", "is_loopback", "shared_budget", "tls_context"]

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_USER_AGENT = "marginline"


def checked_url(venue: str, url: str, *schemes: str) -> str:
    """Return `url` without trailing slashes; raises `ConfigError` unless it has a host and one of `schemes`."""
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        has_host = False
        parts = urlsplit("")
    if not has_host or parts.scheme not in schemes:
        raise ConfigError(f"{venue}: the url must start with {' or '.join(f'{s}://' for s in schemes)} and name a host")
    return url.rstrip("/")


def is_loopback(url: str) -> bool:
    """Return whether `url` points to this machine, where no proxy of the environment may come between."""
    return urlsplit(url).hostname in LOOPBACK


@lru_cache(maxsize=8)
def tls_context(tls_ca: str | None = None) -> ssl.SSLContext:
    """Return the TLS settings of every connection, trusting `tls_ca` (a PEM file) as well when given.

    Raises `ConfigError` when that file cannot be read. Cached: building one costs tens of milliseconds.
    """
    import httpx

    context = httpx.create_ssl_context()
    if tls_ca is not None:
        try:
            context.load_verify_locations(cafile=tls_ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"tls_ca {tls_ca}: {error}; give a PEM file of certificates") from error
    return context


def decode(venue: str, place: str, raw: bytes, into: type[T]) -> T:
    """Return JSON `raw` as `into`; raises `Malformed` that names `place` and what is wrong with it.

    NaN and infinities pass as `Decimal`s: whoever takes a number checks it.
    """
    try:
        return _decoder(into).decode(raw)  # type: ignore[no-any-return, arg-type]  # it is `T`; a type has a hash
    except (_json_error(), UnicodeDecodeError, RecursionError) as error:
        raise Malformed(venue, f"{place}: {str(error)[:160]}") from error


@cache
def _decoder(into: object) -> "msgspec.json.Decoder[Any]":
    import msgspec

    return msgspec.json.Decoder(into)


def _json_error() -> type[Exception]:
    import msgspec

    return msgspec.MsgspecError


@record
class Call:
    """One request as it goes out. `query` is sent as it stands after the path, and like `content` never shown."""

    method: str
    path: str
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)


Judge = Callable[[str, int, bytes], ProviderError | None]
"""From place, HTTP status and body to the error that the venue means, `None` to leave it to the status."""


class HttpTransport:
    """Requests to one venue. Use as `async with`, or call `aclose()`.

    `timeout_s` is the deadline of one attempt, all of it. A read is tried up to `attempts` times with jittered,
    doubling pauses. A pause that would exceed `patience_s`, be it the venue's `Retry-After` or our own budget, is not
    waited for: it is raised as `RateLimited` with its length. `used_header` names the reply header with the weight
    that the venue counted in the budget's period. `judge` reads the venue's own error codes, also in a reply with
    HTTP 200. `transport` replaces the network in tests.
    """

    def __init__(
        self,
        venue: str,
        base_url: str,
        *,
        budget: Budget | None = None,
        timeout_s: float = 8.0,
        attempts: int = 3,
        patience_s: float = 5.0,
        max_reply_bytes: int = 16 << 20,
        used_header: str | None = None,
        tls_ca: str | None = None,
        judge: Judge | None = None,
        transport: "httpx.AsyncBaseTransport | None" = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.venue = venue
        self._base_url = checked_url(venue, base_url, "https", "http")
        self._budget = budget
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._patience_s = patience_s
        self._max_reply_bytes = max_reply_bytes
        self._used_header = used_header
        self._tls_ca = tls_ca
        self._judge = judge
        self._transport = transport
        self._sleep = sleep
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; the transport can be used again and then opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def get(
        self,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        weight: float = 1,
    ) -> bytes:
        """Return the reply of a GET, which is always a read; raises `ProviderError`."""
        call = Call("GET", path, urlencode(params or {}), headers or {})
        return await self.call(lambda: call, is_read=True, weight=weight)

    async def post(
        self,
        path: str,
        body: object,
        *,
        is_read: bool = False,
        headers: Mapping[str, str] | None = None,
        weight: float = 1,
    ) -> bytes:
        """Return the reply of a POST of `body` as JSON (`bytes` go as they are); raises `ProviderError`.

        `is_read` says that repeating it changes nothing (JSON-RPC calls, info queries). Otherwise it is sent once, and
        `Unreachable` means that the outcome is unknown.
        """
        import msgspec

        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        call = Call("POST", path, headers=headers or {}, content=content)
        return await self.call(lambda: call, is_read=is_read, weight=weight)

    async def get_json(
        self,
        path: str,
        into: type[T],
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        weight: float = 1,
    ) -> T:
        """Return the reply of a GET decoded as `into`; raises `ProviderError`."""
        return decode(
            self.venue, f"GET {path}", await self.get(path, params=params, headers=headers, weight=weight), into
        )

    async def post_json(
        self,
        path: str,
        body: object,
        into: type[T],
        *,
        is_read: bool = False,
        headers: Mapping[str, str] | None = None,
        weight: float = 1,
    ) -> T:
        """Return the reply of a POST decoded as `into`; see `post`."""
        raw = await self.post(path, body, is_read=is_read, headers=headers, weight=weight)
        return decode(self.venue, f"POST {path}", raw, into)

    async def call(self, make: Callable[[], Call], *, is_read: bool, weight: float = 1) -> bytes:
        """Return the reply of the request that `make` gives, made (and so signed) anew for every attempt.

        Only a read is attempted more than once; for anything else `Unreachable` means that the outcome is unknown.
        """
        attempts = self._attempts if is_read else 1
        for attempt in range(1, attempts + 1):
            await self._await_budget(weight, is_read=is_read)
            call = make()
            place = f"{call.method} {call.path}".rstrip()
            try:
                return await self._once(call, place)
            except (Unreachable, RateLimited) as error:
                pause_s = random.uniform(0.5, 1.0) * 0.3 * 2**attempt
                if isinstance(error, RateLimited) and error.retry_after_s is not None:
                    pause_s = error.retry_after_s
                    if self._budget is not None:
                        self._budget.block(pause_s)
                if attempt == attempts or pause_s > self._patience_s:
                    raise
                await self._sleep(pause_s)
        raise ValueError(f"attempts must be at least 1, not {attempts}")

    async def _await_budget(self, weight: float, *, is_read: bool) -> None:
        """Wait for the request's turn. A write goes ahead of reads: its signature ages, and a rescue must not wait."""
        if self._budget is None:
            return
        wait_s = self._budget.wait_s(weight) if is_read else self._budget.blocked_s()
        if wait_s > self._patience_s:
            raise RateLimited(self.venue, f"request budget used up; free in {wait_s:.0f} s", wait_s)
        self._budget.take(weight)
        if wait_s > 0:
            await self._sleep(wait_s)

    async def _once(self, call: Call, place: str) -> bytes:
        import httpx

        client = self._open()
        sent = {"User-Agent": _USER_AGENT, **call.headers}
        if call.content is not None:
            sent.setdefault("Content-Type", "application/json")
        url = f"{self._base_url}{call.path}{'?' if call.query else ''}{call.query}"
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                client.stream(call.method, url, headers=sent, content=call.content) as reply,
            ):
                body = await self._body(reply, place)
        except TimeoutError as error:
            raise Unreachable(self.venue, f"{place}: no answer within {self._timeout_s:g} s") from error
        except httpx.DecodingError as error:
            raise Malformed(self.venue, f"{place}: undecodable reply") from error
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise Unreachable(self.venue, f"{place}: {_cause(error)}") from error
        except httpx.InvalidURL as error:
            raise ConfigError(f"{self.venue}: the configured url is not valid") from error
        if self._budget is not None and self._used_header is not None:
            used = reply.headers.get(self._used_header, "")
            if used.isascii() and used.isdigit():
                self._budget.correct(float(used))
        judged = None if self._judge is None else self._judge(place, reply.status_code, body)
        if isinstance(judged, RateLimited) and judged.retry_after_s is None:
            judged.retry_after_s = _retry_after_s(reply.headers.get("retry-after"))
        if judged is not None:
            raise judged
        if reply.is_success:
            return body
        raise _refusal(self.venue, place, reply.status_code, reply.headers, body)

    async def _body(self, reply: "httpx.Response", place: str) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in reply.aiter_bytes():
            size += len(chunk)
            if size > self._max_reply_bytes:
                raise Malformed(self.venue, f"{place}: reply larger than {self._max_reply_bytes >> 10} KiB")
            chunks.append(chunk)
        return b"".join(chunks)

    def _open(self) -> "httpx.AsyncClient":
        import httpx

        if self._client is None:
            needs_tls = self._base_url.startswith("https:") and self._transport is None
            try:
                self._client = httpx.AsyncClient(
                    # A bare context costs nothing and trusts nobody; plain http never uses it.
                    verify=tls_context(self._tls_ca) if needs_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                    timeout=self._timeout_s,
                    trust_env=not is_loopback(self._base_url),
                    transport=self._transport,
                )
            except (ImportError, ValueError, httpx.InvalidURL) as error:
                raise ConfigError(f"{self.venue}: the proxy settings of the environment cannot be used") from error
        return self._client


def _cause(error: Exception) -> str:
    name = type(error).__name__
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in name.removesuffix("Error")).strip()
    return f"{words} error" if name.endswith("Error") else words


def _refusal(venue: str, place: str, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    says = _reason(body)
    detail = f"{place}: HTTP {status}{f' ({says})' if says else ''}"
    if status in (418, 429):
        return RateLimited(venue, detail, _retry_after_s(headers.get("retry-after")))
    if status == 408 or status >= 500:
        return Unreachable(venue, detail)
    if status == 401:
        return Unauthorised(venue, detail, status)
    return Refused(venue, detail, status)


def _reason(body: bytes) -> str:
    """Return what a JSON error reply says of itself, inert and bounded; empty when it says nothing."""
    import msgspec

    try:
        reply = msgspec.json.decode(body[:4096])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    if not isinstance(reply, dict):
        return ""
    said = next((reply[key] for key in ("msg", "message", "retMsg", "error") if isinstance(reply.get(key), str)), "")
    return inert(said, 120)


def _retry_after_s(value: str | None) -> float | None:
    """Return the seconds of a `Retry-After` header, which is a number or an HTTP date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
