"""What a rescuer holds in the simulated market: one small wallet per loan, free funds beside every perp account.

Together they show every state of readiness: funds at hand, an approval still missing, no gas, an empty source.
"""

from collections.abc import Mapping
from decimal import Decimal

from engine.record import record

PROTOCOL = "0x" + "7e57" * 10
"""The one contract of every simulated protocol."""

DECIMALS: Mapping[str, int] = {"ETH": 18, "wstETH": 18, "WBTC": 8, "USDC": 6, "USDT": 6, "USD": 2}
PERMITS = frozenset({"USDC"})


@record
class Holding:
    """An amount of one asset at the start; `allowance` is what the protocol may already take, `None` on a venue."""

    asset: str
    amount: Decimal
    allowance: Decimal | None = None
    is_native: bool = False


@record
class Wallet:
    """A rescuer's holdings at the start; `gas` is the chain's coin beside them, `None` on a venue."""

    source: str
    owner: str
    holdings: tuple[Holding, ...]
    gas: Decimal | None = None


def _rescue(tail: str, gas: str, *holdings: Holding) -> Wallet:
    return Wallet(f"rescue 0x51..{tail}", "0x51" + "0" * 36 + tail, holdings, Decimal(gas))


def _venue(asset: str, amount: str) -> Wallet:
    return Wallet("spot", "", (Holding(asset, Decimal(amount)),))


def _held(asset: str, amount: str, allowance: str = "0") -> Holding:
    return Holding(asset, Decimal(amount), Decimal(allowance))


WALLETS: Mapping[str, Wallet] = {
    "main": _rescue(
        "a1",
        "3.2",
        _held("USDC", "14000", "1000000"),
        Holding("ETH", Decimal("3.2"), Decimal(0), is_native=True),
        _held("USDT", "4000"),
    ),
    "arb-loop": _rescue("a2", "0.05", _held("ETH", "14"), _held("wstETH", "2")),
    "morpho-wbtc": _rescue("a3", "0", _held("USDC", "9000", "1000000")),
    "comet": _rescue("a4", "0.4", _held("USDC", "4000", "1000000")),
    "spark": _rescue("a5", "0.4", _held("USDT", "9000")),
    "vault-old": _rescue("a6", "3.2", _held("USDC", "14000", "1000000")),
    "hl-short": _venue("USDC", "15000"),
    "bybit-sol": _venue("USDT", "7500"),
    "bn-cross": _venue("USDT", "0"),
    "okx-swap": _venue("USDT", "2500"),
    "kraken-fut": _venue("USD", "1500"),
}
