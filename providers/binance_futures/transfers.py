"""Coins from the spot wallet into a futures or portfolio margin account, and finding out whether one arrived.

Wire: developers.binance.com, "Wallet", user universal transfer (read 2026-11). The venue takes no client id for it: a
transfer is found by its type, coin, amount and time, in the wallet's history, or as income of the futures wallet.
"""

from collections.abc import Mapping
from decimal import Decimal

from engine.rendering import plain
from engine.rescue import Funds
from providers.binance_futures.client import RECV_WINDOW_MS, Client
from providers.binance_futures.permissions import Permissions, parse_permissions
from providers.binance_futures.rescue_wire import Moved, parse_income, parse_spot, parse_transfer, parse_transfers
from providers.errors import ProviderError, Refused
from providers.rescue_ports import Fate, Found

TRANSFER = "transfer"
TRANSFER_PATH = "/sapi/v1/asset/transfer"
SPOT = "spot wallet"
GRACE_MS = 90_000
"""A request is dead after its window of five seconds; histories get this long to show one that was taken."""
_EARLY_MS = 1_000
_NO_HOST = "this network has no transfers between wallets"


class Transfers:
    """Transfers of one `kind` ("MAIN_UMFUTURE"). `wallet` is `None` where the network has none.

    `income` reads what arrived on the other side, `None` where no such history exists.
    """

    def __init__(self, wallet: Client | None, kind: str, income: Client | None) -> None:
        self._wallet, self._kind, self._income = wallet, kind, income
        self._taken: dict[str, str] = {}

    async def permissions(self) -> Permissions:
        """Return what the key may do; raises `ProviderError`."""
        if self._wallet is None:
            return Permissions()
        return parse_permissions(await self._wallet.signed("/sapi/v1/account/apiRestrictions"))

    async def spot(self, asset: str, permissions: Permissions) -> tuple[Funds | None, str]:
        """Return what is free on spot, or why nothing can be moved from there. Raises nothing of a refusal."""
        if self._wallet is None:
            return None, _NO_HOST
        if permissions.may_transfer is False:
            return None, 'the key may not transfer: it lacks "Permits Universal Transfer"'
        try:
            free = parse_spot(await self._wallet.signed("/api/v3/account", {"omitZeroBalances": "true"}, weight=20))
        except Refused as error:
            return None, f"the spot wallet could not be read: {error.detail}"
        return Funds(asset, free.get(asset, Decimal(0)), SPOT), ""

    def fields(self, asset: str, amount: Decimal) -> dict[str, str]:
        """Return the request's fields in the documented order."""
        return {"type": self._kind, "asset": asset, "amount": plain(amount)}

    def facts(self, asset: str, amount: Decimal) -> dict[str, str]:
        """Return what finds it again."""
        return {"type": self._kind, "asset": asset, "amount": plain(amount)}

    def title(self, asset: str, amount: Decimal, target: str) -> str:
        """Return what the owner confirms."""
        return f"transfer {plain(amount)} {asset} from the spot wallet to {target}"

    def answered(self, facts: Mapping[str, str], raw: bytes) -> Found:
        """Return that it was taken: whether it arrived is told by the history."""
        key = parse_transfer(raw)
        self._taken[facts["at"]] = key
        return Found(Fate.PENDING, f"taken as transfer {key}")

    async def find(self, facts: Mapping[str, str], now_ms: int) -> Found:
        """Return what became of a transfer, by reading only; raises `ProviderError`."""
        if self._wallet is None:
            raise Refused("binance", _NO_HOST)
        at_ms, known = int(facts["at"]), self._taken.get(facts["at"], "")
        since = {"startTime": str(at_ms - _EARLY_MS)}
        asked = {"type": facts["type"], **since, "size": "100"}
        rows = parse_transfers(await self._wallet.signed(TRANSFER_PATH, asked))
        row = _match(rows, facts, known)
        if row is not None:
            match row.status:
                case "CONFIRMED":
                    return Found(Fate.CONFIRMED, f"transfer {row.key} is in the history")
                case "FAILED":
                    return Found(Fate.REJECTED, f"transfer {row.key} failed, says the history")
                case _:
                    return Found(Fate.PENDING, f"transfer {row.key} is {row.status.lower() or 'not settled'}")
        if known:
            return Found(Fate.PENDING, f"taken as transfer {known}, not in the history yet")
        age_ms = now_ms - at_ms
        if age_ms < RECV_WINDOW_MS + GRACE_MS:
            return Found(Fate.PENDING, "not in the transfer history yet")
        if self._income is not None:
            fields = {"incomeType": "TRANSFER", **since}
            arrived = _match(parse_income(await self._income.signed("/fapi/v1/income", fields, weight=30)), facts, "")
            if arrived is not None:
                return Found(Fate.CONFIRMED, f"transfer {arrived.key} arrived in the futures wallet")
        return Found(Fate.REJECTED, f"in no history {age_ms // 1000} s after it was made: it was never taken")


def _match(rows: tuple[Moved, ...], facts: Mapping[str, str], key: str) -> Moved | None:
    """Return the row of this very transfer: by the venue's number where it is known, else the first that fits."""
    if key:
        return next((row for row in rows if row.key == key), None)
    amount, since_ms = Decimal(facts["amount"]), int(facts["at"]) - _EARLY_MS
    fits = [row for row in rows if row.asset == facts["asset"] and row.amount == amount and row.at_ms >= since_ms]
    return min(fits, key=lambda row: row.at_ms, default=None)


async def permissions_or_unknown(transfers: Transfers) -> Permissions:
    """Return the key's permissions; unknown ones when the venue does not tell them now."""
    try:
        return await transfers.permissions()
    except ProviderError:
        return Permissions()
