"""How requests to OKX are signed, and what its error codes mean.

Source: okx.com/docs-v5, "REST Authentication", "WebSocket login" and "Error Code" (read 2026-11): base64 of the
HMAC-SHA-256 over ISO time, method, path with query, and the JSON body as sent. Codes are strings; orders and transfers
may fail row by row (`sCode`). Demo trading is the same host with the header `x-simulated-trading: 1`.
"""

import base64
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from providers.credentials import Credentials
from providers.errors import Malformed, ProviderError, RateLimited, Refused, Unauthorised, Unreachable
from providers.http import Call, HttpTransport, decode
from providers.loose_numbers import whole
from providers.signed_reads import OffTime, Sign
from providers.text import inert

VENUE = "okx"
TIME_PATH = "/api/v5/public/time"
READ_RIGHT, RESCUE_RIGHT = "Read", "Trade"

_RATE = frozenset({"50011", "50061", "58102"})
# 50004 says itself that a timed-out request may have been carried out, 58124 that a transfer is on its way.
_BUSY = frozenset({"50001", "50004", "50005", "50013", "50026", "58124"})
_KEY_WORDS = {
    "50101": 'is of the other environment: a demo key needs wallet = "demo", a live one needs it left out',
    "50103": "was not sent",
    "50104": "needs its passphrase",
    "50105": "does not fit its passphrase",
    "50106": "was not sent with a signature",
    "50107": "was not sent with a time",
    "50110": "is bound to other IP addresses",
    "50111": "is not known here; check the key and the host (EEA and US have their own)",
    "50113": "does not fit its secret; copy the secret again",
    "50114": "is not authorised",
    "50119": "does not exist",
    "50120": "lacks a permission for this; edit it at the venue",
    "50030": "lacks a permission for this; edit it at the venue",
}


class _Failed(msgspec.Struct, frozen=True, rename="camel"):
    s_code: str = ""
    s_msg: str = ""


class _Envelope(msgspec.Struct, frozen=True):
    code: str
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


class _Time(msgspec.Struct, frozen=True):
    ts: msgspec.Raw


class _TimeReply(msgspec.Struct, frozen=True):
    data: tuple[_Time, ...]


def signer(*, is_demo: bool) -> Sign:
    """Return what signs requests, for demo trading or for real."""

    def sign(credentials: Credentials, now_ms: int, method: str, path: str, query: str, content: bytes | None) -> Call:
        at = datetime.fromtimestamp(now_ms / 1000, UTC)
        stamp = f"{at:%Y-%m-%dT%H:%M:%S}.{now_ms % 1000:03d}Z"
        target = f"{path}?{query}" if query else path
        digest = credentials.hmac_sha256(f"{stamp}{method}{target}".encode() + (content or b""))
        headers = {
            "Content-Type": "application/json",
            "OK-ACCESS-KEY": credentials.key,
            "OK-ACCESS-PASSPHRASE": credentials.passphrase,
            "OK-ACCESS-TIMESTAMP": stamp,
            "OK-ACCESS-SIGN": base64.b64encode(digest).decode(),
        }
        return Call(method, path, query, headers | demo_headers(is_demo=is_demo), content)

    return sign


def demo_headers(*, is_demo: bool) -> dict[str, str]:
    """Return what tells the venue that a request is of demo trading."""
    return {"x-simulated-trading": "1"} if is_demo else {}


def login(credentials: Credentials, now_ms: int) -> str:
    """Return the text that logs a private WebSocket in; its time is in seconds."""
    stamp = str(now_ms // 1000)
    digest = credentials.hmac_sha256(f"{stamp}GET/users/self/verify".encode())
    args = {
        "apiKey": credentials.key,
        "passphrase": credentials.passphrase,
        "timestamp": stamp,
        "sign": base64.b64encode(digest).decode(),
    }
    return msgspec.json.encode({"op": "login", "args": [args]}).decode()


def judge_for(credentials: Credentials | None) -> Callable[[str, int, bytes], ProviderError | None]:
    """Return what reads an error from a reply; errors about a key tell its last letters."""
    whose = "the key" if credentials is None else credentials.hint

    def judge(place: str, status: int, body: bytes) -> ProviderError | None:
        try:
            reply = msgspec.json.decode(body, type=_Envelope)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        code, said = reply.code, reply.msg
        if code in ("1", "2"):
            code, said = _row_fault(reply)
        if code == "0":
            return None
        meant = meaning(place, code, said if credentials is None else credentials.hidden_in(said), whose)
        return Unreachable(VENUE, meant.detail) if status >= 500 else meant

    return judge


def meaning(place: str, code: str, said: str, whose: str = "the key") -> ProviderError:
    """Return the error that one of the venue's codes stands for."""
    status = int(code) if code.isascii() and code.isdigit() else None
    detail = f"{place}: {inert(code, 8)} {inert(said, 120)}".rstrip()
    if code == "50102":
        return OffTime(VENUE, detail, status)
    if code in _KEY_WORDS:
        return Unauthorised(
            VENUE,
            f'{detail}; {whose} {_KEY_WORDS[code]}; to read it needs "{READ_RIGHT}", to rescue "{RESCUE_RIGHT}"',
            status,
        )
    if code in _RATE:
        return RateLimited(VENUE, detail)
    if code in _BUSY:
        return Unreachable(VENUE, detail)
    return Refused(VENUE, detail, status)


async def ask_time(http: HttpTransport) -> int:
    """Return the venue's time in ns; raises `ProviderError`."""
    rows = decode(VENUE, TIME_PATH, await http.get(TIME_PATH), _TimeReply).data
    at_ms = whole(VENUE, "ts", rows[0].ts) if rows else None
    if not at_ms:
        raise Malformed(VENUE, f"{TIME_PATH}: no time in it")
    return at_ms * 1_000_000


def _row_fault(reply: _Envelope) -> tuple[str, str]:
    """Return code and words of the first row that failed, those of the envelope where no row says any."""
    try:
        rows = msgspec.json.decode(reply.data, type=tuple[_Failed, ...])
    except msgspec.MsgspecError:
        rows = ()
    row = next((each for each in rows if each.s_code not in ("", "0")), None)
    return (reply.code, reply.msg) if row is None else (row.s_code, row.s_msg)
