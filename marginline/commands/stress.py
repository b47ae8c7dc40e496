"""`marginline stress`: what shocks, paths of the past and grids of price, volatility and rate do to every account."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.accounts import Account, Kind
from engine.answers import envelope
from engine.prices import AssetPrice
from engine.record import record
from engine.rendering import rounded
from engine.replays import REPLAYS, replayed
from engine.shocks import FACTOR, Market, Scenario, by_beta, parse_fraction, parse_move, scenario, spread
from engine.stress import FactorMove, Outcome, factor_move, first_to_go, market_of, stressed
from marginline.commands.ground import Ground, held, say_all
from marginline.exits import Exit
from marginline.output import put, put_json, put_table
from providers.errors import ConfigError
from tui import numbers

if TYPE_CHECKING:
    from engine.simulation.grid import Cell

SCHEMA = "marginline.stress/1"
USUAL = ("-10%", "-20%", "-30%", "-40%", "-50%")
GAS_OF_A_LIQUIDATION = 600_000
"""Units of gas of one Aave liquidation call with its swap: an assumption that the answer names."""
_GWEI = Decimal("1e-9")
Prices = Mapping[str, AssetPrice]


@record
class Wish:
    """What the command line asked for, as it was written."""

    shocks: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ()
    beta_shocks: tuple[str, ...] = ()
    betas: tuple[str, ...] = ()
    replays: tuple[str, ...] = ()
    rates: str | None = None
    days: float = 0.0
    oracle_behind: str | None = None
    gas_gwei: float | None = None
    alone: bool = False
    matrix: bool = False


def stress(ground: Ground, wish: Wish, *, as_json: bool) -> Exit:
    """Print the outcome of every scenario for every account; 0 when it answered. Raises `AppError`."""
    found = held(ground)
    document = found.portfolio
    accounts, prices = document.accounts, document.prices
    try:
        market = market_of(accounts, prices, dict(map(_beta, wish.betas)))
        scenarios = _scenarios(wish, market)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    outcomes = [(one, [stressed(account, prices, one) for account in accounts]) for one in scenarios]
    moves = [factor_move(account, prices, market) for account in accounts]
    cells: list[Cell] = []
    if wish.matrix:
        from engine.simulation.grid import grid

        cells = grid(accounts, prices, market)
    degraded = found.degraded
    if as_json:
        answer = envelope(
            SCHEMA,
            document.as_of_ns,
            degraded,
            scenarios=[_scenario_answer(one, results, accounts, prices, wish) for one, results in outcomes],
            market_factor={
                "factor": FACTOR,
                "betas": {asset: rounded(market.beta(asset)) for asset in sorted(market.assets)},
                "accounts": [
                    {"name": one.name, "move": rounded(one.move), "reason": one.reason or None} for one in moves
                ],
            },
        )
        if wish.matrix:
            answer["matrix"] = [cell.answer() for cell in cells]
        put_json(answer)
        return Exit.OK
    for one, results in outcomes:
        _put_scenario(one, results)
    _put_factor(moves)
    if wish.matrix:
        from engine.simulation.grid import put_rows

        headings, rows = put_rows(cells)
        put()
        put_table(headings, rows, left=2)
    say_all(degraded)
    return Exit.OK


def _beta(text: str) -> tuple[str, Decimal]:
    name, equals, value = text.partition("=")
    try:
        beta = Decimal(value.strip())
    except ArithmeticError:
        beta = Decimal("NaN")
    if not (equals and name.strip() and beta.is_finite() and -10 <= beta <= 10):
        raise ValueError(f"--beta {text[:40]!r}: write ASSET=BETA, as in SOL=1.3")
    return name.strip(), beta


def _scenarios(wish: Wish, market: Market) -> list[Scenario]:
    """Return the scenarios asked for, else uniform falls and every replay; raises `ValueError` for what is no shock."""
    found: list[Scenario] = []
    if wish.shocks:
        found.append(_of_moves(", ".join(wish.shocks), wish.shocks, market, wish))
    for text in wish.scenarios:
        found.append(_of_moves(text, text.split(","), market, wish))
    for text in wish.beta_shocks:
        name, move = parse_move(text)
        if name != FACTOR:
            raise ValueError(f"--beta-shock {text[:40]!r}: the market factor is {FACTOR}; write {FACTOR}=-20%")
        moves, assumed = by_beta(move, market)
        found.append(scenario(f"{text} by beta", moves, assumed))
    for name in wish.replays:
        if name != "all" and name not in REPLAYS:
            raise ValueError(f"--replay {name[:24]!r}: there are {', '.join(REPLAYS)} and all")
        found += [replayed(REPLAYS[each], market) for each in (REPLAYS if name == "all" else (name,))]
    if not found and not wish.matrix and not wish.rates:
        found = [_of_moves(f"all={move}", (f"all={move}",), market, wish) for move in USUAL]
        found += [replayed(each, market) for each in REPLAYS.values()]
    if not found:
        found.append(scenario("prices as they are", {}))
    rate = Decimal(0) if wish.rates is None else _rate(wish.rates)
    behind = Decimal(0) if wish.oracle_behind is None else parse_fraction(wish.oracle_behind, "--oracle-behind")
    if not 0 <= behind < Decimal("0.5"):
        raise ValueError("--oracle-behind: an oracle is 0 to 50 % behind; write 0.5% for a deviation threshold")
    days = Decimal(str(wish.days)) if wish.days else Decimal(30) if rate else Decimal(0)
    return [
        Scenario(each.name, each.steps, rate, days, behind, each.source, (*each.assumed, *_rate_words(rate, days)))
        for each in found
    ]


def _rate_words(rate: Decimal, days: Decimal) -> tuple[str, ...]:
    return (f"every rate paid is {rate * 100:f} points a year higher for {days:f} days",) if days else ()


def _rate(text: str) -> Decimal:
    try:
        return parse_fraction(text.removeprefix("+"), "--rates")
    except ValueError as error:
        raise ValueError(f"--rates: {error}; write +30% for 30 points a year more") from error


def _of_moves(name: str, texts: Sequence[str], market: Market, wish: Wish) -> Scenario:
    moves = dict(map(parse_move, texts))
    if len(moves) != len(texts):
        raise ValueError(f"{name[:60]!r} moves an asset twice")
    spread_out, assumed = spread(moves, market, alone=wish.alone)
    return scenario(name, spread_out, assumed)


def _scenario_answer(
    one: Scenario, results: Sequence[Outcome], accounts: Sequence[Account], prices: Prices, wish: Wish
) -> dict[str, object]:
    rows = [
        {
            "name": outcome.name,
            "health_factor": rounded(outcome.health_factor),
            "liquidated": outcome.liquidated,
            "loss": rounded(outcome.loss),
            "at": rounded(outcome.at),
            "hours": outcome.hours,
            "reason": outcome.reason or None,
            **_gas(account, outcome, prices, wish),
        }
        for account, outcome in zip(accounts, results, strict=True)
    ]
    return {
        "name": one.name,
        "moves": {asset: rounded(move) for asset, move in one.steps[-1].moves.items()},
        "source": one.source or None,
        "assumed": list(one.assumed),
        "first": first_to_go(results),
        "accounts": rows,
    }


def _gas(account: Account, outcome: Outcome, prices: Prices, wish: Wish) -> dict[str, object]:
    """Return whether the bonus pays a liquidator's gas at the asked price; nothing when gas was not asked for."""
    if wish.gas_gwei is None or account.kind is not Kind.LOAN:
        return {}
    entry = prices.get("ETH")
    oracle = account.oracles.get("ETH") or (None if entry is None else entry.oracle)
    cost = None
    if oracle is not None:
        cost = Decimal(str(wish.gas_gwei)) * _GWEI * GAS_OF_A_LIQUIDATION * oracle.price
    worth = None if cost is None or outcome.loss is None else outcome.loss > cost
    return {"gas_cost": rounded(cost), "worth_liquidating": worth}


def _put_scenario(one: Scenario, results: Sequence[Outcome]) -> None:
    order = {name: str(index) for index, name in enumerate(first_to_go(results), 1)}
    rows = [
        (
            f"  {outcome.name}",
            "unknown" if outcome.liquidated is None else "LIQUIDATED" if outcome.liquidated else "stands",
            _health(outcome),
            order.get(outcome.name, ""),
            "" if not outcome.hours else f"{outcome.hours} h",
            "" if not outcome.liquidated else "?" if outcome.loss is None else numbers.debt(outcome.loss),
        )
        for outcome in results
    ]
    put(one.name)
    put_table(("  ACCOUNT", "OUTCOME", "HEALTH", "FIRST", "AFTER", "LOST"), rows, left=2)
    put()
    say_all([f"{one.name}: {said}" for said in one.assumed])
    say_all([f"{outcome.name}: {outcome.reason}" for outcome in results if outcome.reason])


def _health(outcome: Outcome) -> str:
    if outcome.health_factor is None:
        return "no debt" if outcome.liquidated is False else "?"
    return numbers.health(outcome.health_factor)


def _put_factor(moves: Sequence[FactorMove]) -> None:
    put(f"liquidated when {FACTOR} moves, every asset by its beta")
    rows = [
        ("  " + one.name, one.reason if one.move is None else f"{numbers.distance(one.move, falls=one.move < 0)} %")
        for one in moves
    ]
    put_table(("  ACCOUNT", "MOVE"), rows, left=2)
