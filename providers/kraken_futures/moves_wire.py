"""What Kraken Futures says of transfers and orders: pure functions from replies to fates."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from math import inf

import msgspec

from engine.rendering import plain
from providers.errors import Malformed
from providers.http import decode
from providers.kraken_futures.signing import VENUE
from providers.kraken_futures.wire import finite
from providers.rescue_ports import Fate, Found
from providers.text import inert

_PLACED = frozenset({"placed", "attempted", "filled", "partiallyFilled"})
_ZERO = Decimal(0)
_LISTED = 100
"""The venue tells the last 100 fills: where all of a full list are later, an order proves nothing by its absence."""


class _Done(msgspec.Struct, frozen=True):
    result: str


class _Event(msgspec.Struct, frozen=True):
    type: str = ""
    amount: Decimal | None = None
    price: Decimal | None = None


class _Status(msgspec.Struct, frozen=True):
    status: str
    orderEvents: list[_Event] = []


class _Sent(msgspec.Struct, frozen=True):
    sendStatus: _Status


class _Fill(msgspec.Struct, frozen=True):
    size: Decimal
    cliOrdId: str | None = None
    price: Decimal | None = None
    fillTime: str = ""


class _Fills(msgspec.Struct, frozen=True):
    fills: list[_Fill]


def transfer_fate(raw: bytes) -> Found:
    """Return what the answer to a transfer says; raises `Malformed` for any but a success."""
    said = decode(VENUE, "transfer", raw, _Done).result
    if said != "success":
        raise Malformed(VENUE, f"transfer: result {inert(said, 40)}")
    return Found(Fate.CONFIRMED, "the venue says success")


def order_fate(raw: bytes) -> Found:
    """Return what the answer to an immediate-or-cancel order says; raises `Malformed`.

    What was filled of it in part is done: the rest was cancelled by the venue and is not sent again.
    """
    status = decode(VENUE, "sendorder", raw, _Sent).sendStatus
    fills = [each for each in status.orderEvents if each.type == "EXECUTION"]
    filled = sum((finite(each.amount, "filled amount") or _ZERO for each in fills), _ZERO)
    if filled > 0:
        return Found(Fate.CONFIRMED, f"closed {plain(filled)}")
    if status.status in _PLACED:
        return Found(Fate.PENDING, "taken, and no fill told yet")
    return Found(Fate.REJECTED, f"nothing was closed: {inert(status.status, 60)}")


def fills_fate(raw: bytes, facts: Mapping[str, str]) -> Found | None:
    """Return the fate of an order by its own fills; `None` when there are none. Raises `Malformed`.

    Unknown where there may be some that the venue does not list any more.
    """
    listed = decode(VENUE, "fills", raw, _Fills).fills
    rows = [row for row in listed if row.cliOrdId == facts["id"]]
    filled = sum((finite(row.size, "size of a fill") or _ZERO for row in rows), _ZERO)
    if not filled > 0:
        if len(listed) >= _LISTED and all(_at_ms(row.fillTime) > int(facts["at"]) for row in listed):
            return Found(Fate.UNKNOWN, f"the venue lists its last {len(listed)} fills, all of them later")
        return None
    return Found(Fate.CONFIRMED, f"closed {plain(filled)} of {plain(Decimal(facts['amount']))}")


def _at_ms(said: str) -> float:
    """Return a time of the venue in UTC milliseconds, endless where it tells none."""
    try:
        return datetime.fromisoformat(said).timestamp() * 1000
    except ValueError:
        return inf
