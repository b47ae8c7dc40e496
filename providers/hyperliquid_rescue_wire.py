"""What Hyperliquid says that only a rescue needs: free funds, who may sign for whom, asset ids, transfers, replies.

Wire: hyperliquid.gitbook.io, "Info endpoint", "Exchange endpoint" and "Asset IDs" (read 2026-11); recorded replies of
`userRole` in hyperliquid-dex/hyperliquid-python-sdk. Pure functions; everything but what we rely on is optional.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.record import record
from providers.errors import Malformed, Refused, Unreachable
from providers.http import decode
from providers.hyperliquid_wire import VENUE
from providers.text import inert

_ZERO = Decimal(0)
# hyperliquid.gitbook.io, "Asset IDs": builder-deployed perps start here, each dex has this many.
_BUILDER_BASE, _PER_DEX = 100_000, 10_000


class RoleKind(StrEnum):
    """What an address is to the venue."""

    USER = "user"
    AGENT = "agent"
    SUB_ACCOUNT = "subAccount"
    VAULT = "vault"
    MISSING = "missing"


@record
class Role:
    """What an address is, and the account that it belongs to: an agent's user, a sub-account's master."""

    kind: RoleKind
    of: str = ""


@record
class Stake:
    """One position as far as its margin goes. `raw_usd` is its cash, `funding` what it paid or got since it was opened.

    Adding margin raises `raw_usd` by exactly what was added; funding and trades move it as well. `mark_price` is `None`
    where the venue does not tell the position's value.
    """

    coin: str
    size: Decimal
    is_isolated: bool
    raw_usd: Decimal | None
    funding: Decimal | None
    mark_price: Decimal | None = None


@record
class Purse:
    """One dex of a user: what may be taken out of it, its positions, and the venue's own time."""

    withdrawable: Decimal | None
    stakes: tuple[Stake, ...]
    time_ms: int | None

    def stake(self, coin: str) -> Stake | None:
        """Return the position in `coin`, `None` when there is none."""
        return next((stake for stake in self.stakes if stake.coin == coin), None)


@record
class Transfer:
    """One USDC move of the ledger between dexes of the user ("" is the main perp dex, "spot" the spot balance).

    `nonce` is the action's own, where it is told.
    """

    usd: Decimal
    time_ms: int
    hash: str
    nonce: int | None
    source: str = "spot"
    destination: str = ""


class _Data(msgspec.Struct, frozen=True):
    user: str = ""
    master: str = ""


class _Role(msgspec.Struct, frozen=True):
    role: str
    data: _Data | None = None


class _Leverage(msgspec.Struct, frozen=True):
    type: str = "cross"
    rawUsd: Decimal | None = None


class _Funding(msgspec.Struct, frozen=True):
    sinceOpen: Decimal | None = None


class _Position(msgspec.Struct, frozen=True):
    coin: str
    szi: Decimal
    leverage: _Leverage = _Leverage()
    cumFunding: _Funding = _Funding()
    positionValue: Decimal | None = None


class _Asset(msgspec.Struct, frozen=True):
    position: _Position


class _State(msgspec.Struct, frozen=True):
    assetPositions: list[_Asset] = []
    withdrawable: Decimal | None = None
    time: int | None = None


class _Balance(msgspec.Struct, frozen=True):
    coin: str
    total: Decimal
    hold: Decimal = _ZERO


class _Spot(msgspec.Struct, frozen=True):
    balances: list[_Balance] = []


class _Coin(msgspec.Struct, frozen=True):
    name: str
    isDelisted: bool = False
    szDecimals: int | None = None


class _Meta(msgspec.Struct, frozen=True):
    universe: list[_Coin]
    collateralToken: int = 0


class _Dex(msgspec.Struct, frozen=True):
    name: str = ""


class _Delta(msgspec.Struct, frozen=True):
    type: str
    usdc: Decimal | None = None
    toPerp: bool | None = None
    token: str = ""
    amount: Decimal | None = None
    sourceDex: str | None = None
    destinationDex: str | None = None
    nonce: int | None = None


class _Update(msgspec.Struct, frozen=True):
    time: int
    delta: _Delta
    hash: str = ""


class _Answer(msgspec.Struct, frozen=True):
    status: str
    response: msgspec.Raw = msgspec.Raw(b"null")


def parse_role(raw: bytes) -> Role:
    """Return a `userRole` reply; a word that we do not know is `Malformed`."""
    wire = decode(VENUE, "userRole", raw, _Role)
    if wire.role not in set(RoleKind):
        raise Malformed(VENUE, f"userRole: unknown role {inert(wire.role, 24)!r}")
    data = wire.data or _Data()
    return Role(RoleKind(wire.role), (data.user or data.master).lower())


def parse_purse(raw: bytes) -> Purse:
    """Return a `clearinghouseState` reply; raises `Malformed`."""
    wire = decode(VENUE, "clearinghouseState", raw, _State)
    stakes = tuple(
        Stake(
            held.coin,
            _finite(held.szi, "size"),
            held.leverage.type == "isolated",
            _optional(held.leverage.rawUsd, "rawUsd"),
            _optional(held.cumFunding.sinceOpen, "funding"),
            _mark_price(held),
        )
        for held in (each.position for each in wire.assetPositions)
        if held.szi != 0
    )
    return Purse(_optional(wire.withdrawable, "withdrawable"), stakes, wire.time)


def parse_free(raw: bytes, coin: str) -> Decimal:
    """Return how much of `coin` a `spotClearinghouseState` reply leaves free; 0 when the coin is not listed."""
    balances = decode(VENUE, "spotClearinghouseState", raw, _Spot).balances
    free = sum((_finite(held.total, coin) - _finite(held.hold, coin) for held in balances if held.coin == coin), _ZERO)
    return max(free, _ZERO)


@record
class Rules:
    """A dex's rules that a rescue needs: decimals of quantities by coin, and whether its collateral is USDC."""

    size_decimals: Mapping[str, int]
    is_usdc: bool


def parse_rules(meta: bytes) -> Rules:
    """Return what a `meta` reply says of lots and collateral; raises `Malformed`."""
    wire = decode(VENUE, "meta", meta, _Meta)
    told = {each.name: each.szDecimals for each in wire.universe if each.szDecimals is not None}
    if not all(0 <= decimals <= 6 for decimals in told.values()):
        raise Malformed(VENUE, "meta: szDecimals not within 0 and 6")
    return Rules(told, wire.collateralToken == 0)


def parse_asset_id(meta: bytes, dexes: bytes | None, coin: str) -> int | None:
    """Return the id of `coin`: its place in its dex's universe, `None` when it is not traded there.

    `dexes` is the `perpDexs` reply, needed for a coin of a builder-deployed dex ("xyz:TSLA"). Raises `Malformed`.
    """
    universe = decode(VENUE, "meta", meta, _Meta).universe
    index = next((place for place, each in enumerate(universe) if each.name == coin and not each.isDelisted), None)
    if index is None or ":" not in coin:
        return index
    names = [dex.name if dex else "" for dex in decode(VENUE, "perpDexs", dexes or b"[]", list[_Dex | None])]
    dex = coin.partition(":")[0]
    return None if dex not in names else _BUILDER_BASE + names.index(dex) * _PER_DEX + index


def parse_transfers(raw: bytes) -> tuple[Transfer, ...]:
    """Return the moves of USDC between dexes of a `userNonFundingLedgerUpdates` reply; raises `Malformed`."""
    found = []
    for update in decode(VENUE, "userNonFundingLedgerUpdates", raw, list[_Update]):
        delta = update.delta
        usd, source, destination = None, "spot", ""
        if delta.type == "accountClassTransfer" and delta.toPerp:
            usd = delta.usdc
        elif delta.type == "send" and delta.token.partition(":")[0] == "USDC":
            usd, source, destination = delta.amount, delta.sourceDex or "", delta.destinationDex or ""
        if usd is not None:
            known = (update.time, inert(update.hash, 66), delta.nonce, source, destination)
            found.append(Transfer(_finite(usd, "transfer"), *known))
    return tuple(found)


def check_taken(raw: bytes) -> None:
    """Return when an `/exchange` reply says that the action was taken.

    Raises `Refused` with the venue's words when it was not, `Unreachable` when the reply tells neither.
    """
    try:
        wire = decode(VENUE, "exchange", raw, _Answer)
    except Malformed as error:
        raise Unreachable(VENUE, f"unreadable reply, the action may have been taken: {error.detail}") from error
    if wire.status == "ok":
        return
    if wire.status != "err":
        raise Unreachable(VENUE, f"reply {inert(wire.status, 24)!r}: the action may have been taken")
    try:
        words = msgspec.json.decode(bytes(wire.response), type=str)
    except msgspec.MsgspecError:
        words = bytes(wire.response).decode(errors="replace")
    raise Refused(VENUE, inert(words, 160) or "refused without a word")


def _mark_price(held: _Position) -> Decimal | None:
    value = _optional(held.positionValue, "value")
    return value / abs(held.szi) if value is not None and value > 0 else None


def _finite(value: Decimal, what: str) -> Decimal:
    if not value.is_finite() or abs(value.adjusted()) > 40:
        raise Malformed(VENUE, f"{what}: not a finite number of sane size")
    return value


def _optional(value: Decimal | None, what: str) -> Decimal | None:
    return None if value is None else _finite(value, what)
