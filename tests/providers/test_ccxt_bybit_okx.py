"""ccxt, run offline as an oracle: its requests to Bybit and OKX and ours agree in all that the venues document.

ccxt adds a `Referer` (Bybit) and a broker tag of its own to orders; neither is required.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from providers.bybit_account import signing as bybit
from providers.credentials import Credentials
from providers.http import Call
from providers.okx_account import signing as okx

NOW_MS = 1_700_000_000_000
KEYS = Credentials("x", lambda: "test_api_key", lambda: "test_secret", lambda: "test_pass")
ORDER = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "side": "Sell",
    "orderType": "Limit",
    "qty": "0.124",
    "price": "59700",
    "timeInForce": "IOC",
    "positionIdx": 0,
    "reduceOnly": True,
    "orderLinkId": "ml-1",
}
BYBIT: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "v5/account/wallet-balance", {"accountType": "UNIFIED"}),
    ("GET", "v5/position/list", {"category": "linear", "settleCoin": "USDT", "limit": "200"}),
    ("GET", "v5/position/list", {"category": "inverse", "limit": "200", "cursor": "a%3A1,b"}),
    ("GET", "v5/account/fee-rate", {"category": "linear", "symbol": "BTCUSDT"}),
    ("GET", "v5/user/query-api", {}),
    ("GET", "v5/asset/transfer/query-inter-transfer-list", {"transferId": "42c0cfb0-6bca-c242-bc76-4e6df6cbcb16"}),
    ("POST", "v5/position/add-margin", {"category": "linear", "symbol": "BTCUSDT", "margin": "10", "positionIdx": 0}),
    (
        "POST",
        "v5/asset/transfer/inter-transfer",
        {
            "transferId": "42c0cfb0-6bca-c242-bc76-4e6df6cbcb16",
            "coin": "USDT",
            "amount": "10",
            "fromAccountType": "FUND",
            "toAccountType": "UNIFIED",
        },
    ),
    ("POST", "v5/order/create", ORDER),
]
OKX: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "account/balance", {}),
    ("GET", "account/positions", {"instId": "BTC-USDT-SWAP"}),
    ("GET", "account/trade-fee", {"instType": "SWAP", "instFamily": "BTC-USDT"}),
    ("GET", "asset/balances", {"ccy": "USDT,BTC"}),
    ("GET", "asset/transfer-state", {"clientId": "ml0", "type": "0"}),
    ("POST", "account/position/margin-balance", {"instId": "X", "posSide": "net", "type": "add", "amt": "10"}),
    ("POST", "asset/transfer", {"ccy": "USDT", "amt": "10", "from": "6", "to": "18", "type": "0", "clientId": "ml0"}),
    ("POST", "trade/order", {"instId": "X", "tdMode": "cross", "side": "sell", "sz": "1", "reduceOnly": True}),
]


def standing_still(name: str) -> Any:
    """Return ccxt's exchange with a clock that stands still."""
    import ccxt

    made: Any = type(name, (getattr(ccxt, name),), {"milliseconds": lambda _: NOW_MS, "nonce": lambda _: NOW_MS})
    return made(
        {"apiKey": "test_api_key", "secret": "test_secret", "password": "test_pass", "options": {"recvWindow": 5000}}
    )


def same(call: Call, theirs: Mapping[str, Any], ignored: frozenset[str]) -> None:
    parts = urlsplit(theirs["url"])
    assert (call.path, call.query) == (parts.path, parts.query)
    wanted = {name: str(value) for name, value in theirs["headers"].items() if name not in ignored}
    assert {name: call.headers.get(name) for name in wanted} == wanted
    body = None if call.content is None else json.loads(call.content)
    assert body == (json.loads(theirs["body"]) if theirs["body"] else None)


@pytest.mark.parametrize(("method", "path", "fields"), BYBIT, ids=lambda each: each if isinstance(each, str) else "")
def test_bybit_requests_are_those_of_ccxt(method: str, path: str, fields: dict[str, Any]) -> None:
    theirs = standing_still("bybit").sign(path, ["private"], method, dict(fields))
    query = bybit.query_of(fields) if method == "GET" else ""
    content = theirs["body"].encode() if method == "POST" else None
    same(bybit.sign(KEYS, NOW_MS, method, f"/{path}", query, content), theirs, frozenset({"Referer"}))


@pytest.mark.parametrize(("method", "path", "fields"), OKX, ids=lambda each: each if isinstance(each, str) else "")
@pytest.mark.parametrize("is_demo", [False, True])
def test_okx_requests_are_those_of_ccxt(method: str, path: str, fields: dict[str, Any], is_demo: bool) -> None:
    exchange = standing_still("okx")
    if is_demo:
        exchange.set_sandbox_mode(True)
    theirs = exchange.sign(path, ["private"], method, dict(fields))
    query = urlencode(fields) if method == "GET" else ""
    content = theirs["body"].encode() if method == "POST" else None
    call = okx.signer(is_demo=is_demo)(KEYS, NOW_MS, method, f"/api/v5/{path}", query, content)
    same(call, theirs, frozenset())
    if is_demo:
        assert exchange.headers["x-simulated-trading"] == call.headers["x-simulated-trading"]
