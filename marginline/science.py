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


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (forecast, calibrate):
        app.command()(command)
