"""What an API key of Binance may do, as the venue tells it.

Wire: developers.binance.com, "Wallet", `GET /sapi/v1/account/apiRestrictions` (read 2026-11). Told for any key that may
read; test networks do not have it.
"""

import msgspec

from engine.record import record
from providers.binance_futures.numbers import read


@record
class Permissions:
    """A key's rights; `None` where the venue did not say."""

    may_withdraw: bool | None = None
    may_transfer: bool | None = None
    may_trade_futures: bool | None = None
    may_trade_portfolio: bool | None = None
    is_bound_to_ip: bool | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what the owner should change, though nothing here depends on it."""
        if not self.may_withdraw:
            return ()
        where = "from any address" if self.is_bound_to_ip is False else "from its own addresses"
        return (f"this key may withdraw, {where}; marginline never needs that: switch withdrawals off at the venue",)


class _Restrictions(msgspec.Struct, frozen=True):
    enableWithdrawals: bool | None = None
    permitsUniversalTransfer: bool | None = None
    enableFutures: bool | None = None
    enablePortfolioMarginTrading: bool | None = None
    ipRestrict: bool | None = None


def parse_permissions(raw: bytes) -> Permissions:
    """Return an `apiRestrictions` reply; raises `Malformed`."""
    wire = read("apiRestrictions", raw, _Restrictions)
    return Permissions(
        wire.enableWithdrawals,
        wire.permitsUniversalTransfer,
        wire.enableFutures,
        wire.enablePortfolioMarginTrading,
        wire.ipRestrict,
    )
