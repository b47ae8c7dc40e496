"""How requests to Bybit are signed, and what its error codes mean.

Source: bybit-exchange.github.io/docs/v5/guide and /error (read 2026-11): the HMAC-SHA-256 is over timestamp, key,
receive window and the query string or the JSON body, as sent. Errors come with HTTP 200; 403 means that the address
asks too often (a stop of ten minutes) or is in a barred country.
"""

from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import msgspec

from providers.credentials import Credentials
from providers.errors import Malformed, ProviderError, RateLimited, Refused, Unauthorised, Unreachable
from providers.http import Call, HttpTransport, decode
from providers.loose_numbers import NO_NUMBER, whole
from providers.signed_reads import OffTime
from providers.text import inert

VENUE = "bybit"
RECV_WINDOW_MS = 5000
STOP_S = 600.0
TIME_PATH = "/v5/market/time"
READ_RIGHT = "Read-Only"
RESCUE_RIGHTS = "Contracts - Orders and Positions, Wallet - Account Transfer"
_LOGIN_S = 10_000

_RATE = frozenset({10006, 10429, 20003})
# Time-outs and internal errors: the request may have been carried out.
_BUSY = frozenset({5004, 10000, 10016, 10019, 131200, 131201, 170001, 170007})
_NOT_TAKEN_WORDS = {
    110012: "not enough available balance",
    110014: "not enough available balance",
    110015: "the position is in cross margin: its margin is the account's",
    110027: "margin unchanged",
    110033: "there is no position",
    110034: "there is no position",
}
_KEY_WORDS = {
    10003: "is not known here; check the key, and that it belongs to this host (testnet and demo have their own)",
    10004: "does not fit its secret; copy the secret again",
    10005: "lacks a permission for this; edit it at the venue",
    10007: "was not accepted",
    10010: "is bound to other IP addresses",
    33004: "has expired; make a new one",
}


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    ret_code: msgspec.Raw
    ret_msg: str = ""


class _Time(msgspec.Struct, frozen=True, rename="camel"):
    time_nano: msgspec.Raw = NO_NUMBER
    time_second: msgspec.Raw = NO_NUMBER


class _TimeReply(msgspec.Struct, frozen=True):
    result: _Time = _Time()
    time: msgspec.Raw = NO_NUMBER


def sign(credentials: Credentials, now_ms: int, method: str, path: str, query: str, content: bytes | None) -> Call:
    """Return the signed request; `now_ms` is the venue's time."""
    signed = f"{now_ms}{credentials.key}{RECV_WINDOW_MS}".encode() + (query.encode() if content is None else content)
    headers = {
        "Content-Type": "application/json",
        "X-BAPI-API-KEY": credentials.key,
        "X-BAPI-TIMESTAMP": str(now_ms),
        "X-BAPI-RECV-WINDOW": str(RECV_WINDOW_MS),
        "X-BAPI-SIGN": credentials.hmac_sha256(signed).hex(),
    }
    return Call(method, path, query, headers, content)


def query_of(fields: Mapping[str, str]) -> str:
    """Return fields as a query; a cursor comes from the venue in percent form and goes back as it is."""
    return urlencode(fields, safe="%,:")


def login(credentials: Credentials, now_ms: int) -> str:
    """Return the text that logs a private WebSocket in (docs/v5/ws/connect, read 2026-11)."""
    expires = now_ms + _LOGIN_S
    signature = credentials.hmac_sha256(f"GET/realtime{expires}".encode()).hex()
    return msgspec.json.encode({"op": "auth", "args": [credentials.key, expires, signature]}).decode()


def judge_for(credentials: Credentials | None) -> Callable[[str, int, bytes], ProviderError | None]:
    """Return what reads an error from a reply; errors about a key tell its last letters."""
    whose = "the key" if credentials is None else credentials.hint

    def judge(place: str, status: int, body: bytes) -> ProviderError | None:
        if status == 403:
            return RateLimited(VENUE, f"{place}: HTTP 403, asked too often or from a barred country", STOP_S)
        try:
            reply = msgspec.json.decode(body, type=_Envelope)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        try:
            code = whole(VENUE, f"{place}: retCode", reply.ret_code)
        except Malformed as error:
            return error
        if code == 0:
            return None
        # 10004 repeats the string that was to be signed, and with it the key.
        said = reply.ret_msg if credentials is None else credentials.hidden_in(reply.ret_msg)
        meant = meaning(place, -1 if code is None else code, said, whose)
        return Unreachable(VENUE, meant.detail) if status >= 500 else meant

    return judge


def meaning(place: str, code: int, said: str, whose: str = "the key") -> ProviderError:
    """Return the error that one of the venue's codes stands for."""
    detail = f"{place}: {code} {inert(said, 120)}".rstrip()
    if code == 10002:
        return OffTime(VENUE, detail, code)
    if code in _KEY_WORDS:
        return Unauthorised(VENUE, f'{detail}; {whose} {_KEY_WORDS[code]}; to read it needs "{READ_RIGHT}"', code)
    if code == 10018:
        return RateLimited(VENUE, detail, STOP_S)
    if code in _RATE:
        return RateLimited(VENUE, detail)
    if code in _BUSY:
        return Unreachable(VENUE, detail)
    words = _NOT_TAKEN_WORDS.get(code)
    return Refused(VENUE, detail if words is None else f"{detail} ({words})", code)


async def ask_time(http: HttpTransport) -> int:
    """Return the venue's time in ns; raises `ProviderError`."""
    reply = decode(VENUE, TIME_PATH, await http.get(TIME_PATH), _TimeReply)
    exact = whole(VENUE, "timeNano", reply.result.time_nano)
    if exact is not None:
        return exact
    at_ms = whole(VENUE, "time", reply.time)
    if at_ms is not None:
        return at_ms * 1_000_000
    at_s = whole(VENUE, "timeSecond", reply.result.time_second)
    if at_s is None:
        raise Malformed(VENUE, f"{TIME_PATH}: no time in it")
    return at_s * 1_000_000_000
