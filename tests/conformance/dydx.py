"""dYdX under the conformance suite: a cross long and short, and an isolated child with a debt in USDC."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any

from providers.dydx_wire import parse_frame, parse_markets, parse_subaccounts
from tests.account_kit import NAME, Payload, Venue
from tests.dydx_server import ADDRESS, Child, DydxServer

D = Decimal


def _fill(server: DydxServer) -> DydxServer:
    for ticker, price, maintenance in (
        ("BTC-USD", "61000.5", "0.012"),
        ("ETH-USD", "2990.5", "0.02"),
        ("SOL-USD", "150.25", "0.03"),
        ("DOGE-USD", "0.15", "0.05"),
    ):
        server.put_market(ticker, price, maintenance)
    server.children = [
        Child(0, D("5000.5"), {"BTC-USD": (D("0.5"), D("60000.5")), "ETH-USD": (D("-2.5"), D("3000.5"))}),
        Child(128, D("-1000.5"), {"SOL-USD": (D("10.5"), D("140.5"))}),
        Child(256, D("0.25")),
    ]
    rows = {"bids": ("61000", "60999"), "asks": ("61001", "61002")}
    server.books["BTC-USD"] = {
        side: [{"price": price, "size": "1.5"} for price in prices] for side, prices in rows.items()
    }
    return server


@asynccontextmanager
async def _serve() -> AsyncIterator[DydxServer]:
    async with _fill(DydxServer()) as server:
        yield server


async def _set_long(server: DydxServer, quantity: str) -> None:
    await server.hold(0, "BTC-USD", quantity, "60000.5")


def _documented() -> dict[str, bytes]:
    from tests.signed_server import Asked

    server = _fill(DydxServer())
    paths = {"subaccounts": f"/addresses/{ADDRESS}/parentSubaccountNumber/0", "markets": "/perpetualMarkets"}
    return {name: server._answer_http(Asked("GET", path, "", {}, "")).body for name, path in paths.items()}


def _frame(channel: str, contents: Any) -> bytes:
    return json.dumps({"type": "channel_data", "channel": channel, "message_id": 4, "contents": contents}).encode()


_REPLIES = _documented()
_GONE = "a row that is gone is told by the equity that the indexer reports: test_dydx.py"
_PRICES = {"oraclePrices": {"BTC-USD": {"oraclePrice": "61000.5", "effectiveAt": "2026-11-27T20:00:00.000Z"}}}
_parse_frame = partial(parse_frame, wanted=frozenset({"BTC-USD"}))

VENUES = (
    Venue(
        provider="dydx",
        serve=_serve,
        holds={NAME: [("BTC-USD", "0.5"), ("ETH-USD", "-2.5")], f"{NAME}:SOL": [("SOL-USD", "10.5")]},
        long=(NAME, "BTC-USD"),
        set_long=_set_long,
        is_following=lambda server: server.is_followed,
        settings={"address": ADDRESS},
        words=frozenset({"clobPairId", "assetId", "updatedAtHeight", "effectiveAt"}),
        open_maps=frozenset({"markets", "openPerpetualPositions", "assetPositions", "oraclePrices"}),
        harmless=dict.fromkeys(("BTC-USD", "ETH-USD", "SOL-USD", "USDC"), _GONE),
        payloads=(
            Payload(label="subaccounts", parse=parse_subaccounts, raw=_REPLIES["subaccounts"]),
            Payload(label="markets", parse=parse_markets, raw=_REPLIES["markets"]),
            Payload(label="oracle prices", parse=_parse_frame, raw=_frame("v4_markets", _PRICES)),
            Payload(label="change", parse=_parse_frame, raw=_frame("v4_parent_subaccounts", {"fills": []})),
        ),
    ),
)
