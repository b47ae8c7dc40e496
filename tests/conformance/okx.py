"""OKX under the conformance suite: futures mode, a cross long, an isolated short, an empty row."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from engine.rescue import Means
from providers.okx_account.markets import parse_contract, parse_interest, parse_rates
from providers.okx_account.watch import parse_public
from providers.okx_account.wire import parse_balance, parse_config, parse_positions
from tests.account_kit import NAME, Holds, Payload, Rescue, Sent, Venue
from tests.between import Answer
from tests.okx_server import KEY, PASSPHRASE, SECRET, SWAP, Okx, coin, row, settle
from tests.signed_server import SignedServer

_FIXTURES = Path(__file__).parents[1] / "fixtures/okx"
_ETH = "ETH-USDT-SWAP"


@dataclass
class Served:
    """The venue and its two ports."""

    venue: Okx
    ports: SignedServer

    @property
    def url_rest(self) -> str:
        return self.ports.url_rest

    @property
    def url_ws(self) -> str:
        return self.ports.url_ws


@asynccontextmanager
async def _serve() -> AsyncIterator[Served]:
    venue = Okx()
    venue.marks |= {SWAP: "65000.5", _ETH: "3100.5"}
    alone = row(_ETH, "-300", "3000.5", "3100.5", mgnMode="isolated", margin="900.5")
    settle(alone)
    ratio = f"{Decimal('20500.25') / (Decimal('32500.25') * Decimal('0.0045')):f}"
    venue.positions = [
        row(SWAP, "50", "64000.5", "65000.5", mmr="130.001", imr="3250.025", upl="500"),
        alone,
        row("BTC-USD-SWAP", "0", "", "", ccy="BTC"),
    ]
    told = {"cashBal": "20000.25", "upl": "200", "isoUpl": "-300", "isoEq": "600.5", "availEq": "15000.5"}
    venue.coins = [coin("USDT", "21100.75", **told, mmr="130.001", imr="3250.025", mgnRatio=ratio)]
    async with venue.server as ports:
        yield Served(venue, ports)


async def _set_long(server: Served, quantity: str) -> None:
    server.venue.positions[0] |= {"pos": f"{Decimal(quantity) * 100:f}", "mmr": ""}
    frame = {"arg": {"channel": "positions", "instType": "ANY"}, "data": [server.venue.positions[0]]}
    await server.ports.push(frame, to="/private")


def _hedge(server: Served) -> Holds:
    server.venue.has_sides = True
    server.venue.positions = [
        row(SWAP, "50", "64000", "65000", posSide="long"),
        row(SWAP, "20", "66000", "65000", posSide="short"),
    ]
    return {f"{NAME}:USDT": [(SWAP, "0.5"), (SWAP, "-0.2")]}


def _inverse(server: Served) -> Holds:
    server.venue.positions = [row("BTC-USD-SWAP", "-300", "60000", "60000", ccy="BTC")]
    server.venue.coins = [coin("BTC", "1", "60000")]
    return {f"{NAME}:BTC": [("BTC-USD-SWAP", "-0.5")]}


def _revoke(server: Served) -> None:
    server.venue.key = "revoked"


def _forbid(server: Served) -> None:
    server.venue.permissions = "read_only"


def _set_clock(server: Served, ahead_s: float) -> None:
    server.venue.ahead_ms = round(ahead_s * 1000)


def _reply(*rows: object) -> bytes:
    return json.dumps({"code": "0", "msg": "", "data": list(rows)}).encode()


VENUES = (
    Venue(
        provider="okx",
        serve=_serve,
        holds={f"{NAME}:USDT": [(SWAP, "0.5")], f"{NAME}:{_ETH}": [(_ETH, "-3")]},
        long=(f"{NAME}:USDT", SWAP),
        set_long=_set_long,
        is_following=lambda server: (
            any("/private" in path for path in server.ports.paths)
            and any("/public" in path for path in server.ports.paths)
        ),
        situations={"hedge mode": _hedge, "inverse contracts": _inverse},
        secrets={"key": KEY, "secret": SECRET, "passphrase": PASSPHRASE},
        revoke=_revoke,
        forbid=_forbid,
        set_clock=_set_clock,
        limits=(Answer(429, b'{"code":"50011","msg":"Rate limit reached","data":[]}', {"Retry-After": "30"}),),
        words=frozenset({"code", "acctLv"}),
        payloads=(
            Payload(label="positions", parse=parse_positions, raw=(_FIXTURES / "isolated_inverse.json").read_bytes()),
            Payload(
                label="balance",
                parse=parse_balance,
                raw=_reply({"totalEq": "41624.32", "details": [coin("USDT", "4992.89", upl="0", mgnRatio="12.5")]}),
            ),
            Payload(
                label="configuration",
                parse=parse_config,
                raw=_reply({"acctLv": "2", "posMode": "long_short_mode", "perm": "read_only,trade"}),
            ),
            Payload(label="tiers", parse=parse_rates, raw=_reply({"tier": "1", "maxSz": "1000", "mmr": "0.004"})),
            Payload(
                label="borrow rates", parse=parse_interest, raw=_reply({"ccy": "BTC", "interestRate": "0.0000040"})
            ),
            Payload(
                label="instrument",
                parse=lambda raw: parse_contract(raw, SWAP),
                raw=_reply(
                    {
                        "instId": SWAP,
                        "instType": "SWAP",
                        "uly": "BTC-USDT",
                        "settleCcy": "USDT",
                        "ctVal": "0.01",
                        "ctMult": "1",
                        "ctType": "linear",
                        "tickSz": "0.1",
                        "lotSz": "0.01",
                        "minSz": "0.01",
                    }
                ),
            ),
            Payload(
                label="mark push",
                parse=parse_public,
                raw=b'{"arg":{"channel":"mark-price","instId":"BTC-USDT-SWAP"},"data":[{"instType":"SWAP",'
                b'"instId":"BTC-USDT-SWAP","markPx":"42310.6","ts":"1630049139746"}]}',
            ),
        ),
        rescue=Rescue(
            account=f"{NAME}:{_ETH}",
            means=Means.ADD_MARGIN,
            asset="USDT",
            amount="125.5",
            source="trading account",
            target="30",
            figure=lambda server: Decimal(server.venue.positions[1]["margin"]),
            is_money=lambda passed: passed.method == "POST",
            sent=(
                Sent(
                    method="POST",
                    path="/api/v5/account/position/margin-balance",
                    fields={"instId": _ETH, "posSide": "net", "type": "add", "amt": "125.5"},
                ),
            ),
        ),
    ),
)
