"""ccxt as a library of wires: its exchange objects sign and parse, every byte goes through our own transport.

ccxt (pip: "ccxt", MIT; github.com/ccxt/ccxt, manual read 2026-11) is an optional extra and is imported when an account
is first read. Its synchronous classes run in a thread; `fetch` is replaced, so that deadlines, budgets, bans, TLS
settings and `rest_url` are those of every other venue, and nothing of ccxt opens a connection. Its rounding changes the
decimal context of its caller (`decimal_to_precision`), so it is called in one of its own.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from decimal import localcontext
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from providers.budget import Budget
from providers.credentials import Credentials
from providers.errors import ConfigError, Malformed, ProviderError, RateLimited, Refused, Unauthorised, Unreachable
from providers.http import Call, HttpTransport, shared_budget
from providers.text import inert

T = TypeVar("T")
INSTALL = "pip install 'marginline[ccxt]'"
_PERIOD_S = 10.0
# What ccxt calls the parts of a key, and what the config does.
_PARTS = {
    "apiKey": "key",
    "secret": "secret",
    "password": "passphrase",
    "uid": "subaccount",
    "walletAddress": "address",
}
_KINDS: tuple[tuple[str, type[ProviderError]], ...] = (
    ("AuthenticationError", Unauthorised),
    ("RateLimitExceeded", RateLimited),
    ("DDoSProtection", RateLimited),
    ("BadResponse", Malformed),
    ("OperationFailed", Unreachable),
    ("BaseError", Refused),
)


def exchange_id(provider: str, where: str) -> str:
    """Return the exchange of "ccxt:<id>"; raises `ConfigError` for one that ccxt does not know, or without ccxt.

    Looks at names of files only: ccxt itself is imported later.
    """
    name = provider.partition(":")[2]
    spec = find_spec("ccxt")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"{where}: provider {provider} needs ccxt: {INSTALL}")
    known = {file.stem for folder in spec.submodule_search_locations for file in Path(folder).glob("[a-z]*.py")}
    if name not in known:
        close = get_close_matches(name, sorted(known), 3, 0.5)
        hint = f"did you mean {', '.join(f'ccxt:{each}' for each in close)}?" if close else "see docs.ccxt.com"
        raise ConfigError(f"{where}: ccxt has no exchange {name[:40]!r}; {hint}")
    return name


class Exchange:
    """One ccxt exchange object behind our transport; `run` may be called by one task at a time, others wait."""

    def __init__(
        self,
        name: str,
        credentials: Credentials,
        more: Mapping[str, str],
        *,
        needed: str,
        rest_url: str | None,
        tls_ca: str | None,
    ) -> None:
        self.venue, self._name = f"ccxt:{name}", name
        self._credentials, self._more, self._needed = credentials, dict(more), needed
        self._rest_url, self._tls_ca = rest_url, tls_ca
        self._transports: dict[str, HttpTransport] = {}
        self._made: Any = None
        self._lock = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in self._transports.values():
            await transport.aclose()

    async def run(self, work: Callable[[Any], T]) -> T:
        """Return what `work` makes of the exchange object, in a thread; raises `ProviderError` for all that fails."""
        async with self._lock:
            self._loop = asyncio.get_running_loop()
            return await asyncio.to_thread(self._run, work)

    def _run(self, work: Callable[[Any], T]) -> T:
        try:
            with localcontext():
                if self._made is None:
                    self._made = self._make()
                return work(self._made)
        except (ProviderError, ConfigError):
            raise
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise Malformed(self.venue, f"a reply that ccxt cannot read ({type(error).__name__})") from error
        except _base_error() as error:
            raise self._meant(error, "ccxt") from error

    def _make(self) -> Any:
        base = getattr(import_module(f"ccxt.{self._name}"), self._name)
        carry = self._carry

        def throttle(made: Any, cost: float | None = None) -> None:
            """Wait for nothing: the weight is kept for our own budget."""
            made.cost = 1.0 if cost is None else float(cost)

        def fetch(made: Any, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
            """Return a reply as ccxt expects it, numbers with a point as text so that no digit is lost."""
            text = carry(url, method, made.prepare_request_headers(headers), body, made.cost)
            try:
                reply = json.loads(text, parse_float=str)
            except ValueError:
                reply = None
            if not isinstance(reply, dict | list) or reply == {}:
                # ccxt would read it as an account that holds nothing.
                raise Malformed(f"ccxt:{made.id}", f"{method} {urlsplit(url).path}: a reply that is none")
            return reply

        carried = type("Carried", (base,), {"throttle": throttle, "fetch": fetch, "cost": 1.0})
        made = carried({**self._keys(base, self._credentials), "enableRateLimit": True, "number": str})
        made.has = {**made.has, "fetchCurrencies": False}  # which needs rights that nothing here needs
        if made.options.get("defaultType") in (None, "spot", "margin"):
            made.options["defaultType"] = "swap"
        return made

    def _keys(self, base: Any, keys: Credentials) -> dict[str, str]:
        held = {"key": keys.key, "secret": keys.reveal_secret(), **self._more}
        if keys.has("passphrase"):
            held["passphrase"] = keys.passphrase
        wanted = [name for name, is_needed in base().requiredCredentials.items() if is_needed]
        missing = [_PARTS.get(name, name) for name in wanted if _PARTS.get(name, name) not in held]
        if missing:
            raise Unauthorised(self.venue, f"needs {' and '.join(missing)} beside what the config gives")
        return {name: held[part] for name, part in _PARTS.items() if part in held}

    def _carry(self, url: str, method: str, headers: Mapping[str, str], body: Any, cost: float) -> str:
        """Ask from the exchange's thread; the loop does it."""
        if self._loop is None:
            raise Unreachable(self.venue, "nothing runs that could ask")
        asked = asyncio.run_coroutine_threadsafe(self._ask(url, method, headers, body, cost), self._loop)
        return asked.result().decode("utf-8", "replace")

    async def _ask(self, url: str, method: str, headers: Mapping[str, str], body: Any, cost: float) -> bytes:
        call = _call(url, method, headers, body, self.venue)
        origin = self.origin_of(url)
        # What ccxt signed has one time and one nonce in it: whoever asks again lets it sign again.
        budget = self._budget(origin)
        transport = self._transports.get(origin)
        if transport is None:
            transport = self._transports[origin] = HttpTransport(
                self.venue, origin, budget=budget, attempts=1, timeout_s=15.0, tls_ca=self._tls_ca, judge=self._judge
            )
        return await transport.call(lambda: call, is_read=True, weight=min(cost, budget.capacity))

    def origin_of(self, url: str) -> str:
        """Return which host is asked for a URL of ccxt: `rest_url` instead of it where that is set."""
        parts = urlsplit(url)
        return (self._rest_url or f"{parts.scheme}://{parts.netloc}").rstrip("/")

    def writing(self, origin: str) -> HttpTransport:
        """Return the transport for what moves money; an error that ccxt cannot place leaves its outcome unknown."""
        transport = self._transports.get(f"write {origin}")
        if transport is None:
            transport = self._transports[f"write {origin}"] = HttpTransport(
                self.venue, origin, budget=self._budget(origin), tls_ca=self._tls_ca, judge=self._judge_write
            )
        return transport

    def unsent(self, work: Callable[[Any], object], keys: Credentials) -> tuple[str, Call]:
        """Return the host and the request that `work` makes of ccxt, signed with `keys` and not sent.

        Raises `Refused` when ccxt makes none by itself, or the markets have not been read in this process.
        """
        if self._made is None or not self._made.markets:
            raise Refused(self.venue, "the markets are not read yet: make the step again")
        base = type(self._made).__mro__[1]

        def fetch(_: Any, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
            raise _Captured(url, method, headers, body)

        held = {**self._keys(base, keys), "enableRateLimit": False, "number": str}
        signing = type("Signing", (base,), {"fetch": fetch})(held)
        signing.set_markets(list(self._made.markets.values()))
        signing.options["defaultType"] = self._made.options.get("defaultType")
        try:
            with localcontext():
                work(signing)
        except _Captured as caught:
            return self.origin_of(caught.url), _call(caught.url, caught.method, caught.headers, caught.body, self.venue)
        except _base_error() as error:
            raise Refused(self.venue, f"ccxt makes no request of it: {inert(str(error), 120)}") from error
        raise Refused(self.venue, "ccxt makes no request of it")

    def _judge_write(self, place: str, status: int, body: bytes) -> ProviderError | None:
        found = self._judge(place, status, body)
        if type(found) is Refused and found.detail.startswith(f"{place}: ExchangeError"):
            return Unreachable(self.venue, f"the request may have been taken: {found.detail}")
        return found

    def _budget(self, origin: str) -> Budget:
        pause_ms = float(getattr(self._made, "rateLimit", None) or 100)
        return shared_budget(self.venue, origin, max(1, round(_PERIOD_S * 1000 / pause_ms)), _PERIOD_S)

    def _judge(self, place: str, status: int, body: bytes) -> ProviderError | None:
        """Return what the exchange means by a reply, in ccxt's own classes of errors."""
        if status >= 500 or status in (418, 429):
            return None
        text = body.decode("utf-8", "replace")
        try:
            reply = json.loads(text, parse_float=str)
        except ValueError:
            reply = None
        try:
            self._made.handle_errors(status, "", place.partition(" ")[2], "", {}, text, reply, {}, "")
        except (LookupError, TypeError, AttributeError, ArithmeticError):
            return None
        except _base_error() as error:
            return self._meant(error, place)
        return self._unauthorised(place, status) if status in (401, 403) else None

    def _meant(self, error: Exception, place: str) -> ProviderError:
        """Return our error for one of ccxt's."""
        family = [each.__name__ for each in type(error).__mro__]
        kind = next(ours for name, ours in _KINDS if name in family)
        if kind is Unauthorised:
            return self._unauthorised(place, None)
        if kind is RateLimited:
            return RateLimited(self.venue, f"{place}: too many requests", None)
        says = inert(str(error).removeprefix(self._name).strip(), 120)
        return kind(self.venue, f"{place}: {family[0]}{f' ({says})' if says else ''}")

    def _unauthorised(self, place: str, status: int | None) -> Unauthorised:
        said = f"{place}: {self._credentials.hint} or its secret is refused; needed: {self._needed}"
        return Unauthorised(self.venue, said, status)


class _Captured(Exception):
    """A request that ccxt would send now."""

    def __init__(self, url: str, method: str, headers: Any, body: Any) -> None:
        super().__init__("captured")
        self.url, self.method, self.headers, self.body = url, method, dict(headers or {}), body


def _call(url: str, method: str, headers: Mapping[str, Any], body: Any, venue: str) -> Call:
    if body is not None and not isinstance(body, str | bytes):
        raise Refused(venue, f"{method} with a form of files, which is not sent from here")
    parts = urlsplit(url)
    content = body.encode() if isinstance(body, str) else body
    sent = {name: str(value) for name, value in headers.items() if value is not None}
    return Call(method, parts.path, parts.query, sent, content or None)


def _base_error() -> type[Exception]:
    found: type[Exception] = import_module("ccxt").BaseError
    return found
