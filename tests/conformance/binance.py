"""Binance USD-M futures under the conformance suite: a cross long, an isolated short, both sides of a hedge."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from engine.rescue import Means
from providers.binance_futures.streams import parse_push
from providers.binance_futures.wire import (
    parse_account,
    parse_asset_indexes,
    parse_brackets,
    parse_isolated,
    parse_positions,
    parse_premiums,
)
from tests.account_kit import ANY, NAME, Holds, Payload, Rescue, Sent, Venue
from tests.between import Answer
from tests.binance_server import KEY, SECRET, Binance, Lot
from tests.signed_server import SignedServer

_FIXTURES = Path(__file__).parents[1] / "fixtures/binance_futures"
_CASES = json.loads((_FIXTURES / "positions.json").read_text())["cases"]


@dataclass
class Served:
    """The venue and its two ports."""

    venue: Binance
    ports: SignedServer

    @property
    def url_rest(self) -> str:
        return self.ports.url_rest

    @property
    def url_ws(self) -> str:
        return self.ports.url_ws


@asynccontextmanager
async def _serve() -> AsyncIterator[Served]:
    venue = Binance(
        lots=[
            Lot("BTCUSDT", Decimal("0.5"), Decimal("64000.5"), Decimal("65000.5"), told_liquidation="54216.4"),
            Lot("ETHUSDT", Decimal("-3"), Decimal("3000.5"), Decimal("3100.5"), isolated=Decimal("700.5")),
            Lot("BTCUSDC", Decimal("0"), Decimal("0"), Decimal("65010.5")),
        ]
    )
    async with venue.server() as ports:
        yield Served(venue, ports)


async def _set_long(server: Served, quantity: str) -> None:
    server.venue.lot("BTCUSDT").amount = Decimal(quantity)
    server.venue.lot("BTCUSDT").told_liquidation = "0"
    # Enough in the wallet that no quantity of the suite is liquidated.
    server.venue.futures["USDT"] = Decimal(50_000)
    stamp = server.venue.now_ms
    update = {"B": [{"a": "USDT", "wb": "50000"}], "P": [{"s": "BTCUSDT", "pa": quantity, "ps": "BOTH"}], "m": "ORDER"}
    await server.ports.push({"e": "ACCOUNT_UPDATE", "E": stamp, "T": stamp, "a": update}, to="/private")


def _hedge(server: Served) -> Holds:
    server.venue.is_hedged = True
    mark = Decimal("65000.5")
    server.venue.lots = [
        Lot("BTCUSDT", Decimal("0.5"), Decimal(64000), mark, side="LONG"),
        Lot("BTCUSDT", Decimal("-0.2"), Decimal(66000), mark, side="SHORT"),
    ]
    return {NAME: [("BTCUSDT", "0.5"), ("BTCUSDT", "-0.2")]}


def _revoke(server: Served) -> None:
    server.venue.is_revoked = True


def _forbid(server: Served) -> None:
    server.venue.rights["enableFutures"] = False


def _set_clock(server: Served, ahead_s: float) -> None:
    server.venue.ahead_ms = round(ahead_s * 1000)


_BAN = {"code": -1003, "msg": "Way too much request weight used; IP banned until 4102444800000."}

VENUES = (
    Venue(
        provider="binance-usdm",
        serve=_serve,
        holds={NAME: [("BTCUSDT", "0.5")], f"{NAME}:ETHUSDT": [("ETHUSDT", "-3")]},
        long=(NAME, "BTCUSDT"),
        set_long=_set_long,
        is_following=lambda server: (
            any(path.startswith("/private") for path in server.ports.paths)
            and any(path.startswith("/market") for path in server.ports.paths)
        ),
        situations={"hedge mode": _hedge},
        secrets={"key": KEY, "secret": SECRET},
        revoke=_revoke,
        forbid=_forbid,
        set_clock=_set_clock,
        limits=(Answer(418, json.dumps(_BAN).encode()),),
        payloads=(
            Payload(label="positions", parse=parse_positions, raw=json.dumps(_CASES[0]["httpResponse"]).encode()),
            Payload(label="account", parse=parse_account, raw=json.dumps(_CASES[2]["httpResponse"]).encode()),
            Payload(label="brackets", parse=parse_brackets, raw=(_FIXTURES / "brackets.json").read_bytes()),
            Payload(
                label="premium",
                parse=parse_premiums,
                raw=b'[{"symbol":"BTCUSDT","markPrice":"11793.63104562","indexPrice":"11781.80495970",'
                b'"lastFundingRate":"0.00038246","nextFundingTime":1597392000000,"time":1597370495002}]',
            ),
            Payload(
                label="asset index",
                parse=parse_asset_indexes,
                raw=b'[{"symbol":"ADAUSD","time":1635740268004,"index":"1.92957370","bidBuffer":"0.10000000",'
                b'"askBuffer":"0.10000000","bidRate":"1.73661633","askRate":"2.12253107"}]',
            ),
            Payload(
                label="margin types",
                parse=parse_isolated,
                raw=b'[{"symbol":"BTCUSDT","marginType":"CROSSED","isAutoAddMargin":false,"leverage":21}]',
            ),
            Payload(
                label="mark push",
                parse=parse_push,
                raw=b'{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000",'
                b'"i":"11784.62659091","r":"0.00038167","T":1562306400000}',
            ),
        ),
        rescue=Rescue(
            account=f"{NAME}:ETHUSDT",
            means=Means.ADD_MARGIN,
            asset="USDT",
            amount="125.5",
            source="futures wallet",
            target="30",
            figure=lambda server: server.venue.lot("ETHUSDT").isolated,
            is_money=lambda passed: passed.method == "POST" and "listenKey" not in passed.path,
            sent=(
                Sent(
                    method="POST",
                    path="/fapi/v1/positionMargin",
                    fields={
                        "symbol": "ETHUSDT",
                        "amount": "125.5",
                        "type": "1",
                        "recvWindow": "5000",
                        "timestamp": ANY,
                        "signature": ANY,
                    },
                ),
            ),
        ),
    ),
)
