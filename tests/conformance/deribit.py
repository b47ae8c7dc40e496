"""Deribit under the conformance suite: an inverse long in its coin, a linear short in USDC, a subaccount beside."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.rescue import Means
from providers.deribit.wire import parse_index, parse_positions, parse_summary, parse_ticker
from tests.account_kit import ANY, NAME, Payload, Rescue, Sent, Venue
from tests.between import Answer
from tests.deribit_server import KEY, MAIN, SECRET, SUB, DeribitServer, dumps

D = Decimal
_FIXTURES = Path(__file__).parents[1] / "fixtures/deribit"
_TOO_MANY = b'{"jsonrpc":"2.0","error":{"code":10028,"message":"too_many_requests"}}'
_TRANSFER = "/api/v2/private/submit_transfer_between_subaccounts"
_HOLDS = {f"{NAME}:BTC": [("BTC-PERPETUAL", "0.5")], f"{NAME}:USDC": [("ETH_USDC-PERPETUAL", "-2.5")]}


def _documented(method: str) -> bytes:
    examples = json.loads((_FIXTURES / "documented.json").read_text(), parse_float=Decimal)["examples"]
    return dumps(examples[method]["response"]).encode()


def _future(name: str, size: str, entry: str, mark: str, maintenance: str, **fields: Any) -> dict[str, Any]:
    direction = "zero" if D(size) == 0 else "sell" if D(size) < 0 else "buy"
    return {
        "instrument_name": name,
        "kind": "future",
        "direction": direction,
        "size": D(size),
        "average_price": D(entry),
        "mark_price": D(mark),
        "index_price": D(mark),
        "initial_margin": D(maintenance) * 2,
        "maintenance_margin": D(maintenance),
        "open_orders_margin": D("0.0"),
    } | fields


def _summary(currency: str, balance: str, maintenance: str) -> dict[str, Any]:
    return {
        "currency": currency,
        "margin_model": "segregated_sm",
        "equity": D(balance),
        "balance": D(balance),
        "margin_balance": D(balance),
        "maintenance_margin": D(maintenance),
        "initial_margin": D(maintenance) * 2,
        "available_funds": D("0.01"),
        "options_value": D("0.0"),
    }


def _rules(name: str, lot: str, tick: str) -> dict[str, Any]:
    return {
        "instrument_name": name,
        "kind": "future",
        "tick_size": D(tick),
        "tick_size_steps": [],
        "contract_size": D(lot),
        "min_trade_amount": D(lot),
        "state": "open",
        "is_active": True,
    }


@asynccontextmanager
async def _serve() -> AsyncIterator[DeribitServer]:
    async with DeribitServer() as server:
        server.positions = [
            _future("BTC-PERPETUAL", "30000", "60000", "60000", "0.05"),
            _future("ETH_USDC-PERPETUAL", "-2.5", "3000", "2990.5", "75.5", size_currency=D("-2.5")),
            _future("ETH-PERPETUAL", "0", "3000", "2990.5", "0.0"),
        ]
        server.summaries = {"BTC": _summary("BTC", "0.06", "0.05"), "USDC": _summary("USDC", "500.5", "75.5")}
        for name, mark in (("BTC-PERPETUAL", "60000"), ("ETH_USDC-PERPETUAL", "2990.5")):
            server.tickers[name] = {
                "instrument_name": name,
                "mark_price": D(mark),
                "index_price": D(mark),
                "current_funding": D("0.0001"),
            }
        server.instruments = {
            "BTC": [_rules("BTC-PERPETUAL", "10", "0.5")],
            "USDC": [_rules("ETH_USDC-PERPETUAL", "0.01", "0.05")],
        }
        server.purses = {SUB: {"BTC": D("1.5"), "USDC": D("2500.5")}}
        server.order_books["BTC-PERPETUAL"] = {
            "bids": [[D("59999.5"), D("30000")], [D("59998.5"), D("60000")]],
            "asks": [[D("60000.5"), D("15000")], [D("60001.5"), D("90000")]],
        }
        yield server


async def _set_long(server: DeribitServer, quantity: str) -> None:
    server.positions[0]["size"] = D(quantity) * 60000
    server.positions[0]["maintenance_margin"] = server.summaries["BTC"]["maintenance_margin"] = D(quantity) / 10
    await server.push_data("user.changes.BTC-PERPETUAL.raw", {"instrument_name": "BTC-PERPETUAL", "trades": []})


def _revoke(server: DeribitServer) -> None:
    server.is_revoked = True


def _forbid(server: DeribitServer) -> None:
    server.scope = "account:read trade:read wallet:read mainaccount"


def _set_clock(server: DeribitServer, ahead_s: float) -> None:
    server.skew_ms = int(ahead_s * 1000)


def _inverse(server: DeribitServer) -> Mapping[str, list[tuple[str, str]]]:
    return _HOLDS


VENUES = (
    Venue(
        provider="deribit",
        serve=_serve,
        holds=_HOLDS,
        long=(f"{NAME}:BTC", "BTC-PERPETUAL"),
        set_long=_set_long,
        is_following=lambda server: server.called("private/subscribe") > 0,
        settings={"subaccount": str(SUB)},
        secrets={"key": KEY, "secret": SECRET},
        situations={"inverse contracts": _inverse},
        revoke=_revoke,
        forbid=_forbid,
        set_clock=_set_clock,
        limits=(Answer(400, _TOO_MANY),),
        open_maps=frozenset({"estimated_liquidation_ratio_map", "portfolio"}),
        payloads=(
            Payload(label="positions", parse=parse_positions, raw=_documented("/private/get_positions")),
            Payload(label="summary", parse=parse_summary, raw=_documented("/private/get_account_summary")),
            Payload(label="portfolio", parse=parse_summary, raw=_documented("/private/simulate_portfolio")),
            Payload(label="ticker", parse=parse_ticker, raw=_documented("/public/ticker")),
            Payload(label="index", parse=parse_index, raw=b'{"jsonrpc":"2.0","result":{"index_price":60000.5}}'),
        ),
        rescue=Rescue(
            account=f"{NAME}:BTC",
            means=Means.ADD_MARGIN,
            asset="BTC",
            amount="0.125",
            source=f"subaccount sub{SUB}",
            target="3",
            figure=lambda server: D(str(server.summaries["BTC"]["margin_balance"])),
            is_money=lambda passed: passed.path == _TRANSFER,
            sent=(
                Sent(
                    method="GET",
                    path=_TRANSFER,
                    fields={"currency": "BTC", "amount": "0.125", "destination": str(MAIN), "source": str(SUB)},
                ),
            ),
        ),
        also=(
            Rescue(
                account=f"{NAME}:USDC",
                means=Means.REDUCE,
                asset="ETH",
                amount="0.5",
                source="",
                target="8",
                figure=lambda server: D("2.5") - abs(D(str(server.positions[1]["size"]))),
                is_money=lambda passed: passed.path == "/api/v2/private/buy",
                sent=(
                    Sent(
                        method="GET",
                        path="/api/v2/private/buy",
                        fields={
                            "instrument_name": "ETH_USDC-PERPETUAL",
                            "amount": "0.5",
                            "type": "limit",
                            "price": "3005.45",
                            "time_in_force": "immediate_or_cancel",
                            "reduce_only": "true",
                            "label": ANY,
                        },
                    ),
                ),
            ),
        ),
    ),
)
