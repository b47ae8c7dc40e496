"""Kraken Futures under the conformance suite: a cross long and short in the flex wallet, or an inverse position."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.rescue import Means
from providers.kraken_futures.frames import parse_held, parse_tick, parse_wallets
from providers.kraken_futures.markets import parse_instruments, parse_tickers
from providers.kraken_futures.wire import parse_accounts, parse_positions
from tests.account_kit import ANY, NAME, Payload, Rescue, Sent, Venue
from tests.between import Answer
from tests.kraken_futures_server import KEY, SECRET, KrakenFuturesServer, dumps, flex, instrument, ticker

D = Decimal
_LEVELS = (("0", "0.01"), ("500000", "0.02"))
_FIXTURES = Path(__file__).parents[1] / "fixtures/kraken_futures"


def _documented(name: str) -> bytes:
    import json

    return dumps(json.loads((_FIXTURES / "documented.json").read_text(), parse_float=Decimal)[name]).encode()


def _row(symbol: str, side: str, size: str, price: str, **fields: Any) -> dict[str, Any]:
    return {"symbol": symbol, "side": side, "size": D(size), "price": D(price)} | fields


@asynccontextmanager
async def _serve() -> AsyncIterator[KrakenFuturesServer]:
    async with KrakenFuturesServer() as server:
        for symbol, mark in (("PF_XBTUSD", "61000.5"), ("PF_ETHUSD", "2990.5"), ("PI_XBTUSD", "61010.5")):
            server.instruments[symbol] = instrument(symbol, *_LEVELS)
            server.tickers[symbol] = ticker(symbol, mark, fundingRate=D("0.5"), fundingRatePrediction=D("0.25"))
        server.instruments["PF_SOLUSD"] = instrument("PF_SOLUSD", *_LEVELS)
        server.tickers["PF_SOLUSD"] = ticker("PF_SOLUSD", "150.5")
        server.positions = [
            _row("pf_xbtusd", "long", "0.5", "60000.5"),
            _row("PF_ETHUSD", "short", "2.5", "3000.5"),
            _row("PF_SOLUSD", "long", "0", "140.5"),
        ]
        coins = {
            "usd": {"quantity": D("5000.5"), "value": D("5000.5"), "collateral": D("5000.5")},
            "xbt": {"quantity": D("0.05"), "value": D("3050.025"), "collateral": D("2897.52375")},
        }
        server.accounts["flex"] = flex(
            D("8423.02375"),
            currencies=coins,
            pnl=D("525"),
            portfolioValue=D("8575.525"),
            maintenanceMargin=D("375.015"),
            initialMargin=D("750.03"),
            initialMarginWithOrders=D("800.03"),
        )
        server.accounts["cash"]["balances"] = {"usd": D("2500.5"), "xbt": D("0.25")}
        server.books["PF_XBTUSD"] = {
            "bids": [[D("61000"), D("1.5")], [D("60999"), D("2.5")]],
            "asks": [[D("61001"), D("0.5")], [D("61002.5"), D("3.5")]],
        }
        yield server


async def _set_long(server: KrakenFuturesServer, quantity: str) -> None:
    server.positions[0]["size"] = D(quantity)
    wallet = server.accounts["flex"]
    wallet["maintenanceMargin"] = D(quantity) * D("60000.5") * D("0.01") + D("75.0125")
    await server.push_positions()


def _revoke(server: KrakenFuturesServer) -> None:
    server.is_revoked = True


def _forbid(server: KrakenFuturesServer) -> None:
    server.may_write = False


def _inverse(server: KrakenFuturesServer) -> Mapping[str, list[tuple[str, str]]]:
    server.positions = [_row("pi_xbtusd", "short", "30000", "60000")]
    server.accounts["fi_xbtusd"] = {
        "type": "marginAccount",
        "currency": "xbt",
        "balances": {"xbt": D("0.2")},
        "auxiliary": {"pv": D("0.19"), "pnl": D("-0.00828"), "funding": D("0.0001")},
        "marginRequirements": {"im": D("0.00983"), "mm": D("0.00492"), "lt": D("0.00492"), "tt": D("0.0025")},
        "triggerEstimates": {"im": D("95000"), "mm": D("96000"), "lt": D("0"), "tt": D("99000")},
    }
    return {f"{NAME}:FI_XBTUSD": [("PI_XBTUSD", "-0.5")]}


_WALLETS = {
    "feed": "balances",
    "holding": {"USD": D("5000.5")},
    "flex_futures": {
        "currencies": {"USDT": {"quantity": D("10.5"), "value": D("10.5"), "collateral_value": D("9.5")}},
        "margin_equity": D("9963.66"),
        "pnl": D("1.5"),
        "maintenance_margin": D("10.5"),
    },
    "timestamp": 1640995200000,
}
_TICK = {"feed": "ticker", "product_id": "PF_XBTUSD", "markPrice": D("61000.5"), "index": D("61000.5"), "time": 7}
_ACCOUNTS = {"accounts": {"cash": {"type": "cashAccount", "balances": {"xbt": D("0.5")}}, "flex": flex(D("10.5"))}}

VENUES = (
    Venue(
        provider="kraken-futures",
        serve=_serve,
        holds={NAME: [("PF_XBTUSD", "0.5"), ("PF_ETHUSD", "-2.5")]},
        long=(NAME, "PF_XBTUSD"),
        set_long=_set_long,
        is_following=lambda server: server.is_subscribed(),
        secrets={"key": KEY, "secret": SECRET},
        situations={"inverse contracts": _inverse},
        revoke=_revoke,
        forbid=_forbid,
        limits=(Answer(200, b'{"result":"error","error":"apiLimitExceeded"}'),),
        words=frozenset({"serverTime"}),
        open_maps=frozenset({"accounts", "balances", "currencies", "holding", "futures", "isolated"}),
        exempt={"clock": "a signature carries a nonce and no time"},
        payloads=(
            Payload(label="openpositions", parse=parse_positions, raw=_documented("openpositions")),
            Payload(label="open_positions", parse=parse_held, raw=_documented("ws_open_positions")),
            Payload(label="balances", parse=parse_wallets, raw=dumps(_WALLETS).encode()),
            Payload(label="ticker", parse=parse_tick, raw=dumps(_TICK).encode()),
            Payload(label="accounts", parse=parse_accounts, raw=dumps(_ACCOUNTS).encode()),
            Payload(
                label="instruments",
                parse=parse_instruments,
                raw=dumps({"instruments": [instrument("PF_XBTUSD", *_LEVELS)]}).encode(),
            ),
            Payload(
                label="tickers",
                parse=parse_tickers,
                raw=dumps({"tickers": [ticker("PF_XBTUSD", "61000.5", fundingRate=D("0.5"))]}).encode(),
            ),
        ),
        rescue=Rescue(
            account=NAME,
            means=Means.ADD_MARGIN,
            asset="USD",
            amount="125.5",
            source="futures cash wallet",
            target="25",
            figure=lambda server: D(str(server.accounts["flex"]["marginEquity"])),
            is_money=lambda passed: passed.path == "/derivatives/api/v3/transfer",
            sent=(
                Sent(
                    method="POST",
                    path="/derivatives/api/v3/transfer",
                    fields={"fromAccount": "cash", "toAccount": "flex", "unit": "usd", "amount": "125.5"},
                ),
            ),
        ),
        also=(
            Rescue(
                account=NAME,
                means=Means.REDUCE,
                asset="ETH",
                amount="0.5",
                source="",
                target="25",
                figure=lambda server: D("2.5") - D(str(server.positions[1]["size"])),
                is_money=lambda passed: passed.path == "/derivatives/api/v3/sendorder",
                sent=(
                    Sent(
                        method="POST",
                        path="/derivatives/api/v3/sendorder",
                        fields={
                            "orderType": "ioc",
                            "symbol": "PF_ETHUSD",
                            "side": "buy",
                            "size": "0.5",
                            "limitPrice": "3005",
                            "reduceOnly": "true",
                            "cliOrdId": ANY,
                        },
                    ),
                ),
            ),
        ),
    ),
)
