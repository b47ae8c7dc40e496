"""Hyperliquid under the conformance suite: a cross short, an isolated long and a builder-deployed dex."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from eth_keys.datatypes import PrivateKey

from engine.rescue import Means
from providers.hyperliquid_depth import parse_depth
from providers.hyperliquid_spot_wire import parse_dexes, parse_orders, parse_spot
from providers.hyperliquid_wire import parse_state, parse_universe
from tests.account_kit import ANY, NAME, Payload, Rescue, Sent, Venue
from tests.hyperliquid_exchange import Exchange
from tests.hyperliquid_server import HyperliquidServer, hyperliquid_server

_FIXTURES = Path(__file__).parents[1] / "fixtures/hyperliquid"
_AGENT_KEY = b"\x02" * 32
_AGENT = PrivateKey(_AGENT_KEY).public_key.to_checksum_address().lower()
_USER = "0x" + "ab" * 20
_MARK = Decimal(2600)


def _position(coin: str, size: str, entry: str, value: str, leverage: dict[str, Any], margin: str) -> dict[str, Any]:
    return {
        "type": "oneWay",
        "position": {
            "coin": coin,
            "szi": size,
            "leverage": leverage,
            "entryPx": entry,
            "positionValue": value,
            "unrealizedPnl": "0.0",
            "returnOnEquity": "0.0",
            "liquidationPx": None if size == "0.0" else "1900.5",
            "marginUsed": margin,
            "maxLeverage": 25,
            "cumFunding": {"allTime": "3.0", "sinceOpen": "1.5", "sinceChange": "1.5"},
        },
    }


def _context(price: str) -> dict[str, object]:
    more = {"openInterest": "100.5", "prevDayPx": price, "dayNtlVlm": "1000.5", "premium": None, "midPx": price}
    return {"funding": "0.0000125", "oraclePx": price, "markPx": price, "impactPxs": None, **more}


def _account() -> dict[str, object]:
    cross, alone = {"type": "cross", "value": 10}, {"type": "isolated", "value": 10}
    return {
        "clearinghouseState": {
            "marginSummary": {
                "accountValue": "1900.5",
                "totalNtlPos": "11300.0",
                "totalRawUsd": "2800.5",
                "totalMarginUsed": "1010.0",
            },
            "crossMarginSummary": {
                "accountValue": "1500.5",
                "totalNtlPos": "6100.0",
                "totalRawUsd": "7600.5",
                "totalMarginUsed": "610.0",
            },
            "crossMaintenanceMarginUsed": "76.25",
            "withdrawable": "890.5",
            "assetPositions": [
                _position("ETH", "2.0", "2500.0", "5200.0", {**alone, "rawUsd": "-4800.0"}, "400.0"),
                _position("BTC", "-0.1", "61000.0", "6100.0", cross, "610.0"),
                _position("SOL", "0.0", "0.0", "0.0", cross, "0.0"),
            ],
            "time": time.time_ns() // 1_000_000,
        },
        "clearinghouseState xyz": {
            "crossMarginSummary": {
                "accountValue": "300.5",
                "totalNtlPos": "0.0",
                "totalRawUsd": "300.5",
                "totalMarginUsed": "0.0",
            },
            "crossMaintenanceMarginUsed": "0.0",
            "withdrawable": "300.5",
            "assetPositions": [
                _position("xyz:TSLA", "-4.0", "400.0", "1600.0", {**alone, "rawUsd": "1800.0"}, "200.0")
            ],
            "time": time.time_ns() // 1_000_000,
        },
        "userAbstraction": "default",
        "perpDexs": [None, {"name": "abc", "fullName": "Abc"}, {"name": "xyz", "fullName": "XYZ"}],
        "clearinghouseState abc": {
            "crossMarginSummary": {
                "accountValue": "0.0",
                "totalNtlPos": "0.0",
                "totalRawUsd": "0.0",
                "totalMarginUsed": "0.0",
            },
            "crossMaintenanceMarginUsed": "0.0",
            "withdrawable": "0.0",
            "assetPositions": [],
            "time": time.time_ns() // 1_000_000,
        },
        "metaAndAssetCtxs": [_meta(), [_context(price) for price in ("61000.0", "2600.0", "150.5")]],
        "metaAndAssetCtxs xyz": [_meta_xyz(), [_context("3000.5"), _context("400.0")]],
        "meta": _meta(),
        "meta xyz": _meta_xyz(),
        "spotMeta": {"tokens": [{"name": "USDC", "index": 0, "szDecimals": 8, "weiDecimals": 8, "tokenId": "0x6d1e"}]},
        "dex bases": {"": 0, "xyz": 120_000},
        "spotClearinghouseState": {
            "balances": [{"coin": "USDC", "token": 0, "total": "5200.5", "hold": "200.5", "entryNtl": "0.0"}]
        },
        "frontendOpenOrders": [
            {"coin": "ETH", "side": "B", "limitPx": "2500.5", "sz": "0.5", "oid": 7, "timestamp": 1, "origSz": "0.5"}
        ],
        "l2Book": {
            "coin": "ETH",
            "time": 1754450974231,
            "levels": [
                [{"px": "2599.5", "sz": "1.5", "n": 3}, {"px": "2598.5", "sz": "4.5", "n": 1}],
                [{"px": "2600.5", "sz": "2.5", "n": 1}, {"px": "2601.5", "sz": "3.5", "n": 2}],
            ],
        },
        "userNonFundingLedgerUpdates": [],
        "userRole": {"role": "agent", "data": {"user": _USER}},
    }


def _meta() -> dict[str, object]:
    tiers = [{"lowerBound": "0.0", "maxLeverage": 40}, {"lowerBound": "150000000.0", "maxLeverage": 20}]
    return {
        "universe": [
            {"name": "BTC", "szDecimals": 5, "maxLeverage": 40, "marginTableId": 56},
            {"name": "ETH", "szDecimals": 4, "maxLeverage": 25, "marginTableId": 25},
            {"name": "SOL", "szDecimals": 2, "maxLeverage": 20, "marginTableId": 20},
        ],
        "marginTables": [[56, {"description": "tiered 40x", "marginTiers": tiers}]],
        "collateralToken": 0,
    }


def _meta_xyz() -> dict[str, object]:
    return {
        "universe": [
            {"name": "xyz:GOLD", "szDecimals": 3, "maxLeverage": 20, "marginTableId": 20},
            {"name": "xyz:TSLA", "szDecimals": 3, "maxLeverage": 10, "marginTableId": 10},
        ],
        "marginTables": [],
        "collateralToken": 0,
    }


@asynccontextmanager
async def _serve() -> AsyncIterator[HyperliquidServer]:
    async with hyperliquid_server() as server:
        server.info = _account()
        server.exchange = Exchange({_USER})
        server.exchange.agents = {_AGENT: _USER}
        server.exchange.now_ms = time.time_ns() // 1_000_000
        yield server


def _position_in(server: HyperliquidServer, coin: str) -> dict[str, Any]:
    state: Any = server.info["clearinghouseState"]
    return next(each["position"] for each in state["assetPositions"] if each["position"]["coin"] == coin)


def _eth(server: HyperliquidServer) -> dict[str, Any]:
    return _position_in(server, "ETH")


async def _set_long(server: HyperliquidServer, quantity: str) -> None:
    position, value = _eth(server), Decimal(quantity) * _MARK
    raw = Decimal(position["marginUsed"]) - value
    position["szi"], position["positionValue"], position["leverage"]["rawUsd"] = quantity, str(value), str(raw)
    state: Any = server.info["clearinghouseState"]
    state["time"] += 1
    server.push("clearinghouseState", {"dex": "", "user": _USER, "clearinghouseState": state})


def _set_clock(server: HyperliquidServer, ahead_s: float) -> None:
    now_ms = time.time_ns() // 1_000_000 + round(ahead_s * 1000)
    assert server.exchange is not None
    server.exchange.now_ms = now_ms
    for name, state in server.info.items():
        if name.startswith("clearinghouseState") and isinstance(state, dict):
            state["time"] = now_ms


def _forbid(server: HyperliquidServer) -> None:
    server.info["userRole"] = {"role": "agent", "data": {"user": "0x" + "cd" * 20}}
    assert server.exchange is not None
    server.exchange.agents = {}


_RECORDED = (
    Payload(label="state", parse=parse_state, raw=(_FIXTURES / "cross_account.json").read_bytes()),
    Payload(label="meta", parse=parse_universe, raw=(_FIXTURES / "meta.json").read_bytes()),
    Payload(
        label="spot",
        parse=parse_spot,
        raw=b'{"balances":[{"coin":"USDC","token":0,"total":"14.62","hold":"0.0","entryNtl":"0.0"}]}',
    ),
    Payload(
        label="portfolio margin",
        parse=parse_spot,
        raw=b'{"balances":[{"coin":"UBTC","token":197,"total":"0.0078","hold":"0.0","entryNtl":"500.5","ltv":"0.5"}],'
        b'"portfolioMarginEnabled":true,"portfolioMarginRatio":"0.12","tokenToAvailableAfterMaintenance":[[0,"480.5"]]}',
    ),
    Payload(
        label="orders",
        parse=parse_orders,
        raw=b'[{"coin":"ETH","side":"A","limitPx":"2700.5","sz":"1.5","oid":5,"timestamp":1754450974231,"origSz":"2.5"}]',
    ),
    Payload(
        label="book",
        parse=lambda raw: parse_depth(raw, "ETH", 20, 0),
        raw=b'{"coin":"ETH","time":1754450974231,"levels":[[{"px":"2599.5","sz":"1.5","n":3}],[{"px":"2600.5","sz":"2.5","n":1}]]}',
    ),
    Payload(label="dexes", parse=parse_dexes, raw=b'[null,{"name":"xyz","fullName":"XYZ","deployer":"0x88"}]'),
)

VENUES = (
    Venue(
        provider="hyperliquid",
        serve=_serve,
        holds={NAME: [("BTC", "-0.1")], f"{NAME}:ETH": [("ETH", "2")], f"{NAME}:xyz:TSLA": [("xyz:TSLA", "-4")]},
        long=(f"{NAME}:ETH", "ETH"),
        set_long=_set_long,
        is_following=lambda server: any(each["type"] == "clearinghouseState" for each in server.subscribed),
        settings={"address": _USER},
        secrets={"signer": "0x" + _AGENT_KEY.hex()},
        forbid=_forbid,
        set_clock=_set_clock,
        payloads=_RECORDED,
        rescue=Rescue(
            account=f"{NAME}:ETH",
            means=Means.ADD_MARGIN,
            asset="USDC",
            amount="125.5",
            source="perp balance",
            target="6",
            figure=lambda server: Decimal(_eth(server)["marginUsed"]),
            is_money=lambda passed: passed.path == "/exchange",
            sent=(
                Sent(
                    method="POST",
                    path="/exchange",
                    fields={
                        "action": {"type": "updateIsolatedMargin", "asset": 1, "isBuy": True, "ntli": 125_500_000},
                        "nonce": ANY,
                        "signature": ANY,
                        "vaultAddress": None,
                        "expiresAfter": ANY,
                    },
                ),
            ),
        ),
        also=(
            Rescue(
                account=NAME,
                means=Means.REDUCE,
                asset="BTC",
                amount="0.02",
                source="the account itself",
                target="40",
                figure=lambda server: -abs(Decimal(_position_in(server, "BTC")["szi"])),
                is_money=lambda passed: passed.path == "/exchange",
                sent=(
                    Sent(
                        method="POST",
                        path="/exchange",
                        fields={
                            "action": {
                                "type": "order",
                                "orders": [
                                    {
                                        "a": 0,
                                        "b": True,
                                        "p": "61305",
                                        "s": "0.02",
                                        "r": True,
                                        "t": {"limit": {"tif": "Ioc"}},
                                        "c": ANY,
                                    }
                                ],
                                "grouping": "na",
                            },
                            "nonce": ANY,
                            "signature": ANY,
                            "vaultAddress": None,
                            "expiresAfter": ANY,
                        },
                    ),
                ),
            ),
        ),
    ),
)
