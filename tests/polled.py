"""Loopback brokers and dYdX's indexer: they take no order from us, so a reply and the check of a key is all they are.

    async with alpaca() as venue: ...AccountOptions(rest_url=venue.url_rest)

Shapes are those of the venues' documentation; figures of the standard account agree with each other.
"""

import json
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection

from tests.signed_server import Asked, Reply, SignedServer, say

ALPACA_KEY, ALPACA_SECRET = "PKALPACAKEY00001", "alpaca-secret-00001"
DYDX_ADDRESS = "dydx1" + "q" * 38
_ACCOUNT = json.loads((Path(__file__).parent / "fixtures/alpaca/account.json").read_text())
_SPY = {"symbol": "SPY", "qty": "200", "side": "long", "current_price": "634.8038", "avg_entry_price": "500"}
_CLOCK = {"is_open": True, "next_open": "2026-11-30T09:30:00-05:00", "next_close": "2026-11-27T16:00:00-05:00"}


def alpaca() -> SignedServer:
    """Return the broker with one long of 200 SPY: equity 103,820.56 over a requirement of 38,088.23."""
    replies: dict[str, object] = {
        "/v2/account": _ACCOUNT,
        "/v2/positions": [_SPY],
        "/v2/clock": _CLOCK,
        "/v2/assets/SPY": {"margin_requirement_long": "30", "margin_requirement_short": "30"},
    }

    def answer(asked: Asked) -> Reply:
        keys = asked.headers.get("apca-api-key-id"), asked.headers.get("apca-api-secret-key")
        if keys != (ALPACA_KEY, ALPACA_SECRET):
            return Reply(403, {"message": "forbidden."})
        return Reply(200, replies[asked.path]) if asked.path in replies else Reply(404, {"message": "not found"})

    return SignedServer(answer)


def ibkr() -> SignedServer:
    """Return a gateway that is logged in, with one long of 100 SPY: equity 50,000 over a requirement of 20,000."""

    def amount(value: float) -> dict[str, object]:
        return {"amount": value, "currency": "USD", "isNull": False, "timestamp": 1, "value": None, "severity": 0}

    summary = {
        "equitywithloanvalue": 50000,
        "maintmarginreq": 20000,
        "initmarginreq": 25000,
        "excessliquidity": 30000,
        "totalcashvalue": -30000,
        "cushion": 0.6,
        "lookaheadexcessliquidity": 30000,
        "lookaheadnextchange": 1764000000,
    }
    position = {"contractDesc": "SPY", "position": 100, "mktValue": 80000, "mktPrice": 800, "currency": "USD"}
    replies: dict[str, object] = {
        "/tickle": {"session": "x", "iserver": {"authStatus": {"authenticated": True}}},
        "/portfolio/accounts": [{"id": "U1234567", "accountId": "U1234567"}],
        "/portfolio/U1234567/summary": {name: amount(value) for name, value in summary.items()},
        "/portfolio/U1234567/ledger": {"USD": {"exchangerate": 1}, "BASE": {"exchangerate": 1}},
        "/portfolio2/U1234567/positions": [position],
    }
    return SignedServer(lambda asked: Reply(200, replies[asked.path]) if asked.path in replies else Reply(404, {}))


def dydx() -> SignedServer:
    """Return an indexer with one cross account, short 3 ETH, and an isolated child, long 2 ETH."""

    def child(number: int, quote: str, side: str, size: str, equity: str) -> dict[str, Any]:
        position = {"market": "ETH-USD", "status": "OPEN", "size": size, "entryPrice": "3000", "netFunding": "-1.5"}
        return {
            "subaccountNumber": number,
            "equity": equity,
            "freeCollateral": "600",
            "openPerpetualPositions": {"ETH-USD": position | {"side": "SHORT" if size.startswith("-") else "LONG"}},
            "assetPositions": {"USDC": {"size": quote, "symbol": "USDC", "side": side, "assetId": "0"}},
        }

    children = [child(0, "10500", "LONG", "-3", "1500"), child(128, "5000", "SHORT", "2", "1000")]
    market = {"ticker": "ETH-USD", "oraclePrice": "3000", "maintenanceMarginFraction": "0.05"}
    replies: dict[str, object] = {
        f"/addresses/{DYDX_ADDRESS}/parentSubaccountNumber/0": {
            "subaccount": {"parentSubaccountNumber": 0, "childSubaccounts": children}
        },
        "/perpetualMarkets": {"markets": {"ETH-USD": market | {"nextFundingRate": "0.00001"}}},
    }

    async def hear(_: SignedServer, socket: ServerConnection, text: str) -> None:
        asked = json.loads(text)
        kept = {"channel": asked["channel"], "id": asked.get("id"), "connection_id": "x", "message_id": 1}
        await say(socket, json.dumps({"type": "subscribed", "contents": {}} | kept))

    def answer(asked: Asked) -> Reply:
        return Reply(200, replies[asked.path]) if asked.path in replies else Reply(404, {"errors": [{"msg": "no"}]})

    return SignedServer(answer, hear)
