"""Binance USD-M futures under the conformance suite: a cross long, an isolated short, both sides of a hedge."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from engine.rescue import Means
from providers.binance_futures.pm_wire import (
    parse_coins,
    parse_collateral_rates,
    parse_index_prices,
    parse_inverse,
    parse_inverse_brackets,
    parse_unified,
)
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
from tests.binance_pm_server import BinancePm, InverseLot
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


@asynccontextmanager
async def _serve_pm() -> AsyncIterator[Served]:
    venue = BinancePm(
        lots=[
            Lot("BTCUSDT", Decimal("0.5"), Decimal("64000.5"), Decimal("65000.5")),
            Lot("ETHUSDT", Decimal("-3"), Decimal("3000.5"), Decimal("3100.5")),
            Lot("BTCUSDC", Decimal("0"), Decimal("0"), Decimal("65010.5")),
        ],
        coins={
            "USDT": (Decimal("3000.5"), Decimal("1000.5"), Decimal(0)),
            "BTC": (Decimal("0.05"), Decimal(0), Decimal(0)),
        },
    )
    async with venue.server() as ports:
        yield Served(venue, ports)


async def _set_pm_long(server: Served, quantity: str) -> None:
    pm = server.venue
    assert isinstance(pm, BinancePm)
    pm.lot("BTCUSDT").amount = Decimal(quantity)
    pm.coins["USDT"] = (Decimal(50_000), Decimal(0), Decimal(0))
    stamp = pm.now_ms
    await server.ports.push({"e": "ACCOUNT_UPDATE", "fs": "UM", "E": stamp, "T": stamp, "a": {}}, to="/pm/ws")


def _pm_inverse(server: Served) -> Holds:
    pm = server.venue
    assert isinstance(pm, BinancePm)
    pm.lots = pm.lots[:1]
    pm.inverse = [InverseLot("BTCUSD_PERP", -300, Decimal(60000), Decimal(65000))]
    # 300 contracts of 100 USD: a face of 30,000 USD is half a coin at the entry price.
    return {NAME: [("BTCUSDT", "0.5"), ("BTCUSD_PERP", "-0.5")]}


def _forbid_transfer(server: Served) -> None:
    server.venue.rights["permitsUniversalTransfer"] = False


def _pm_cash(server: Served) -> Decimal:
    assert isinstance(server.venue, BinancePm)
    return server.venue.coins["USDT"][0]


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
    Venue(
        provider="binance-pm",
        serve=_serve_pm,
        holds={NAME: [("BTCUSDT", "0.5"), ("ETHUSDT", "-3")]},
        long=(NAME, "BTCUSDT"),
        set_long=_set_pm_long,
        is_following=lambda server: (
            any(path.startswith("/pm/ws/") for path in server.ports.paths)
            and any(path.startswith("/market") for path in server.ports.paths)
        ),
        situations={"hedge mode": _hedge, "inverse contracts": _pm_inverse},
        secrets={"key": KEY, "secret": SECRET},
        revoke=_revoke,
        forbid=_forbid_transfer,
        set_clock=_set_clock,
        limits=(Answer(418, json.dumps(_BAN).encode()),),
        payloads=(
            Payload(
                label="account",
                parse=parse_unified,
                raw=b'{"uniMMR":"5167.92171923","accountEquity":"73.47428058","actualEquity":"122607.35137903",'
                b'"accountInitialMargin":"23.72469206","accountMaintMargin":"23.72469206","accountStatus":"NORMAL",'
                b'"virtualMaxWithdrawAmount":"1627523.32459208","updateTime":1657707212154}',
            ),
            Payload(
                label="balance",
                parse=parse_coins,
                raw=b'[{"asset":"USDT","totalWalletBalance":"122607.35137903","crossMarginAsset":"92.27530794",'
                b'"crossMarginBorrowed":"10.00000000","crossMarginInterest":"0.72469206","umWalletBalance":"0.5",'
                b'"cmWalletBalance":"23.72469206","updateTime":1617939110373}]',
            ),
            Payload(
                label="inverse positions",
                parse=parse_inverse,
                raw=json.dumps(_CASES[3]["httpResponse"]).encode(),
            ),
            Payload(
                label="inverse brackets",
                parse=parse_inverse_brackets,
                raw=b'[{"symbol":"BTCUSD_PERP","brackets":[{"bracket":1,"initialLeverage":125,"qtyCap":50,'
                b'"qtyFloor":0,"maintMarginRatio":0.004,"cum":0.0}]}]',
            ),
            Payload(
                label="index prices", parse=parse_index_prices, raw=b'[{"asset":"BTC","assetIndexPrice":"28251.9136"}]'
            ),
            Payload(
                label="collateral rates",
                parse=parse_collateral_rates,
                raw=b'[{"asset":"USDC","collateralRate":"1.0000"},{"asset":"BUSD","collateralRate":"0.9500"}]',
            ),
        ),
        rescue=Rescue(
            account=NAME,
            means=Means.ADD_MARGIN,
            asset="USDT",
            amount="125.5",
            source="spot wallet",
            target="48",
            figure=_pm_cash,
            is_money=lambda passed: passed.method == "POST" and "listenKey" not in passed.path,
            sent=(
                Sent(
                    method="POST",
                    path="/sapi/v1/asset/transfer",
                    fields={
                        "type": "MAIN_PORTFOLIO_MARGIN",
                        "asset": "USDT",
                        "amount": "125.5",
                        "recvWindow": "5000",
                        "timestamp": ANY,
                        "signature": ANY,
                    },
                ),
            ),
        ),
    ),
)
