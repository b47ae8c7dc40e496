"""ccxt under the conformance suite: Binance as ccxt reads it, a cross long and an isolated short."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

from engine.rescue import Means
from tests.account_kit import ANY, NAME, Rescue, Sent, Venue
from tests.binance_server import KEY, SECRET
from tests.ccxt_server import CcxtBinance, two_lots
from tests.signed_server import SignedServer

_ETH = "ETH/USDT:USDT"


@dataclass
class Served:
    """The venue and its port; ccxt only polls."""

    venue: CcxtBinance
    ports: SignedServer

    @property
    def url_rest(self) -> str:
        return self.ports.url_rest

    url_ws = ""


@asynccontextmanager
async def _serve() -> AsyncIterator[Served]:
    venue = two_lots()
    async with venue.server() as ports:
        yield Served(venue, ports)


async def _set_long(server: Served, quantity: str) -> None:
    server.venue.lot("BTCUSDT").amount = Decimal(quantity)


def _revoke(server: Served) -> None:
    server.venue.is_revoked = True


def _forbid(server: Served) -> None:
    server.venue.rights["enableFutures"] = False


VENUES = (
    Venue(
        provider="ccxt:binanceusdm",
        serve=_serve,
        holds={f"{NAME}:USDT": [("BTC/USDT:USDT", "0.5")], f"{NAME}:ETH/USDT": [(_ETH, "-3")]},
        long=(f"{NAME}:USDT", "BTC/USDT:USDT"),
        set_long=_set_long,
        secrets={"key": KEY, "secret": SECRET},
        revoke=_revoke,
        forbid=_forbid,
        rescue=Rescue(
            account=f"{NAME}:ETH/USDT",
            means=Means.ADD_MARGIN,
            asset="USDT",
            amount="100",
            source="free balance",
            target="20",
            figure=lambda server: server.venue.lot("ETHUSDT").isolated,
            sent=(
                Sent(
                    method="POST",
                    path="/fapi/v1/positionMargin",
                    fields={
                        "symbol": "ETHUSDT",
                        "amount": "100",
                        "type": "1",
                        "timestamp": ANY,
                        "recvWindow": ANY,
                        "signature": ANY,
                    },
                ),
            ),
            is_money=lambda passed: passed.path == "/fapi/v1/positionMargin" and passed.method == "POST",
        ),
        words=frozenset({"updateTime"}),
        harmless={"baseAsset": "ccxt then calls the contract by its number, BTCUSDT"},
        exempt={"clock": "ccxt puts the times, which differ from exchange to exchange"},
    ),
)
