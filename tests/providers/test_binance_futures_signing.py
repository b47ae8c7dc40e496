"""Requests signed exactly as Binance documents it, and as ccxt 4.5.90 does it for the same request, offline."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from providers.binance_futures.client import ClockRefused, error_of, signed_call
from providers.credentials import Credentials
from providers.errors import RateLimited, Refused, Unauthorised, Unreachable

FIXTURES = Path(__file__).parents[1] / "fixtures" / "binance_futures"
SIGNED: dict[str, Any] = json.loads((FIXTURES / "signatures.json").read_text())
NOW_MS = 1_700_000_000_000
KEYS = Credentials("test", lambda: "test_api_key", lambda: "test_secret")
REQUESTS = [
    ("GET", "fapiPrivateV3", "positionRisk", "/fapi/v3/positionRisk", {}),
    ("GET", "fapiPrivateV3", "account", "/fapi/v3/account", {}),
    ("GET", "fapiPrivate", "leverageBracket", "/fapi/v1/leverageBracket", {"symbol": "BTCUSDT"}),
    ("GET", "fapiPrivate", "order", "/fapi/v1/order", {"symbol": "BTCUSDT", "origClientOrderId": "ml-1"}),
    ("GET", "sapi", "account/apiRestrictions", "/sapi/v1/account/apiRestrictions", {}),
    ("GET", "papi", "account", "/papi/v1/account", {}),
    ("GET", "papi", "um/positionRisk", "/papi/v1/um/positionRisk", {}),
    (
        "POST",
        "fapiPrivate",
        "positionMargin",
        "/fapi/v1/positionMargin",
        {"symbol": "BTCUSDT", "amount": "100", "type": "1"},
    ),
    (
        "POST",
        "sapi",
        "asset/transfer",
        "/sapi/v1/asset/transfer",
        {"type": "MAIN_UMFUTURE", "asset": "USDT", "amount": "25.5"},
    ),
    ("POST", "papi", "asset-collection", "/papi/v1/asset-collection", {"asset": "USDT"}),
    (
        "POST",
        "fapiPrivate",
        "order",
        "/fapi/v1/order",
        {
            "symbol": "BTCUSDT",
            "side": "SELL",
            "type": "LIMIT",
            "timeInForce": "IOC",
            "quantity": "0.1",
            "price": "64675.0",
            "reduceOnly": "true",
            "newClientOrderId": "ml-0123456789abcdef",
        },
    ),
]


@pytest.mark.parametrize("example", SIGNED["documented"].values(), ids=SIGNED["documented"].keys())
def test_the_documented_examples_are_signed_to_the_documented_signature(example: dict[str, str]) -> None:
    keys = Credentials("documented", lambda: example["apiKey"], lambda: example["secret"])
    assert keys.hmac_sha256(example["payload"].encode()).hex() == example["hmac_sha256_hex"]


@pytest.mark.parametrize("request_", SIGNED["requests"].values(), ids=SIGNED["requests"].keys())
def test_recorded_requests_carry_the_signature_that_we_would_make(request_: dict[str, Any]) -> None:
    sent = request_["body"] or urlsplit(request_["url"]).query
    payload, _, signature = sent.rpartition("&signature=")
    assert KEYS.hmac_sha256(payload.encode()).hex() == signature


@pytest.mark.parametrize(("method", "api", "path", "ours", "fields"), REQUESTS, ids=[each[3] for each in REQUESTS])
def test_ccxt_signs_the_same_request_with_the_same_fields(
    method: str, api: str, path: str, ours: str, fields: dict[str, str]
) -> None:
    import ccxt

    class Fixed(ccxt.binance):  # type: ignore[misc]  # ccxt has no types
        def nonce(self) -> int:
            return NOW_MS

    exchange = Fixed({"apiKey": "test_api_key", "secret": "test_secret", "options": {"recvWindow": 5000}})
    theirs = exchange.sign(path, [api], method, dict(fields))
    call = signed_call(method, ours, fields, KEYS, NOW_MS)
    assert (call.method, call.path) == (theirs["method"], urlsplit(theirs["url"]).path)
    assert {name: call.headers[name] for name in theirs["headers"]} == theirs["headers"]
    sent = call.query if method == "GET" else (call.content or b"").decode()
    wanted = theirs["body"] or urlsplit(theirs["url"]).query
    # The venue takes parameters in any order, and signs the order in which they came.
    assert unsigned(sent) == unsigned(wanted)
    payload, _, signature = wanted.rpartition("&signature=")
    assert KEYS.hmac_sha256(payload.encode()).hex() == signature
    assert sent.endswith(f"&signature={KEYS.hmac_sha256(sent.rpartition('&signature=')[0].encode()).hex()}")


def unsigned(sent: str) -> dict[str, str]:
    return {name: value for name, value in parse_qsl(sent) if name != "signature"}


def test_what_is_signed_is_percent_encoded_first() -> None:
    call = signed_call("GET", "/fapi/v1/order", {"symbol": "这里USDT", "note": "a b&c=d"}, KEYS, NOW_MS)
    payload, _, signature = call.query.rpartition("&signature=")
    assert payload.startswith("symbol=%E8%BF%99%E9%87%8CUSDT&note=a%20b%26c%3Dd&")
    assert KEYS.hmac_sha256(payload.encode()).hex() == signature


def test_neither_key_nor_secret_nor_signature_shows_in_a_request() -> None:
    call = signed_call("POST", "/fapi/v1/order", {"symbol": "BTCUSDT"}, KEYS, NOW_MS)
    assert not any(secret in repr(call) for secret in ("test_api_key", "test_secret", "signature"))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, -1021, ClockRefused),
        (400, -1022, Unauthorised),
        (401, -2014, Unauthorised),
        (401, -2015, Unauthorised),
        (400, -1002, Unauthorised),
        (408, -1007, Unreachable),
        (500, -1001, Unreachable),
        (400, -1006, Unreachable),
        (400, -1000, Unreachable),
        (503, -1, Unreachable),
        (429, -1003, RateLimited),
        (418, -1003, RateLimited),
        (400, -1008, RateLimited),
        (400, -4049, Refused),
        (400, -4050, Refused),
        (400, -2022, Refused),
    ],
)
def test_the_venues_codes_mean_what_its_documentation_says(status: int, code: int, kind: type[Exception]) -> None:
    body = json.dumps({"code": code, "msg": "words of the venue"}).encode()
    error = error_of("binance-usdm", "POST /fapi/v1/positionMargin", status, body, "key ..1234", NOW_MS)
    assert type(error) is kind
    assert f"{code}" in str(error)


def test_a_key_that_may_not_do_it_is_told_which_right_it_lacks() -> None:
    body = b'{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}'
    for place, right in (
        ("GET /fapi/v3/account", "Enable Reading"),
        ("POST /fapi/v1/positionMargin", "Enable Futures"),
        ("POST /sapi/v1/asset/transfer", "Permits Universal Transfer"),
        ("POST /papi/v1/um/order", "Enable Portfolio Margin Trading"),
    ):
        error = error_of("binance-usdm", place, 401, body, "key ..1234", NOW_MS)
        assert right in str(error)
        assert "key ..1234" in str(error)


def test_a_ban_lasts_until_the_moment_that_the_venue_names() -> None:
    body = json.dumps({"code": -1003, "msg": f"Way too many requests; IP banned until {NOW_MS + 120_000}."}).encode()
    error = error_of("binance-usdm", "GET /fapi/v3/account", 418, body, "", NOW_MS)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 120


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"code":200,"msg":"done"}', b'{"tranId":1}', b'["code"]', b'{"code":"x"}']
)
def test_what_is_no_error_of_the_venue_is_left_to_the_status(body: bytes) -> None:
    assert error_of("binance-usdm", "GET /x", 200, body, "", NOW_MS) is None
