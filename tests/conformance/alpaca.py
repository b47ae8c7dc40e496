"""Alpaca under the conformance suite: a long and a short at rates of their own, on borrowed cash."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path

from providers.alpaca import parse_account, parse_clock, parse_positions, parse_rate
from tests.account_kit import NAME, Payload, Venue
from tests.alpaca_server import KEY, SECRET, AlpacaServer
from tests.signed_server import Asked

D = Decimal
_FIXTURES = Path(__file__).parents[1] / "fixtures/alpaca"


def _fill(server: AlpacaServer) -> AlpacaServer:
    server.held = {"SPY": (D("200.5"), D("634.8038")), "TSLA": (D("-10.5"), D("300.5"))}
    server.rates = {"SPY": D("30.5"), "TSLA": D("40.5")}
    return server


@asynccontextmanager
async def _serve() -> AsyncIterator[AlpacaServer]:
    async with _fill(AlpacaServer()) as server:
        yield server


async def _set_long(server: AlpacaServer, quantity: str) -> None:
    server.held["SPY"] = D(quantity), server.held["SPY"][1]


def _revoke(server: AlpacaServer) -> None:
    server.is_revoked = True


def _documented(path: str) -> bytes:
    keys = {"apca-api-key-id": KEY, "apca-api-secret-key": SECRET}
    return _fill(AlpacaServer())._answer_http(Asked("GET", path, "", keys, "")).body


VENUES = (
    Venue(
        provider="alpaca",
        serve=_serve,
        holds={NAME: [("SPY", "200.5"), ("TSLA", "-10.5")]},
        long=(NAME, "SPY"),
        set_long=_set_long,
        secrets={"key": KEY, "secret": SECRET},
        revoke=_revoke,
        words=frozenset({"multiplier", "id", "asset_id", "timestamp", "next_open", "next_close"}),
        harmless={
            "equity": "told beside ours; cash and positions make it up",
            "initial_margin": "what opening more would need",
        },
        exempt={"clock": "key and secret go in headers; no request carries a time"},
        payloads=(
            Payload(label="account", parse=parse_account, raw=(_FIXTURES / "account.json").read_bytes()),
            Payload(label="positions", parse=parse_positions, raw=_documented("/v2/positions")),
            Payload(label="asset", parse=partial(parse_rate, is_long=True), raw=_documented("/v2/assets/SPY")),
            Payload(label="clock", parse=parse_clock, raw=_documented("/v2/clock")),
        ),
    ),
)
