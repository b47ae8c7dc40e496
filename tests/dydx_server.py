"""A loopback dYdX indexer as documented: REST for one address, and a WebSocket that numbers its messages.

Equity and free collateral of each subaccount are counted from what it holds at the oracle prices of now, as the
indexer does. Whoever connects is greeted, whoever subscribes gets a snapshot, and frames are numbered per connection.
"""

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from websockets.asyncio.server import ServerConnection

from tests.signed_server import Asked, Reply, SignedServer, say

ADDRESS = "dydx14zzueazeh0hj67cghhf9jypslcf9sh2n5k6art"
"""The address of the documentation's examples."""
D = Decimal


@dataclass
class Child:
    """One subaccount: its USDC, and positions by market (signed size, entry price)."""

    number: int
    quote: Decimal
    held: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)


class DydxServer(SignedServer):
    """The indexer; a test owns the state and may change it while clients are connected."""

    def __init__(self) -> None:
        super().__init__(self._answer_http, self._hear_ws)
        self.children: list[Child] = []
        self.markets: dict[str, dict[str, Any]] = {}
        self.books: dict[str, dict[str, Any]] = {}
        self._numbers: dict[ServerConnection, int] = {}
        self._subscribed: dict[ServerConnection, set[str]] = {}

    @property
    def is_followed(self) -> bool:
        """Return whether a client that is connected follows the markets and its subaccounts."""
        both = {"v4_markets", "v4_parent_subaccounts"}
        return any(both <= self._subscribed.get(socket, set()) for socket in self._sockets)

    def put_market(self, ticker: str, price: str, maintenance: str = "0.05", **fields: Any) -> None:
        """List a market, or give it other rules."""
        self.markets[ticker] = {
            "clobPairId": "0",
            "ticker": ticker,
            "status": "ACTIVE",
            "oraclePrice": price,
            "nextFundingRate": "0.000125",
            "initialMarginFraction": "0.1",
            "maintenanceMarginFraction": maintenance,
            "marketType": "CROSS",
        } | fields

    async def move(self, ticker: str, price: str) -> None:
        """Let the oracle print a price, and say so."""
        self.markets[ticker]["oraclePrice"] = price
        told = {"oraclePrices": {ticker: {"oraclePrice": price, "effectiveAt": "2026-11-27T20:00:00.000Z"}}}
        await self.tell("v4_markets", told)

    async def hold(self, number: int, ticker: str, size: str, entry: str) -> None:
        """Change a position, and say so as the indexer does: rows that changed, without equity."""
        child = next(one for one in self.children if one.number == number)
        child.held[ticker] = D(size), D(entry)
        rows = [{"market": ticker, "size": size, "subaccountNumber": number}]
        await self.tell("v4_parent_subaccounts", {"perpetualPositions": rows})

    async def tell(self, channel: str, contents: object) -> None:
        """Send an update to everyone who subscribed to a channel."""
        for socket, channels in list(self._subscribed.items()):
            if channel in channels:
                await self._number(socket, {"type": "channel_data", "channel": channel, "contents": contents})

    async def _number(self, socket: ServerConnection, frame: dict[str, Any]) -> None:
        number = self._numbers[socket] = self._numbers.get(socket, -1) + 1
        await say(socket, json.dumps(frame | {"connection_id": "c", "message_id": number}))

    def _answer_http(self, asked: Asked) -> Reply:
        match asked.path.strip("/").split("/"):
            case ["addresses", address, "parentSubaccountNumber", number]:
                children = [one for one in self.children if one.number % 128 == int(number)]
                if address != ADDRESS or not children:
                    return Reply(404, {"errors": [{"msg": f"No subaccounts found for address {address}"}]})
                return Reply(200, {"subaccount": self._parent(int(number), children)})
            case ["perpetualMarkets"]:
                return Reply(200, {"markets": self.markets})
            case ["orderbooks", "perpetualMarket", ticker] if ticker in self.books:
                return Reply(200, self.books[ticker])
            case _:
                return Reply(404, {"errors": [{"msg": "not found"}]})

    def _parent(self, number: int, children: list[Child]) -> dict[str, Any]:
        rows = [self._child(one) for one in children]
        return {
            "address": ADDRESS,
            "parentSubaccountNumber": number,
            "equity": f"{sum(D(row['equity']) for row in rows):f}",
            "freeCollateral": f"{sum(D(row['freeCollateral']) for row in rows):f}",
            "childSubaccounts": rows,
        }

    def _child(self, child: Child) -> dict[str, Any]:
        prices = {ticker: D(self.markets[ticker]["oraclePrice"]) for ticker in child.held}
        initial = {ticker: D(self.markets[ticker]["initialMarginFraction"]) for ticker in child.held}
        equity = child.quote + sum((size * prices[ticker] for ticker, (size, _) in child.held.items()), D(0))
        used = sum((abs(size) * prices[each] * initial[each] for each, (size, _) in child.held.items()), D(0))
        side = "SHORT" if child.quote < 0 else "LONG"
        return {
            "address": ADDRESS,
            "subaccountNumber": child.number,
            "equity": f"{equity:f}",
            "freeCollateral": f"{equity - used:f}",
            "openPerpetualPositions": {each: self._position(child, each) for each in child.held},
            "assetPositions": {
                "USDC": {"size": f"{abs(child.quote):f}", "symbol": "USDC", "side": side, "assetId": "0"}
            },
            "marginEnabled": True,
            "updatedAtHeight": "44140908",
        }

    def _position(self, child: Child, ticker: str) -> dict[str, Any]:
        size, entry = child.held[ticker]
        return {
            "market": ticker,
            "status": "OPEN",
            "side": "SHORT" if size < 0 else "LONG",
            "size": f"{size:f}",
            "maxSize": f"{size:f}",
            "entryPrice": f"{entry:f}",
            "exitPrice": None,
            "netFunding": "-12.5",
            "closedAt": None,
            "subaccountNumber": child.number,
        }

    async def _hear_ws(self, server: SignedServer, socket: ServerConnection, text: str) -> None:
        asked = json.loads(text)
        if socket not in self._numbers:
            await self._number(socket, {"type": "connected"})
        channel, about = asked["channel"], asked.get("id")
        if asked["type"] != "subscribe" or channel not in ("v4_markets", "v4_parent_subaccounts"):
            await self._number(socket, {"type": "error", "message": f"Invalid channel: {channel}"})
            return
        if channel == "v4_parent_subaccounts":
            address, _, number = str(about).partition("/")
            if address != ADDRESS or not number.isdigit():
                await self._number(socket, {"type": "error", "message": f"Invalid subscription id: {about}"})
                return
            contents: object = {"subaccount": self._parent(int(number), self.children), "orders": []}
        else:
            contents = {"markets": self.markets}
        self._subscribed.setdefault(socket, set()).add(channel)
        await self._number(socket, {"type": "subscribed", "channel": channel, "id": about, "contents": contents})
