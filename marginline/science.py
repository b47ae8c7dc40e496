"""The commands of risk science that the command line offers: options here, work in `marginline/commands`."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Config file.", show_default="user config directory")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON envelope on stdout.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0.1, max=300, help="Seconds to wait for sources.")]
PortfolioOption = Annotated[
    str | None, typer.Option("--portfolio", metavar="FILE|-", help="A portfolio document instead of live accounts.")
]
CandlesOption = Annotated[
    Path | None, typer.Option("--candles", metavar="DIR", help="Folder with ASSET_1h.csv: ts,open,high,low,close.")
]
VenueOption = Annotated[
    str | None,
    typer.Option("--from-venue", help="Read candles from binance, bybit or coinbase. Live: the first configured one."),
]
ModelOption = Annotated[
    Path | None, typer.Option("--model", metavar="FILE", help="Coefficients of your own, made by calibrate.")
]


def forecast(
    horizon: Annotated[list[str] | None, typer.Option("--horizon", help="1h, 24h, 7d, or any; repeat it.")] = None,
    time_to_act: Annotated[
        float, typer.Option(min=0, max=86_400, help="Seconds an action needs to land; added to the horizon.")
    ] = 0.0,
    portfolio: PortfolioOption = None,
    candles: CandlesOption = None,
    from_venue: VenueOption = None,
    model: ModelOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = 20.0,
) -> None:
    """Estimate how likely each account is liquidated within an hour, a day and a week.

    \b
    Examples:
        marginline forecast
        marginline forecast --horizon 6h --horizon 3d --time-to-act 180
        marginline forecast --portfolio portfolio.json --candles candles/ --json
    """
    from marginline.commands.forecast import forecast as command
    from marginline.commands.ground import Ground

    ground = Ground(portfolio, candles, from_venue, model, config, timeout)
    raise typer.Exit(command(ground, horizon or [], time_to_act_s=time_to_act, as_json=as_json))


def requirement(
    preset: Annotated[str, typer.Option(help="vol-adjusted, deribit-like or okx-like.")] = "vol-adjusted",
    horizon: Annotated[str, typer.Option(help="How long prices may move: 24h, 7d, or any.")] = "24h",
    confidence: Annotated[float, typer.Option(min=0.5, max=0.9999, help="Share of horizons to be covered.")] = 0.99,
    contingency: Annotated[float | None, typer.Option(min=0, max=1, help="Share of notional added.")] = None,
    slippage: Annotated[float | None, typer.Option(min=0, max=1, help="Expected slippage, share of notional.")] = None,
    portfolio: PortfolioOption = None,
    candles: CandlesOption = None,
    from_venue: VenueOption = None,
    model: ModelOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = 20.0,
) -> None:
    """Show what each account's margin would be under a rule that follows volatility, and what netting would save.

    \b
    Examples:
        marginline requirement
        marginline requirement --preset deribit-like --portfolio portfolio.json
        marginline requirement --confidence 0.999 --horizon 7d --json
    """
    from marginline.commands.ground import Ground
    from marginline.commands.requirement import requirement as command

    raise typer.Exit(
        command(
            Ground(portfolio, candles, from_venue, model, config, timeout),
            preset,
            horizon=horizon,
            confidence=confidence,
            contingency=contingency,
            slippage=slippage,
            as_json=as_json,
        )
    )


def calibrate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Where the coefficients go.")],
    assets: Annotated[
        list[str] | None, typer.Argument(help="Assets; default: every ASSET_1h.csv of the folder.")
    ] = None,
    candles: CandlesOption = None,
    from_venue: VenueOption = None,
    days: Annotated[int, typer.Option(min=365, max=1800, help="Days of history to read from a venue.")] = 1095,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit the forecast to candles of your own, and score it on the last quarter of them, which it has not seen.

    \b
    Examples:
        marginline calibrate own.json --candles candles/
        marginline calibrate own.json SOL LINK --from-venue binance
        marginline forecast --model own.json
    """
    from marginline.commands.calibrate import calibrate as command

    raise typer.Exit(command(out, assets or [], candles, from_venue, config, days=days, as_json=as_json))


def stress(
    shock: Annotated[
        list[str] | None, typer.Option("--shock", metavar="NAME=MOVE", help="An asset or stables, staked, majors, all.")
    ] = None,
    scenario: Annotated[
        list[str] | None, typer.Option("--scenario", metavar="A=MOVE,B=MOVE", help="A scenario of its own; repeat it.")
    ] = None,
    beta_shock: Annotated[
        list[str] | None, typer.Option("--beta-shock", metavar="ETH=MOVE", help="ETH moves, all others by their beta.")
    ] = None,
    beta: Annotated[list[str] | None, typer.Option("--beta", metavar="ASSET=BETA", help="A log beta to ETH.")] = None,
    replay: Annotated[
        list[str] | None, typer.Option("--replay", help="2020-03-12, luna, ftx, capped-oracle, ... or all.")
    ] = None,
    rates: Annotated[
        str | None, typer.Option("--rates", help="Points a year on every rate that is paid: +30%.")
    ] = None,
    days: Annotated[float, typer.Option(min=0, max=3650, help="For how long rates are paid; 30 with --rates.")] = 0,
    oracle_behind: Annotated[
        str | None, typer.Option("--oracle-behind", help="How far a protocol's price stays behind: 0.5%.")
    ] = None,
    gas: Annotated[float | None, typer.Option(min=0, help="Gas price in gwei: is a liquidation worth it?")] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="Staked and wrapped tokens do not follow their asset.")
    ] = False,
    matrix: Annotated[bool, typer.Option("--matrix", help="A grid of price, volatility and rate.")] = False,
    portfolio: PortfolioOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = 20.0,
) -> None:
    """Say what shocks and crashes of the past would do to each account, who goes first, and what is lost.

    \b
    Examples:
        marginline stress --shock ETH=-20%
        marginline stress --scenario ETH=-20%,BTC=-10% --scenario stables=-3% --portfolio portfolio.json --json
        marginline stress --replay all --oracle-behind 0.5%
    """
    from marginline.commands.ground import Ground
    from marginline.commands.stress import Wish
    from marginline.commands.stress import stress as command

    wish = Wish(
        shocks=tuple(shock or ()),
        scenarios=tuple(scenario or ()),
        beta_shocks=tuple(beta_shock or ()),
        betas=tuple(beta or ()),
        replays=tuple(replay or ()),
        rates=rates,
        days=days,
        oracle_behind=oracle_behind,
        gas_gwei=gas,
        alone=alone,
        matrix=matrix,
    )
    ground = Ground(portfolio, None, None, None, config, timeout)
    raise typer.Exit(command(ground, wish, as_json=as_json))


def size(
    account: Annotated[str | None, typer.Argument(help="Room left in an account; or use the options below.")] = None,
    health: Annotated[str | None, typer.Option(help="The least health factor, above 1.")] = None,
    distance: Annotated[str | None, typer.Option(help="The least distance to liquidation: 30%.")] = None,
    probability: Annotated[str | None, typer.Option(help="The highest chance to be liquidated: 5%.")] = None,
    within: Annotated[str, typer.Option(help="... within this time.")] = "7d",
    collateral: Annotated[str | None, typer.Option(metavar="ASSET=AMOUNT", help="What is put in.")] = None,
    borrow: Annotated[str | None, typer.Option(metavar="ASSET", help="What is borrowed.")] = None,
    open_: Annotated[str | None, typer.Option("--open", metavar="ASSET=long|short", help="A perp instead.")] = None,
    margin: Annotated[str | None, typer.Option(help="The perp's margin, in its quote currency.")] = None,
    price: Annotated[str | None, typer.Option(help="Price of the collateral or the perp.")] = None,
    threshold: Annotated[str | None, typer.Option(help="Liquidation threshold: 0.83.")] = None,
    max_ltv: Annotated[str | None, typer.Option(help="What the protocol lends at most: 0.805.")] = None,
    maintenance: Annotated[str | None, typer.Option(help="The perp's maintenance rate: 1%.")] = None,
    supply_rate: Annotated[str | None, typer.Option(help="Annual rate earned.")] = None,
    borrow_rate: Annotated[str | None, typer.Option(help="Annual rate paid.")] = None,
    funding: Annotated[str | None, typer.Option(help="Annual funding that a long pays.")] = None,
    volatility: Annotated[str | None, typer.Option(help="Annual volatility, for --probability: 0.62.")] = None,
    portfolio: PortfolioOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = 20.0,
) -> None:
    """Say how much can be borrowed or opened at a wanted health, distance or chance, and what leverage does.

    \b
    Examples:
        marginline size main --health 1.8
        marginline size --collateral ETH=10 --borrow USDC --price 2500 --threshold 0.83 --distance 30%
        marginline size --open BTC=long --margin 5000 --price 60000 --maintenance 1% --probability 5% --volatility 0.5
    """
    from marginline.commands.ground import Ground
    from marginline.commands.size import Wish
    from marginline.commands.size import size as command

    wish = Wish(
        account=account,
        collateral=collateral,
        borrow=borrow,
        open=open_,
        margin=margin,
        health=health,
        distance=distance,
        probability=probability,
        within=within,
        price=price,
        threshold=threshold,
        max_ltv=max_ltv,
        maintenance=maintenance,
        supply_rate=supply_rate,
        borrow_rate=borrow_rate,
        funding=funding,
        volatility=volatility,
    )
    ground = Ground(portfolio, None, None, None, config, timeout)
    raise typer.Exit(command(ground, wish, as_json=as_json))


def hedge(
    account: Annotated[str, typer.Argument(help="Which account to protect.")],
    horizon: Annotated[str, typer.Option(help="For how long: 24h, 7d, 30d; at most 90d.")] = "30d",
    floor: Annotated[
        str | None, typer.Option(metavar="MOVE", help="Protect to this move: -40%; default: the 99 % move.")
    ] = None,
    chain: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Options of a file, as --save-chain writes.")
    ] = None,
    from_venue: Annotated[str | None, typer.Option(help="Read the options now from: deribit.")] = None,
    save_chain: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep what the venue listed.")] = None,
    volatility: Annotated[str | None, typer.Option(help="Annual volatility of the underlying: 0.62.")] = None,
    funding: Annotated[str | None, typer.Option(help="What a perp's long pays a year: 8%.")] = None,
    together: Annotated[bool, typer.Option("--together", help="All assets move together: a hedge of each.")] = False,
    portfolio: PortfolioOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = 20.0,
) -> None:
    """Compare options, an opposite perp, repaying and adding collateral, all sized to one protected price.

    Without --chain or --from-venue premiums are theoretical, at one stated volatility.

    \b
    Examples:
        marginline hedge main
        marginline hedge main --horizon 14d --floor -40% --from-venue deribit --save-chain chain.json
        marginline hedge main --portfolio portfolio.json --chain chain.json --json
    """
    from marginline.commands.ground import Ground
    from marginline.commands.hedge import Wish
    from marginline.commands.hedge import hedge as command

    wish = Wish(account, horizon, floor, volatility, funding, chain, save_chain, together)
    raise typer.Exit(command(Ground(portfolio, None, from_venue, None, config, timeout), wish, as_json=as_json))


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    from marginline.science_cascade import cascade  # it takes the options above from here

    for command in (forecast, requirement, stress, size, hedge, cascade, calibrate):
        app.command()(command)
