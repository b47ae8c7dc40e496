"""Bybit's unified account under the conformance suite: cross margin, a long, a short and an empty row."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

from engine.rescue import Means
from providers.bybit_account.markets import (
    parse_borrow_rates,
    parse_prices,
    parse_pushed_price,
    parse_weights,
)
from providers.bybit_account.wire import parse_key, parse_positions, parse_wallet
from tests.account_kit import ANY, NAME, Holds, Payload, Rescue, Sent, Venue
from tests.between import Answer
from tests.bybit_server import ALL_RIGHTS, KEY, SECRET, Bybit, coin, row
from tests.signed_server import SignedServer


@dataclass
class Served:
    """The venue and its two ports."""

    venue: Bybit
    ports: SignedServer

    @property
    def url_rest(self) -> str:
        return self.ports.url_rest

    @property
    def url_ws(self) -> str:
        return self.ports.url_ws


def _standard() -> Bybit:
    venue = Bybit()
    venue.prices |= {"BTCUSDT": ("65000.5", "65010.5"), "ETHUSDT": ("3100.5", "3101.5"), "SOLUSDT": ("150.5", "150.6")}
    long_mm, short_mm = "178.594", "51.7"
    venue.positions["linear"] = [
        row("BTCUSDT", "Buy", "0.5", "64000.5", "65000.5", positionIM="3251.5", positionMM=long_mm),
        row("ETHUSDT", "Sell", "3", "3000.5", "3100.5", positionIM="931.5", positionMM=short_mm),
        row("SOLUSDT", "", "0", "0", "150.5"),
    ]
    venue.coins = [coin("USDT", "2000.5", equity="2200.5", usdValue="2200.5"), coin("BTC", "0.1", "6501.05")]
    venue.totals = {
        "totalEquity": "8701.55",
        "totalMarginBalance": "8701.55",
        "totalAvailableBalance": "4193.5",
        "totalInitialMargin": "4183",
        "totalMaintenanceMargin": "230.294",
        "accountMMRate": "0.0275",
    }
    venue.funding = {"USDT": Decimal(50_000)}
    return venue


@asynccontextmanager
async def _serve() -> AsyncIterator[Served]:
    venue = _standard()
    async with venue.server as ports:
        yield Served(venue, ports)


async def _set_long(server: Served, quantity: str) -> None:
    server.venue.positions["linear"][0]["size"] = quantity
    data = {"symbol": "BTCUSDT", "side": "Buy", "size": quantity, "entryPrice": "64000.5", "category": "linear"}
    await server.ports.push({"topic": "position", "creationTime": server.venue.now_ms, "data": [data]}, to="/private")


def _hedge(server: Served) -> Holds:
    server.venue.positions["linear"] = [
        row("BTCUSDT", "Buy", "0.5", "64000", "65000", positionIdx=1, positionMM="178.6"),
        row("BTCUSDT", "Sell", "0.2", "66000", "65000", positionIdx=2, positionMM="72.9"),
    ]
    server.venue.totals = {}
    return {NAME: [("BTCUSDT", "0.5"), ("BTCUSDT", "-0.2")]}


def _inverse(server: Served) -> Holds:
    server.venue.positions = {"linear": [], "inverse": [row("BTCUSD", "Sell", "30000", "60000", "60000")]}
    server.venue.totals = {}
    return {NAME: [("BTCUSD", "-0.5")]}


def _revoke(server: Served) -> None:
    server.venue.key = "revoked"


def _forbid(server: Served) -> None:
    server.venue.rights = dict(ALL_RIGHTS) | {"Wallet": []}


def _set_clock(server: Served, ahead_s: float) -> None:
    server.venue.ahead_ms = round(ahead_s * 1000)


def _reply(result: object) -> bytes:
    return json.dumps(
        {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 1672054488010}
    ).encode()


_POSITION = {
    "positionIdx": 0,
    "riskId": 1,
    "riskLimitValue": "150",
    "symbol": "BTCUSD",
    "side": "Sell",
    "size": "300",
    "avgPrice": "27464.50441675",
    "positionValue": "0.01092319",
    "positionStatus": "Normal",
    "adlRankIndicator": 2,
    "leverage": "10",
    "markPrice": "28224.50",
    "liqPrice": "",
    "positionMM": "0.0000015",
    "positionIM": "0.00010923",
}

VENUES = (
    Venue(
        provider="bybit",
        serve=_serve,
        holds={NAME: [("BTCUSDT", "0.5"), ("ETHUSDT", "-3")]},
        long=(NAME, "BTCUSDT"),
        set_long=_set_long,
        is_following=lambda server: (
            any("/private" in path for path in server.ports.paths)
            and any("/public/linear" in path for path in server.ports.paths)
        ),
        situations={"hedge mode": _hedge, "inverse contracts": _inverse},
        secrets={"key": KEY, "secret": SECRET},
        revoke=_revoke,
        forbid=_forbid,
        set_clock=_set_clock,
        limits=(
            Answer(403, b"<html>access too frequent</html>"),
            Answer(200, b'{"retCode":10018,"retMsg":"Exceeded the IP Rate Limit."}'),
        ),
        payloads=(
            Payload(
                label="positions",
                parse=lambda raw: parse_positions(raw, "inverse"),
                raw=_reply({"category": "inverse", "nextPageCursor": "", "list": [_POSITION]}),
            ),
            Payload(
                label="wallet",
                parse=parse_wallet,
                raw=_reply(
                    {"list": [{"accountType": "UNIFIED", "totalEquity": "3.31", "coin": [coin("BTC", "0.1", "6000")]}]}
                ),
            ),
            Payload(
                label="collateral ratios",
                parse=parse_weights,
                raw=_reply(
                    {"list": [{"currency": "BTC", "collateralRatioList": [{"minQty": "0", "collateralRatio": "0.85"}]}]}
                ),
            ),
            Payload(
                label="borrow rates",
                parse=parse_borrow_rates,
                raw=_reply({"list": [{"currency": "BTC", "hourlyBorrowRate": "0.00000147"}]}),
            ),
            Payload(
                label="tickers",
                parse=parse_prices,
                raw=_reply({"list": [{"symbol": "BTCUSDT", "markPrice": "16596.00", "fundingRate": "0.0001"}]}),
            ),
            Payload(
                label="key",
                parse=parse_key,
                raw=_reply({"readOnly": 1, "permissions": {"Wallet": ["AccountTransfer"]}}),
            ),
            Payload(
                label="ticker push",
                parse=lambda raw: parse_pushed_price(raw, {}),
                raw=b'{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","markPrice":"66666.60",'
                b'"indexPrice":"115418.19","fundingIntervalHour":"8","nextFundingTime":"1760342400000",'
                b'"fundingRate":"-0.005"},"cs":9532239429,"ts":1760325052630}',
            ),
        ),
        open_maps=frozenset({"permissions"}),
        harmless=dict.fromkeys(
            (
                *("retExtInfo", "retMsg", "accountType", "apiKey", "uta", "unifiedMarginStatus", "id"),
                *("makerFeeRate", "quoteCoin", "minPrice", "maxPrice", "totalEquity", "totalAvailableBalance"),
            ),
            "nothing of the account is taken from it",
        ),
        rescue=Rescue(
            account=NAME,
            means=Means.ADD_MARGIN,
            asset="USDT",
            amount="125.5",
            source="funding",
            target="60",
            figure=lambda server: Decimal(server.venue.coins[0]["walletBalance"]),
            is_money=lambda passed: passed.method == "POST",
            sent=(
                Sent(
                    method="POST",
                    path="/v5/asset/transfer/inter-transfer",
                    fields={
                        "transferId": ANY,
                        "coin": "USDT",
                        "amount": "125.5",
                        "fromAccountType": "FUND",
                        "toAccountType": "UNIFIED",
                    },
                ),
            ),
        ),
    ),
)
