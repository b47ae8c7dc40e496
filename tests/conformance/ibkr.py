"""Interactive Brokers under the conformance suite: shares in two currencies, a short, a future, a line without one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

from providers.ibkr import parse_accounts, parse_positions, parse_rates, parse_summary
from tests.account_kit import NAME, Payload, Venue
from tests.ibkr_server import ACCOUNT, IbkrServer
from tests.signed_server import Asked

D = Decimal


def _fill(server: IbkrServer) -> IbkrServer:
    server.held = {
        "SPY": (D("100.5"), D("580.5"), "USD", "STK"),
        "ASML": (D("20.5"), D("1000.5"), "EUR", "STK"),
        "TSLA": (D("-10.5"), D("300.5"), "USD", "STK"),
        "ES DEC26": (D(1), D("300000.5"), "USD", "FUT"),
        "QQQ": (D(0), D("500.5"), "USD", "STK"),
    }
    server.share = D("0.05")
    return server


@asynccontextmanager
async def _serve() -> AsyncIterator[IbkrServer]:
    async with _fill(IbkrServer()) as server:
        yield server


async def _set_long(server: IbkrServer, quantity: str) -> None:
    server.held["SPY"] = (D(quantity), *server.held["SPY"][1:])


def _documented(path: str) -> bytes:
    server = _fill(IbkrServer())
    server._answer_http(Asked("GET", "/portfolio/accounts", "", {}, ""))
    return server._answer_http(Asked("GET", path, "", {}, "")).body


VENUES = (
    Venue(
        provider="ibkr",
        serve=_serve,
        holds={NAME: [("SPY", "100.5"), ("ASML", "20.5"), ("TSLA", "-10.5"), ("ES DEC26", "1")]},
        long=(NAME, "SPY"),
        set_long=_set_long,
        words=frozenset({"id", "accountId", "acctId", "conid", "timestamp"}),
        open_maps=frozenset({""}),
        harmless={"contractDesc": "a name to read: without it the contract's number stands there"},
        payloads=(
            Payload(label="accounts", parse=parse_accounts, raw=_documented("/portfolio/accounts")),
            Payload(label="summary", parse=parse_summary, raw=_documented(f"/portfolio/{ACCOUNT}/summary")),
            Payload(label="positions", parse=parse_positions, raw=_documented(f"/portfolio2/{ACCOUNT}/positions")),
            Payload(label="ledger", parse=parse_rates, raw=_documented(f"/portfolio/{ACCOUNT}/ledger")),
        ),
    ),
)
