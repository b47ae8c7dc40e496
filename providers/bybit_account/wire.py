"""Bybit's replies about a unified account, made into plain records. Pure: bytes in, records out, `Malformed` if not.

Shapes: bybit-exchange.github.io/docs/v5 account/wallet-balance, account/account-info, position, user/apikey-info,
websocket/private/position (read 2026-11). Numbers come as strings; "" is no value. The WebSocket says `entryPrice`
where REST says `avgPrice`.
"""

from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.record import record
from providers.bybit_account.signing import VENUE
from providers.errors import Malformed
from providers.http import decode
from providers.loose_numbers import NO_NUMBER, is_left_out, not_negative, number, positive, whole

_Num = msgspec.Raw
_ADL_RANKS = range(1, 6)


class AccountMode(StrEnum):
    """What backs positions: each its own margin, all of the account, or a scan of the whole book."""

    ISOLATED = "ISOLATED_MARGIN"
    CROSS = "REGULAR_MARGIN"
    PORTFOLIO = "PORTFOLIO_MARGIN"


@record
class Held:
    """One open position. `size` is signed (negative = short), in base coin or in USD for an inverse contract.

    `side_index` is 0 in one-way mode, 1 or 2 for the two sides of hedge mode. Margins are in the settle coin, `None`
    where the venue tells none (portfolio margin). `liquidation_price` is `None` where the venue shows none, `status`
    "Normal", "Liq" or "Adl".
    """

    symbol: str
    category: str
    size: Decimal
    side_index: int = 0
    entry_price: Decimal | None = None
    mark_price: Decimal | None = None
    liquidation_price: Decimal | None = None
    initial_margin: Decimal | None = None
    maintenance: Decimal | None = None
    margin: Decimal | None = None
    leverage: Decimal | None = None
    adl_rank: int | None = None
    status: str = "Normal"


@record
class Coin:
    """One coin of the unified wallet, in coins; `usd_value` is of its equity. `counts` says that it is collateral.

    `is_debt_told` is false where the venue leaves out what is borrowed of it.
    """

    coin: str
    wallet: Decimal
    equity: Decimal
    borrowed: Decimal = Decimal(0)
    usd_value: Decimal | None = None
    counts: bool = True
    order_margin: Decimal = Decimal(0)
    position_margin: Decimal = Decimal(0)
    locked: Decimal = Decimal(0)
    bonus: Decimal = Decimal(0)
    is_debt_told: bool = True

    @property
    def usd_price(self) -> Decimal | None:
        """Return the venue's index price in USD, `None` where it cannot be told."""
        if self.usd_value is None or not self.equity or self.usd_value / self.equity <= 0:
            return None
        return self.usd_value / self.equity


@record
class Wallet:
    """The unified wallet; totals in USD, `None` where the venue tells none. `maintenance_rate` has four decimals."""

    coins: tuple[Coin, ...] = ()
    margin_balance: Decimal | None = None
    initial_margin: Decimal | None = None
    maintenance: Decimal | None = None
    maintenance_rate: Decimal | None = None


@record
class KeyInfo:
    """What the key may do: `permissions` as "Group:Right". `is_told` is false where the venue does not say (demo)."""

    permissions: frozenset[str] = frozenset()
    is_read_only: bool = False
    is_told: bool = True

    @property
    def may_withdraw(self) -> bool:
        """Return whether the key can take money off the venue."""
        return "Wallet:Withdraw" in self.permissions and not self.is_read_only


class _Row(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    size: _Num = NO_NUMBER
    side: str | None = ""
    category: str = ""
    position_idx: _Num = NO_NUMBER
    avg_price: _Num = NO_NUMBER
    entry_price: _Num = NO_NUMBER
    mark_price: _Num = NO_NUMBER
    liq_price: _Num = NO_NUMBER
    position_im: _Num = msgspec.field(name="positionIM", default=NO_NUMBER)
    position_mm: _Num = msgspec.field(name="positionMM", default=NO_NUMBER)
    position_balance: _Num = NO_NUMBER
    leverage: _Num = NO_NUMBER
    adl_rank_indicator: _Num = NO_NUMBER
    position_status: str | None = ""


class _Page(msgspec.Struct, frozen=True, rename="camel"):
    list: tuple[_Row, ...]
    next_page_cursor: str | None = ""
    category: str = ""


class _Positions(msgspec.Struct, frozen=True):
    result: _Page


class _AddedReply(msgspec.Struct, frozen=True):
    result: _Row


class _CoinRow(msgspec.Struct, frozen=True, rename="camel"):
    coin: str
    wallet_balance: _Num = NO_NUMBER
    equity: _Num = NO_NUMBER
    usd_value: _Num = NO_NUMBER
    spot_borrow: _Num = NO_NUMBER
    total_order_im: _Num = msgspec.field(name="totalOrderIM", default=NO_NUMBER)
    total_position_im: _Num = msgspec.field(name="totalPositionIM", default=NO_NUMBER)
    locked: _Num = NO_NUMBER
    bonus: _Num = NO_NUMBER
    margin_collateral: bool = True
    collateral_switch: bool = True


class _Account(msgspec.Struct, frozen=True, rename="camel"):
    coin: tuple[_CoinRow, ...] = ()
    total_margin_balance: _Num = NO_NUMBER
    total_initial_margin: _Num = NO_NUMBER
    total_maintenance_margin: _Num = NO_NUMBER
    account_mm_rate: _Num = msgspec.field(name="accountMMRate", default=NO_NUMBER)


class _Accounts(msgspec.Struct, frozen=True):
    list: tuple[_Account, ...]


class _WalletReply(msgspec.Struct, frozen=True):
    result: _Accounts


class _Info(msgspec.Struct, frozen=True, rename="camel"):
    margin_mode: str = ""


class _InfoReply(msgspec.Struct, frozen=True):
    result: _Info


class _Key(msgspec.Struct, frozen=True, rename="camel"):
    read_only: _Num = NO_NUMBER
    permissions: dict[str, tuple[str, ...] | None] = {}


class _KeyReply(msgspec.Struct, frozen=True):
    result: _Key


def parse_mode(raw: bytes) -> AccountMode:
    """Return the margin mode of `/v5/account/info`; raises `Malformed` for one that is not known."""
    said = decode(VENUE, "account info", raw, _InfoReply).result.margin_mode
    try:
        return AccountMode(said)
    except ValueError as error:
        raise Malformed(VENUE, f"margin mode {said[:32]!r} is not known") from error


def parse_positions(raw: bytes, category: str) -> tuple[tuple[Held, ...], str]:
    """Return the open positions of one page and the cursor of the next, "" at the end."""
    page = decode(VENUE, "position list", raw, _Positions).result
    held = [_held(row, row.category or page.category or category) for row in page.list]
    return tuple(each for each in held if each is not None), page.next_page_cursor or ""


def parse_added(raw: bytes) -> Decimal | None:
    """Return the liquidation price after `/v5/position/add-margin`, `None` where there is none."""

    row = decode(VENUE, "add-margin", raw, _AddedReply).result
    return positive(VENUE, "liqPrice", row.liq_price)


def parse_wallet(raw: bytes) -> Wallet:
    """Return the unified wallet; an empty list is an account that has never held anything."""
    rows = decode(VENUE, "wallet balance", raw, _WalletReply).result.list
    if not rows:
        return Wallet()
    row = rows[0]
    return Wallet(
        tuple(_coin(each) for each in row.coin),
        number(VENUE, "totalMarginBalance", row.total_margin_balance),
        not_negative(VENUE, "totalInitialMargin", row.total_initial_margin),
        not_negative(VENUE, "totalMaintenanceMargin", row.total_maintenance_margin),
        not_negative(VENUE, "accountMMRate", row.account_mm_rate),
    )


def parse_key(raw: bytes) -> KeyInfo:
    """Return what the key may do (`/v5/user/query-api`)."""
    key = decode(VENUE, "key information", raw, _KeyReply).result
    rights = frozenset(f"{group}:{right}" for group, names in key.permissions.items() for right in names or ())
    return KeyInfo(rights, whole(VENUE, "readOnly", key.read_only) == 1)


def _held(row: _Row, category: str) -> Held | None:
    """Return a row as a position, `None` for an empty one."""
    what = _clean(row.symbol)
    size = not_negative(VENUE, f"size of {what}", row.size)
    if size is None:
        raise Malformed(VENUE, f"{what}: a position without a size")
    if not size or not row.side:
        if size:
            raise Malformed(VENUE, f"{what}: a position of {size} without a side")
        return None
    if row.side not in ("Buy", "Sell"):
        raise Malformed(VENUE, f"{what}: side {row.side[:8]!r}")
    rank = whole(VENUE, f"adlRankIndicator of {what}", row.adl_rank_indicator)
    entry = positive(VENUE, f"avgPrice of {what}", row.avg_price)
    return Held(
        what,
        category,
        size if row.side == "Buy" else -size,
        whole(VENUE, f"positionIdx of {what}", row.position_idx) or 0,
        positive(VENUE, f"entryPrice of {what}", row.entry_price) if entry is None else entry,
        positive(VENUE, f"markPrice of {what}", row.mark_price),
        positive(VENUE, f"liqPrice of {what}", row.liq_price),
        not_negative(VENUE, f"positionIM of {what}", row.position_im),
        not_negative(VENUE, f"positionMM of {what}", row.position_mm),
        positive(VENUE, f"positionBalance of {what}", row.position_balance),
        positive(VENUE, f"leverage of {what}", row.leverage),
        rank if rank in _ADL_RANKS else None,
        _clean(row.position_status or "Normal"),
    )


def _coin(row: _CoinRow) -> Coin:
    what = _clean(row.coin)
    zero = Decimal(0)
    return Coin(
        what,
        number(VENUE, f"walletBalance of {what}", row.wallet_balance) or zero,
        number(VENUE, f"equity of {what}", row.equity) or zero,
        not_negative(VENUE, f"spotBorrow of {what}", row.spot_borrow) or zero,
        number(VENUE, f"usdValue of {what}", row.usd_value),
        row.margin_collateral and row.collateral_switch,
        not_negative(VENUE, f"totalOrderIM of {what}", row.total_order_im) or zero,
        not_negative(VENUE, f"totalPositionIM of {what}", row.total_position_im) or zero,
        not_negative(VENUE, f"locked of {what}", row.locked) or zero,
        not_negative(VENUE, f"bonus of {what}", row.bonus) or zero,
        not is_left_out(row.spot_borrow),
    )


def _clean(text: str) -> str:
    """Return a name as bounded printable ASCII: it is text of the venue."""
    return "".join(c for c in text if c.isascii() and c.isprintable() and c != " ")[:32] or "?"
