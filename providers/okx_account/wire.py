"""OKX's replies about a trading account, made into plain records. Pure: bytes in, records out, `Malformed` if not.

Shapes: okx.com/docs-v5, "Get positions", "Get balance", "Get account configuration" (read 2026-11). Numbers come as
strings; "" is no value. Sizes are in contracts, negative for a short in net mode and positive for both sides in
long/short mode; amounts are in the position's `ccy`.
"""

from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.record import record
from providers.errors import Malformed
from providers.http import decode
from providers.loose_numbers import NO_NUMBER, is_left_out, not_negative, number, positive, whole
from providers.okx_account.signing import VENUE

_Num = msgspec.Raw
_ADL_RANKS = range(1, 6)


class Level(StrEnum):
    """The account's level: what backs its positions."""

    SPOT = "1"
    FUTURES = "2"
    MULTI_CURRENCY = "3"
    PORTFOLIO = "4"


@record
class Config:
    """Level, whether positions have two sides, and what the key may do ("read_only", "trade", "withdraw")."""

    level: Level
    has_sides: bool = False
    permissions: frozenset[str] = frozenset()


@record
class Held:
    """One open position. `contracts` is signed (negative = short); `side` is the venue's word, "net", "long", "short".

    `margin` (isolated only), `initial`, `maintenance`, `profit` and `funding` (received) are in `currency`. `ratio` is
    the venue's margin ratio, a multiple: liquidated at 1.
    """

    kind: str
    contract: str
    contracts: Decimal
    side: str
    is_isolated: bool
    currency: str
    entry_price: Decimal | None = None
    mark_price: Decimal | None = None
    liquidation_price: Decimal | None = None
    margin: Decimal | None = None
    initial: Decimal | None = None
    maintenance: Decimal | None = None
    ratio: Decimal | None = None
    profit: Decimal | None = None
    funding: Decimal | None = None
    adl_rank: int | None = None


@record
class Coin:
    """One currency of the trading account; `usd` and `counted_usd` (discounted) are of its whole equity.

    `equity` holds isolated positions (`isolated`) and unrealised profit (`profit`, of it `isolated_profit`). `untold`
    are fields without which what backs cross positions is too large.
    """

    coin: str
    equity: Decimal
    usd: Decimal | None = None
    counted_usd: Decimal | None = None
    isolated: Decimal = Decimal(0)
    profit: Decimal = Decimal(0)
    isolated_profit: Decimal = Decimal(0)
    available: Decimal | None = None
    orders: Decimal = Decimal(0)
    initial: Decimal | None = None
    maintenance: Decimal | None = None
    ratio: Decimal | None = None
    is_collateral: bool = True
    untold: tuple[str, ...] = ()

    @property
    def usd_price(self) -> Decimal | None:
        """Return the venue's price in USD, `None` where it cannot be told."""
        if self.usd is None or not self.equity or self.usd / self.equity <= 0:
            return None
        return self.usd / self.equity

    @property
    def weight(self) -> Decimal | None:
        """Return the share of its value that counts, `None` where the venue does not tell."""
        if not self.is_collateral:
            return Decimal(0)
        if self.counted_usd is None or not self.usd:
            return None
        return min(max(self.counted_usd / self.usd, Decimal(0)), Decimal(1))

    @property
    def backing(self) -> Decimal:
        """Return what backs cross positions, without their profit: cash that no isolated position holds."""
        return self.equity - self.isolated - (self.profit - self.isolated_profit)


@record
class Balance:
    """The trading account; totals in USD, told only where one requirement covers all of it."""

    coins: tuple[Coin, ...] = ()
    equity: Decimal | None = None
    isolated: Decimal | None = None
    adjusted: Decimal | None = None
    orders: Decimal | None = None
    initial: Decimal | None = None
    maintenance: Decimal | None = None
    ratio: Decimal | None = None


class _ConfigRow(msgspec.Struct, frozen=True, rename="camel"):
    acct_lv: str
    pos_mode: str = ""
    perm: str = ""


class _ConfigReply(msgspec.Struct, frozen=True):
    data: tuple[_ConfigRow, ...]


class _Row(msgspec.Struct, frozen=True, rename="camel"):
    inst_id: str
    inst_type: str = ""
    mgn_mode: str = ""
    pos_side: str = ""
    pos: _Num = NO_NUMBER
    ccy: str = ""
    avg_px: _Num = NO_NUMBER
    mark_px: _Num = NO_NUMBER
    liq_px: _Num = NO_NUMBER
    margin: _Num = NO_NUMBER
    imr: _Num = NO_NUMBER
    mmr: _Num = NO_NUMBER
    mgn_ratio: _Num = NO_NUMBER
    upl: _Num = NO_NUMBER
    funding_fee: _Num = NO_NUMBER
    adl: _Num = NO_NUMBER


class _PositionsReply(msgspec.Struct, frozen=True):
    data: tuple[_Row, ...]


class _CoinRow(msgspec.Struct, frozen=True, rename="camel"):
    ccy: str
    eq: _Num = NO_NUMBER
    cash_bal: _Num = NO_NUMBER
    eq_usd: _Num = NO_NUMBER
    dis_eq: _Num = NO_NUMBER
    iso_eq: _Num = NO_NUMBER
    upl: _Num = NO_NUMBER
    iso_upl: _Num = NO_NUMBER
    avail_eq: _Num = NO_NUMBER
    avail_bal: _Num = NO_NUMBER
    ord_frozen: _Num = NO_NUMBER
    imr: _Num = NO_NUMBER
    mmr: _Num = NO_NUMBER
    mgn_ratio: _Num = NO_NUMBER
    collateral_enabled: bool = True


class _BalanceRow(msgspec.Struct, frozen=True, rename="camel"):
    details: tuple[_CoinRow, ...] = ()
    total_eq: _Num = NO_NUMBER
    iso_eq: _Num = NO_NUMBER
    adj_eq: _Num = NO_NUMBER
    ord_froz: _Num = NO_NUMBER
    imr: _Num = NO_NUMBER
    mmr: _Num = NO_NUMBER
    mgn_ratio: _Num = NO_NUMBER


class _BalanceReply(msgspec.Struct, frozen=True):
    data: tuple[_BalanceRow, ...]


def parse_config(raw: bytes) -> Config:
    """Return level, position mode and permissions; raises `Malformed` for a level that is not known."""
    rows = decode(VENUE, "account configuration", raw, _ConfigReply).data
    if not rows:
        raise Malformed(VENUE, "account configuration: empty")
    try:
        level = Level(rows[0].acct_lv)
    except ValueError as error:
        raise Malformed(VENUE, f"account level {rows[0].acct_lv[:16]!r} is not known") from error
    rights = frozenset(word.strip() for word in rows[0].perm.split(",") if word.strip())
    return Config(level, rows[0].pos_mode == "long_short_mode", rights)


def parse_positions(raw: bytes) -> tuple[Held, ...]:
    """Return every open position."""
    rows = decode(VENUE, "positions", raw, _PositionsReply).data
    return tuple(held for row in rows if (held := _held(row)) is not None)


def parse_balance(raw: bytes) -> Balance:
    """Return the trading account's balance."""
    rows = decode(VENUE, "balance", raw, _BalanceReply).data
    if not rows:
        return Balance()
    row = rows[0]
    return Balance(
        tuple(_coin(each) for each in row.details),
        number(VENUE, "totalEq", row.total_eq),
        number(VENUE, "isoEq", row.iso_eq),
        number(VENUE, "adjEq", row.adj_eq),
        not_negative(VENUE, "ordFroz", row.ord_froz),
        not_negative(VENUE, "imr", row.imr),
        not_negative(VENUE, "mmr", row.mmr),
        number(VENUE, "mgnRatio", row.mgn_ratio),
    )


def _held(row: _Row) -> Held | None:
    """Return a row as a position, `None` for an empty one."""
    what = clean(row.inst_id)
    contracts = number(VENUE, f"pos of {what}", row.pos)
    if contracts is None and is_left_out(row.pos):
        raise Malformed(VENUE, f"{what}: a position without a size")
    if not contracts:
        return None
    if row.pos_side not in ("", "net", "long", "short"):
        raise Malformed(VENUE, f"{what}: posSide {row.pos_side[:8]!r}")
    if row.mgn_mode not in ("cross", "isolated"):
        raise Malformed(VENUE, f"{what}: mgnMode {row.mgn_mode[:10]!r}")
    if row.pos_side in ("long", "short"):
        contracts = abs(contracts) if row.pos_side == "long" else -abs(contracts)
    rank = whole(VENUE, f"adl of {what}", row.adl)
    return Held(
        clean(row.inst_type),
        what,
        contracts,
        row.pos_side or "net",
        row.mgn_mode == "isolated",
        clean(row.ccy),
        positive(VENUE, f"avgPx of {what}", row.avg_px),
        positive(VENUE, f"markPx of {what}", row.mark_px),
        positive(VENUE, f"liqPx of {what}", row.liq_px),
        number(VENUE, f"margin of {what}", row.margin),
        not_negative(VENUE, f"imr of {what}", row.imr),
        not_negative(VENUE, f"mmr of {what}", row.mmr),
        number(VENUE, f"mgnRatio of {what}", row.mgn_ratio),
        number(VENUE, f"upl of {what}", row.upl),
        number(VENUE, f"fundingFee of {what}", row.funding_fee),
        rank if rank in _ADL_RANKS else None,
    )


def _coin(row: _CoinRow) -> Coin:
    what, zero = clean(row.ccy), Decimal(0)
    cash = number(VENUE, f"cashBal of {what}", row.cash_bal)
    equity = number(VENUE, f"eq of {what}", row.eq)
    if equity is None:
        equity = cash or zero
    available = number(VENUE, f"availEq of {what}", row.avail_eq)
    return Coin(
        what,
        equity,
        number(VENUE, f"eqUsd of {what}", row.eq_usd),
        number(VENUE, f"disEq of {what}", row.dis_eq),
        number(VENUE, f"isoEq of {what}", row.iso_eq) or zero,
        number(VENUE, f"upl of {what}", row.upl) or zero,
        number(VENUE, f"isoUpl of {what}", row.iso_upl) or zero,
        number(VENUE, f"availBal of {what}", row.avail_bal) if available is None else available,
        not_negative(VENUE, f"ordFrozen of {what}", row.ord_frozen) or zero,
        not_negative(VENUE, f"imr of {what}", row.imr),
        not_negative(VENUE, f"mmr of {what}", row.mmr),
        number(VENUE, f"mgnRatio of {what}", row.mgn_ratio),
        row.collateral_enabled,
        tuple(
            name for name, raw in (("isoEq", row.iso_eq), ("upl", row.upl), ("isoUpl", row.iso_upl)) if is_left_out(raw)
        ),
    )


def clean(text: str) -> str:
    """Return a name as bounded printable ASCII: it is text of the venue."""
    return "".join(c for c in text if c.isascii() and c.isprintable() and c != " ")[:40] or "?"
