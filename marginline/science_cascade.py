"""The options of `cascade`; the work is in `marginline/commands/cascade.py`."""

from typing import Annotated

import typer

from marginline.science import ConfigOption, JsonOption, PortfolioOption, TimeoutOption

_FIELDS = {"price": "prices", "shock": "shocks", "pool": "pools", "latency": "latency_s"}
"""Options that are called otherwise than the field of the wish that they fill."""
_OTHERS = {"book", "portfolio", "config", "as_json", "timeout"}


def cascade(
    context: typer.Context,
    book: Annotated[
        str,
        typer.Argument(
            metavar="BOOK", help="The market's loans: a CSV or JSON file, chain:ACCOUNT, prior, or a configured asset."
        ),
    ],
    price: Annotated[list[str] | None, typer.Option("--price", metavar="[ASSET=]PRICE", help="Today's price.")] = None,
    shock: Annotated[list[str] | None, typer.Option("--shock", help="-15%, or ETH=-15%,BTC=-10%; repeat it.")] = None,
    pool: Annotated[
        list[str] | None, typer.Option("--pool", metavar="[ASSET=]UNITS", help="Sold into a constant-product pool.")
    ] = None,
    depth: Annotated[str | None, typer.Option(metavar="FILE", help="Sold into this order book.")] = None,
    depth_of: Annotated[
        str | None, typer.Option(metavar="ACCOUNT:CONTRACT", help="Sold into the book of an account's venue.")
    ] = None,
    cross: Annotated[
        list[str] | None, typer.Option(metavar="ONE:OTHER=SHARE", help="Share of one's fall that another takes over.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Yours: an account, or a named loan of the book.")] = None,
    horizon: Annotated[str, typer.Option(help="How long the price may take to reach it.")] = "24h",
    volatility: Annotated[float | None, typer.Option(help="Annual, 0.62; else the portfolio's.")] = None,
    paths: Annotated[int, typer.Option(min=0, max=1_000_000, help="Random paths over time.")] = 1000,
    steps: Annotated[int, typer.Option(min=1, max=10_000, help="Steps of a path.")] = 144,
    step_minutes: Annotated[float, typer.Option(help="Minutes of a step.")] = 10.0,
    throughput: Annotated[float | None, typer.Option(help="Most debt repaid in a step.")] = None,
    heal: Annotated[float, typer.Option(help="Share of what was sold that is taken up again in a step.")] = 0.02,
    oracle: Annotated[str, typer.Option(help="instant, deviation:0.5% or delayed:STEPS.")] = "instant",
    close_factor: Annotated[float, typer.Option(help="Share of a debt that one call repays above health 0.95.")] = 0.5,
    fee: Annotated[float, typer.Option(min=0, max=0.5, help="Fee of the sale, a fraction.")] = 0.003,
    gas: Annotated[float, typer.Option(min=0, help="Gas of one call, in quote currency.")] = 20.0,
    latency: Annotated[float, typer.Option(min=0, max=86_400, help="Seconds from price to sale.")] = 12.0,
    threshold: Annotated[float | None, typer.Option(min=1e-9, max=1, help="Of loans without one; 0.83.")] = None,
    bonus: Annotated[float | None, typer.Option(min=0, max=1, help="Of loans without one; 0.05.")] = None,
    borrowers: Annotated[int, typer.Option(min=1, max=5_000_000, help="Of a prior.")] = 10_000,
    debt: Annotated[float, typer.Option(help="Of a prior, in all.")] = 1e9,
    buckets: Annotated[int, typer.Option(min=1, max=1_000_000, help="Of equal debt, over time.")] = 3000,
    seed: Annotated[int, typer.Option(min=0, help="Of prior and paths.")] = 1,
    since: Annotated[int, typer.Option(min=0, help="Of chain:ACCOUNT: the block to read loans from.")] = 0,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Run paths on a Dask cluster.")] = None,
    portfolio: PortfolioOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = 20.0,
) -> None:
    """Say where liquidations that feed on themselves end, and when they reach you.

    \b
    Examples:
        marginline cascade loans.csv --price 3000 --pool 100000 --shock -15%
        marginline cascade prior --price 3000 --pool 400000 --account main --portfolio portfolio.json
        marginline cascade loans.csv --depth book.json --volatility 0.8 --throughput 10e6 --json
        marginline cascade ETH --account main
    """
    from marginline.cascade_wish import Wish
    from marginline.commands.cascade import cascade as command
    from marginline.commands.ground import Ground

    wish = Wish(
        book=book,
        since=since,
        prices=tuple(price or ()),
        shocks=tuple(shock or ()),
        pools=tuple(pool or ()),
        depth=depth,
        depth_of=depth_of,
        cross=tuple(cross or ()),
        threshold=threshold,
        bonus=bonus,
        borrowers=borrowers,
        debt=debt,
        fee=fee,
        gas=gas,
        latency_s=latency,
        close_factor=close_factor,
        volatility=volatility,
        paths=paths,
        steps=steps,
        step_minutes=step_minutes,
        throughput=throughput,
        heal=heal,
        oracle=oracle,
        buckets=buckets,
        seed=seed,
        account=account,
        horizon=horizon,
        scheduler=scheduler,
    )
    ground = Ground(portfolio, None, None, None, config, timeout)
    raise typer.Exit(command(ground, wish, _said(context), as_json=as_json))


def _said(context: typer.Context) -> set[str]:
    """Return the fields of the wish whose options were given."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
    return {_FIELDS.get(name, name) for name in given} - _OTHERS
