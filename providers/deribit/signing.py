"""How Deribit requests are signed, what their errors mean, and what a key may do.

Wire: docs.deribit.com, "Authentication", "JSON-RPC", "Rate limits" (API 2.1.1, read 2026-11). Every private request
carries a signature of its own (`deri-hmac-sha256`), so no token is kept and none can expire over HTTP; a WebSocket
logs in once with `client_signature`. The secret itself never leaves this process.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import field
from urllib.parse import quote, urlencode

import msgspec

from engine.record import record
from providers.credentials import Credentials
from providers.errors import Malformed, ProviderError, RateLimited, Refused, Unauthorised, Unreachable
from providers.http import Call
from providers.text import inert

VENUE = "deribit"
ROOT = "/api/v2/"

# Credits of requests that touch no order: 500 each of a pool of 50,000 that refills by 10,000 a second. The list of
# instruments is allowed once a second.
CREDITS, REFILL_S, COST, INSTRUMENTS_COST = 50_000, 5.0, 500, 10_000
_POOL_EMPTY = 10028
_PAUSE_S = REFILL_S + 1
# The venue's pages number these differently; their words are the same everywhere.
_AUTH = frozenset({10000, 13004, 13009, 13010, 13011, 13021, 13403})
_AUTH_WORDS = ("unauthorized", "invalid_credentials", "invalid_token", "insufficient_scope", "forbidden")
# Answers that say nothing about whether the request was carried out: internal errors, time-outs, a restart.
_UNSURE = frozenset({10040, 10041, 10047, 11051, 11094, 13028, 13888})
_NO_METHOD = -32601

READ_SCOPES = ("account:read", "trade:read")
MOVE_SCOPE, ORDER_SCOPE = "wallet:read_write", "trade:read_write"


@record
class Problem:
    """What an error reply says."""

    code: int
    words: str


class _Error(msgspec.Struct, frozen=True):
    code: int = 0
    message: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Reply(msgspec.Struct, frozen=True):
    error: _Error | None = None


def path_of(method: str) -> str:
    """Return the path of a JSON-RPC method ("private/get_positions") over HTTP."""
    return f"{ROOT}{method}"


def _encoded(params: Mapping[str, str]) -> str:
    return urlencode(params, quote_via=quote)


def public_call(method: str, params: Mapping[str, str]) -> Call:
    """Return a public request."""
    return Call("GET", path_of(method), _encoded(params))


def private_call(method: str, params: Mapping[str, str], credentials: Credentials, now_ms: int, nonce: str) -> Call:
    """Return a signed request: HMAC-SHA-256 of timestamp, nonce, method, path with query, and an empty body."""
    query = _encoded(params)
    target = f"{path_of(method)}?{query}" if query else path_of(method)
    message = f"{now_ms}\n{nonce}\nGET\n{target}\n\n"
    signature = credentials.hmac_sha256(message.encode()).hex()
    header = f"deri-hmac-sha256 id={credentials.key},ts={now_ms},sig={signature},nonce={nonce}"
    return Call("GET", path_of(method), query, {"Authorization": header})


def log_in(credentials: Credentials, now_ms: int, nonce: str) -> dict[str, object]:
    """Return the parameters of `public/auth` that log in without showing the secret: it signs time, nonce and data."""
    signature = credentials.hmac_sha256(f"{now_ms}\n{nonce}\n".encode()).hex()
    return {
        "grant_type": "client_signature",
        "client_id": credentials.key,
        "timestamp": now_ms,
        "nonce": nonce,
        "data": "",
        "signature": signature,
    }


def new_nonce() -> str:
    """Return a word that no other request has."""
    return secrets.token_hex(8)


def request(number: int, method: str, params: Mapping[str, object]) -> str:
    """Return one JSON-RPC request as text."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": dict(params)}).decode()


def problem_of(raw: bytes) -> Problem | None:
    """Return what an error reply says, `None` for any other; raises nothing."""
    try:
        error = msgspec.json.decode(raw, type=_Reply).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if error is None:
        return None
    reason = ""
    try:
        data = msgspec.json.decode(error.data)
    except msgspec.MsgspecError:
        data = None
    if isinstance(data, Mapping):
        said = (f"{key} {data[key]}" for key in ("reason", "param") if isinstance(data.get(key), str))
        reason = ", ".join(said)
    elif isinstance(data, str):
        reason = data
    words = f"{error.message}: {reason}" if reason else error.message
    return Problem(error.code, inert(words, 120) or "error without a word")


def judge(credentials: Credentials | None) -> Callable[[str, int, bytes], ProviderError | None]:
    """Return what turns the venue's error codes into ours; `Unauthorised` names the key and what it must be allowed."""

    def verdict(place: str, status: int, body: bytes) -> ProviderError | None:
        problem = problem_of(body)
        if problem is None:
            return None
        detail = f"{place}: {problem.words} ({problem.code})"
        if problem.code == _POOL_EMPTY or status == 429:
            return RateLimited(VENUE, detail, None if status == 429 else _PAUSE_S)
        if problem.code in _AUTH or problem.words.startswith(_AUTH_WORDS) or status in (401, 403):
            key = "" if credentials is None else f"{credentials.hint}: "
            return Unauthorised(VENUE, f"{key}{detail}{_wanted(place)}", problem.code)
        if problem.code in _UNSURE or status >= 500:
            return Unreachable(VENUE, detail)
        return Refused(VENUE, detail, problem.code)

    return verdict


def is_unknown_method(error: Refused) -> bool:
    """Return whether the venue does not know the method at all."""
    return error.status in (_NO_METHOD, 404)


def scopes_of(raw: bytes) -> frozenset[str]:
    """Return what a `public/auth` reply says that the key may do, one word each; raises `Malformed`."""
    scope = parse_token(raw).scope
    return frozenset(scope.split())


def allows(scopes: frozenset[str], wanted: str) -> bool:
    """Return whether `scopes` hold `wanted` ("trade:read"): writing includes reading, and wallets are spelled twice."""
    area, _, right = wanted.partition(":")
    areas = {area, f"{area}s"}
    rights = {right, "read_write"}
    return any(f"{one}:{other}" in scopes for one in areas for other in rights)


@record
class Token:
    """What a log-in gives; held for one connection only."""

    scope: str
    refresh_token: str = field(repr=False)
    expires_in_s: int


class _Token(msgspec.Struct, frozen=True):
    scope: str = ""
    refresh_token: str = ""
    expires_in: int = 0


class _TokenReply(msgspec.Struct, frozen=True):
    result: _Token


def parse_token(raw: bytes) -> Token:
    """Return the token of a `public/auth` reply; raises `Malformed`, without a word of the reply in it."""
    try:
        found = msgspec.json.decode(raw, type=_TokenReply).result
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(VENUE, "public/auth: not a log-in's answer") from error
    return Token(found.scope, found.refresh_token, found.expires_in)


_NEEDS = {
    "private/submit_transfer": MOVE_SCOPE,
    "private/buy": ORDER_SCOPE,
    "private/sell": ORDER_SCOPE,
    "private/get_transfers": "wallet:read",
}


def _wanted(place: str) -> str:
    wanted = next((scope for method, scope in _NEEDS.items() if method in place), " ".join(READ_SCOPES))
    return f"; it needs the scope {wanted}"
