"""The twelve accounts of the simulated market, of all three kinds, from nearly lost to free of debt.

Amounts are the simulation's own; thresholds, tiers and rates are of the size that the protocols and venues publish.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from math import exp

from engine.accounts import Account, Collateral, Debt, Kind, MarginMode, Position, Tier, VenueReport
from engine.prices import OraclePrice
from providers.margin_tiers import continuous_tiers
from providers.simulated.oracles import ARBITRUM, BASE, ETHEREUM, Chain, Oracles
from providers.simulated.path import PLACES, YEAR_S, Prices, decimal_of
from providers.simulated.scenarios import Scenario

_AMOUNT_PLACES = 6
_SHORT = {"morpho-blue": "morpho", "compound-v3": "compound"}


@dataclass(frozen=True, slots=True)
class LoanPlan:
    """A loan of the cast at the start; amounts grow by their rates from then on."""

    provider: str
    chain: Chain
    collateral: tuple[Collateral, ...]
    debt: tuple[Debt, ...] = ()
    close_factor: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


class Cast:
    """The accounts as their chains, venues and broker would show them at one simulated moment."""

    def __init__(self, prices: Prices, oracles: Oracles, scenario: Scenario) -> None:
        self._prices, self._oracles, self._scenario = prices, oracles, scenario

    def account(self, name: str, at_s: float) -> Account:
        """Return one account at `at_s` (at the latest block for a chain). Raises `KeyError` for a stranger."""
        match plan := CAST[name]:
            case LoanPlan():
                return self._loan(name, plan, plan.chain.block(at_s)[1])
            case PerpPlan():
                return self._perp(name, plan, at_s)
            case BrokerPlan():
                return self._broker(name, plan, at_s)

    def marks(self, name: str, at_s: float, at_ns: int) -> Mapping[str, OraclePrice]:
        """Return the trigger prices that come with a perp or broker account, by asset; empty for loans."""
        plan = CAST[name]
        if isinstance(plan, LoanPlan):
            return {}
        return {
            held.asset: OraclePrice(self._mark(plan, held.asset, at_s), at_ns, at_ns, source=f"{plan.provider} mark")
            for held in plan.positions
        }

    def _loan(self, name: str, plan: LoanPlan, at_s: float) -> Account:
        scale = self._scenario.debt_scale.get(name, 1.0)
        collateral = tuple(replace(leg, amount=_grown(leg.amount, leg.supply_rate, at_s)) for leg in plan.collateral)
        debt = tuple(replace(leg, amount=_grown(leg.amount, leg.borrow_rate, at_s, scale)) for leg in plan.debt)
        assets = dict.fromkeys([*(leg.asset for leg in collateral), *(leg.asset for leg in debt)])
        return Account(
            name,
            Kind.LOAN,
            plan.provider,
            plan.chain.chain_id,
            collateral=collateral,
            debt=debt,
            oracles={asset: self._oracles.at(plan.chain, asset, at_s) for asset in assets},
            close_factor=Decimal(plan.close_factor) if plan.close_factor else None,
            venue=f"{_SHORT.get(plan.provider, plan.provider)} {plan.chain.label}",
            note=plan.note,
        )

    def _perp(self, name: str, plan: PerpPlan, at_s: float) -> Account:
        positions = tuple(replace(held, mark_price=self._mark(plan, held.asset, at_s)) for held in plan.positions)
        funding = sum(
            _float(held.quantity) * _float(held.entry_price) * _float(held.funding_rate) for held in positions
        )
        balance = Decimal(plan.balance) - _signed(funding * at_s / YEAR_S)
        equity = balance + sum((_profit(held) for held in positions), Decimal(0))
        requirement = sum((_maintenance(held) for held in positions), Decimal(0))
        if plan.reports_liquidation:
            positions = tuple(
                replace(held, venue_liquidation_price=_venue_liquidation(held, equity - requirement))
                for held in positions
            )
        return Account(
            name,
            Kind.PERP,
            plan.provider,
            mode=plan.mode,
            quote=plan.quote,
            balance=balance,
            positions=positions,
            reported=VenueReport(equity=equity, maintenance_requirement=requirement),
            venue=plan.venue,
            note=plan.note,
        )

    def _broker(self, name: str, plan: BrokerPlan, at_s: float) -> Account:
        cash_rate = Decimal(plan.cash_rate)
        return Account(
            name,
            Kind.BROKER,
            plan.provider,
            balance=_grown(Decimal(plan.cash), cash_rate, at_s),
            cash_rate=cash_rate,
            positions=tuple(replace(held, mark_price=self._mark(plan, held.asset, at_s)) for held in plan.positions),
            venue=plan.venue,
            note=plan.note,
        )

    def _mark(self, plan: PerpPlan | BrokerPlan, asset: str, at_s: float) -> Decimal:
        basis_bps = plan.basis_bps if isinstance(plan, PerpPlan) else 0.0
        return decimal_of(self._prices.at(asset, at_s) * (1 + basis_bps / 10_000), PLACES[asset])


def _signed(value: float) -> Decimal:
    """Return `value`, of either sign, rounded to the places that amounts carry."""
    return Decimal(round(value * 10**_AMOUNT_PLACES)).scaleb(-_AMOUNT_PLACES)


def _float(value: Decimal | None) -> float:
    return float(value) if value is not None else 0.0


def _grown(amount: Decimal, rate: Decimal | None, at_s: float, scale: float = 1.0) -> Decimal:
    return _signed(float(amount) * scale * exp(_float(rate) * at_s / YEAR_S))


def _profit(held: Position) -> Decimal:
    if held.mark_price is None or held.entry_price is None:
        return Decimal(0)
    return held.quantity * (held.mark_price - held.entry_price)


def _maintenance(held: Position) -> Decimal:
    notional = abs(held.quantity) * (held.mark_price or Decimal(0))
    tier = max((tier for tier in held.tiers if tier.notional_floor <= notional), key=lambda tier: tier.notional_floor)
    return notional * tier.maintenance_rate - tier.deduction


def _venue_liquidation(held: Position, available: Decimal) -> Decimal | None:
    """Return the price that a venue shows: mark - side x available / size / (1 - rate x side) within one tier."""
    side, size, mark = (1 if held.quantity > 0 else -1), abs(held.quantity), held.mark_price or Decimal(0)
    price = mark - side * available / size / (1 - held.tiers[0].maintenance_rate * side)
    return price.quantize(Decimal(1).scaleb(-PLACES[held.asset])) if price > 0 else None
