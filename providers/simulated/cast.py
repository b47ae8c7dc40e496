"""The twelve accounts of the simulated market, of all three kinds, from nearly lost to free of debt.

Amounts are the simulation's own; thresholds, tiers and rates are of the size that the protocols and venues publish.
"""

from collections.abc import Mapping
from decimal import Decimal

from engine.accounts import Collateral, Debt, MarginMode, Position, Tier
from engine.record import record
from providers.margin_tiers import continuous_tiers
from providers.simulated.oracles import ARBITRUM, BASE, ETHEREUM, Chain


@record
class LoanPlan:
    """A loan of the cast at the start; amounts grow by their rates from then on."""

    provider: str
    chain: Chain
    collateral: tuple[Collateral, ...]
    debt: tuple[Debt, ...] = ()
    close_factor: str | None = None
    note: str = ""


@record
class PerpPlan:
    """A perp account of the cast at the start. `basis_bps` is how far its marks stand from the market."""

    provider: str
    venue: str
    positions: tuple[Position, ...]
    balance: str
    mode: MarginMode = MarginMode.CROSS
    quote: str = "USDT"
    basis_bps: float = 0.0
    reports_liquidation: bool = False
    note: str = ""


@record
class BrokerPlan:
    """A broker account of the cast at the start; its cash grows by `cash_rate`."""

    provider: str
    venue: str
    positions: tuple[Position, ...]
    cash: str
    cash_rate: str
    note: str = ""


Plan = LoanPlan | PerpPlan | BrokerPlan


def _in(asset: str, amount: str, threshold: str, max_ltv: str, rate: str, bonus: str) -> Collateral:
    return Collateral(asset, Decimal(amount), Decimal(threshold), Decimal(max_ltv), Decimal(rate), Decimal(bonus))


def _out(asset: str, amount: str, rate: str) -> Debt:
    return Debt(asset, Decimal(amount), Decimal(rate))


def _tiers(*steps: tuple[int, str]) -> tuple[Tier, ...]:
    return continuous_tiers((Decimal(floor), Decimal(rate)) for floor, rate in steps)


def _held(asset: str, quantity: str, entry: str, tiers: tuple[Tier, ...], funding: str, leverage: int) -> Position:
    size = Decimal(quantity)
    margin = abs(size) * Decimal(entry) / leverage
    return Position(asset, size, tiers, Decimal(entry), funding_rate=Decimal(funding), margin_used=margin)


_HL_BTC = _tiers((0, "0.0125"), (150_000_000, "0.025"))
_HL_SOL = _tiers((0, "0.025"), (70_000_000, "0.05"))
_BINANCE_ETH = _tiers((0, "0.004"), (300_000, "0.005"), (800_000, "0.0065"), (3_000_000, "0.01"))
_BYBIT_SOL = _tiers((0, "0.01"), (200_000, "0.0125"), (600_000, "0.02"))
_OKX_SOL = _tiers((0, "0.0065"), (150_000, "0.01"), (500_000, "0.02"))
_KRAKEN_XRP = _tiers((0, "0.01"), (500_000, "0.02"))
_BROKER = _tiers((0, "0.25"))

CAST: Mapping[str, Plan] = {
    "main": LoanPlan(
        "aave-v3",
        ETHEREUM,
        (_in("ETH", "24.15", "0.83", "0.805", "0.015", "0.05"), _in("WBTC", "0.021", "0.78", "0.73", "0.001", "0.05")),
        (_out("USDC", "41500", "0.052"), _out("USDT", "3330", "0.048")),
        close_factor="0.5",
        note="ETH and a little wBTC against dollars",
    ),
    "hl-short": PerpPlan(
        "hyperliquid",
        "hyperliquid",
        (_held("BTC", "-1.2", "59740", _HL_BTC, "0.0876", 20), _held("SOL", "60", "131.4", _HL_SOL, "0.11", 10)),
        balance="8190",
        quote="USDC",
        basis_bps=0.8,
        reports_liquidation=True,
        note="short BTC, a little SOL long beside it",
    ),
    "bybit-sol": PerpPlan(
        "bybit",
        "bybit iso",
        (_held("SOL", "220", "141.2", _BYBIT_SOL, "0.0657", 6),),
        balance="5270",
        mode=MarginMode.ISOLATED,
        basis_bps=-1.1,
        reports_liquidation=True,
        note="one isolated position",
    ),
    "arb-loop": LoanPlan(
        "aave-v3",
        ARBITRUM,
        (_in("wstETH", "38.5", "0.95", "0.93", "0.0002", "0.01"),),
        (_out("ETH", "36.55", "0.0245"),),
        close_factor="0.5",
        note="staked ether against ether, eMode",
    ),
    "morpho-wbtc": LoanPlan(
        "morpho-blue",
        BASE,
        (_in("WBTC", "0.92", "0.86", "0.86", "0", "0.0438"),),
        (_out("USDC", "36750", "0.0585"),),
        close_factor="1",
    ),
    "comet": LoanPlan(
        "compound-v3",
        ETHEREUM,
        (_in("ETH", "15", "0.9", "0.84", "0", "0.05"),),
        (_out("USDC", "20600", "0.0462"),),
        close_factor="1",
    ),
    "bn-cross": PerpPlan(
        "binance-usdm",
        "binance um",
        (
            _held("ETH", "20", "2395.5", _BINANCE_ETH, "0.0712", 10),
            _held("XRP", "1500", "2.054", _KRAKEN_XRP, "0.043", 5),
        ),
        balance="7220",
        basis_bps=0.4,
    ),
    "spark": LoanPlan(
        "spark",
        ETHEREUM,
        (
            _in("USDC", "42000", "0.78", "0.75", "0.036", "0.045"),
            _in("wstETH", "1.6", "0.80", "0.785", "0.0002", "0.06"),
        ),
        (_out("USDT", "16400", "0.0491"),),
        close_factor="0.5",
    ),
    "ibkr": BrokerPlan(
        "ibkr",
        "ibkr",
        (
            Position("SPY", Decimal(140), _BROKER, Decimal("471.20")),
            Position("QQQ", Decimal(60), _BROKER, Decimal("402.55")),
        ),
        cash="-38150",
        cash_rate="0.0583",
    ),
    "okx-swap": PerpPlan(
        "okx",
        "okx cross",
        (
            _held("SOL", "90", "119.7", _OKX_SOL, "0.081", 3),
            _held("ETH", "1.5", "2310", _BINANCE_ETH, "0.0698", 3),
        ),
        balance="7450",
        basis_bps=-0.6,
    ),
    "kraken-fut": PerpPlan(
        "kraken-futures",
        "kraken",
        (_held("XRP", "3400", "1.98", _KRAKEN_XRP, "0.0493", 2),),
        balance="4320",
        quote="USD",
        basis_bps=1.2,
    ),
    "vault-old": LoanPlan(
        "aave-v3",
        ETHEREUM,
        (_in("ETH", "2.6", "0.83", "0.805", "0.015", "0.05"), _in("USDC", "450", "0.78", "0.75", "0.036", "0.045")),
        note="supplied, nothing borrowed",
    ),
}
