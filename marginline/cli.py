"""The command line: parses, calls one command, turns what it raises into an exit code and one clear line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.assessment import Severity
from engine.rescue import Means
from marginline import cli_solvency
from marginline.exits import Exit
from marginline.faults import guarded
from marginline.science import register

_GROUP: Any = {"no_args_is_help": True, "rich_markup_mode": None}

app = typer.Typer(
    name="marginline",
    help="How far is every liquidation, at which price, by whose price, how old is that price.",
    no_args_is_help=False,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(
    help="Where the config is, what it says, whether it is valid.", no_args_is_help=True, rich_markup_mode=None
)
notify_app = typer.Typer(
    help="Send a test through every configured channel.", no_args_is_help=True, rich_markup_mode=None
)
signers_app = typer.Typer(
    help="Encrypted key files that may sign rescues.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(config_app, name="config")
app.add_typer(signers_app, name="signers")
app.add_typer(notify_app, name="notify")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Config file.", show_default="user config directory")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON envelope on stdout.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0.1, max=300, help="Seconds to wait for sources.")]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", "-V", help="Print the version.")] = False,
) -> None:
    """Open the dashboard when no command is given.

    \b
    Examples:
        marginline demo
        marginline init --provider aave-v3 --chain ethereum --address 0x...
        marginline
    """
    if version:
        from marginline import __version__
        from marginline.output import put

        put(f"marginline {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        from marginline.commands.dashboard import open_dashboard

        raise typer.Exit(open_dashboard(None))


_THEMES = "deep, light, contrast, cvd, ansi or mono."
ThemeOption = Annotated[str | None, typer.Option("--theme", help=_THEMES, envvar="MARGINLINE_THEME")]
AsciiOption = Annotated[
    bool | None, typer.Option("--ascii/--no-ascii", help="Only ASCII glyphs.", envvar="MARGINLINE_ASCII")
]
MaskOption = Annotated[bool | None, typer.Option("--mask/--no-mask", help="Hide amounts.", envvar="MARGINLINE_MASK")]
MouseOption = Annotated[
    bool | None, typer.Option("--mouse/--no-mouse", help="Take mouse events.", envvar="MARGINLINE_MOUSE")
]
FpsOption = Annotated[
    int | None, typer.Option("--fps", min=1, max=60, help="Paints per second.", envvar="MARGINLINE_FPS")
]
LowBandwidthOption = Annotated[bool, typer.Option("--low-bandwidth", help="Paint once a second.")]


@app.command()
def demo(
    scenario: Annotated[str, typer.Option(help="calm, crash, oracle-lag, depeg, capped-oracle or blackout.")] = "calm",
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same market.")] = 7,
    speed: Annotated[float, typer.Option(min=0.1, max=1000, help="Simulated seconds per second.")] = 1.0,
    theme: ThemeOption = None,
    ascii_only: AsciiOption = None,
    mask: MaskOption = None,
    mouse: MouseOption = None,
    fps: FpsOption = None,
    low_bandwidth: LowBandwidthOption = False,
) -> None:
    """Open the dashboard on a simulated market: no key, no network, the same for the same seed.

    \b
    Examples:
        marginline demo
        marginline demo --scenario crash --speed 5
        marginline demo --scenario capped-oracle --seed 3
    """
    from marginline.commands.dashboard import Look, open_demo

    raise typer.Exit(open_demo(scenario, seed, speed, Look(theme, ascii_only, mask, mouse, fps, low_bandwidth)))


@app.command()
def dashboard(
    config: ConfigOption = None,
    arm: Annotated[bool, typer.Option("--arm", help="Ask at once for the word and password that arm rescues.")] = False,
    theme: ThemeOption = None,
    ascii_only: AsciiOption = None,
    mask: MaskOption = None,
    mouse: MouseOption = None,
    fps: FpsOption = None,
    low_bandwidth: LowBandwidthOption = False,
) -> None:
    """Open the dashboard on the configured accounts; read-only until it is armed.

    \b
    Examples:
        marginline dashboard
        marginline dashboard --config desk.toml --theme light
        marginline dashboard --arm
    """
    from marginline.commands.dashboard import Look, open_dashboard

    raise typer.Exit(open_dashboard(config, Look(theme, ascii_only, mask, mouse, fps, low_bandwidth, arm)))


@app.command()
def status(config: ConfigOption = None, as_json: JsonOption = False, timeout: TimeoutOption = 20.0) -> None:
    """Read every account once and answer; exit 0 when at least one account could be read.

    \b
    Examples:
        marginline status
        marginline status --json | jq '.assessment.accounts[] | {name, severity, health_factor}'
    """
    from marginline.commands.readers import status as command

    raise typer.Exit(command(config, as_json=as_json, timeout_s=timeout))


@app.command()
def check(
    config: ConfigOption = None,
    fail_at: Annotated[Severity, typer.Option("--fail-at", help="The least severity that fails.")] = Severity.WATCH,
    nagios: Annotated[bool, typer.Option("--nagios", help="One line and exit codes 0-3 of a Nagios plugin.")] = False,
    as_json: JsonOption = False,
    timeout: TimeoutOption = 20.0,
) -> None:
    """Say the worst account by exit code: 13 liquidatable, 12 danger, 20 unknown, 11 warn, 10 watch, 0 safe.

    \b
    Examples:
        marginline check --fail-at warn || echo look
        marginline check --nagios
    """
    from marginline.commands.readers import check as command

    raise typer.Exit(command(config, fail_at=fail_at, as_nagios=nagios, as_json=as_json, timeout_s=timeout))


@app.command()
def prices(
    assets: Annotated[list[str] | None, typer.Argument(help="Assets; default: those of your accounts.")] = None,
    config: ConfigOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until interrupted.")] = False,
    as_json: JsonOption = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON document a line; implies --watch.")] = False,
    timeout: TimeoutOption = 20.0,
) -> None:
    """Show venue quotes, consensus, oracle price and its age, divergence.

    \b
    Examples:
        marginline prices ETH BTC
        marginline prices --watch --jsonl
    """
    from marginline.commands.readers import prices as command

    raise typer.Exit(
        command(config, assets or [], watch=watch or jsonl, as_json=as_json, jsonl=jsonl, timeout_s=timeout)
    )


@app.command()
def risk(
    portfolio: Annotated[str, typer.Argument(metavar="FILE|-", help="A portfolio document, - for stdin.")],
    as_json: JsonOption = False,
) -> None:
    """Assess a portfolio document, offline.

    \b
    Examples:
        marginline risk portfolio.json --json
        marginline status --json | jq .portfolio | marginline risk -
    """
    from marginline.commands.risk import risk as command

    raise typer.Exit(command(portfolio, as_json=as_json))


@app.command()
def alerts(config: ConfigOption = None, as_json: JsonOption = False, timeout: TimeoutOption = 20.0) -> None:
    """Read every account once and show the alerts that fire now.

    \b
    Examples:
        marginline alerts
        marginline alerts --json
    """
    from marginline.commands.readers import alerts as command

    raise typer.Exit(command(config, as_json=as_json, timeout_s=timeout))


AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's name, as status shows it.")]
ToOption = Annotated[str | None, typer.Option("--to", metavar="HEALTH", help="Health factor to reach.")]
ToDistanceOption = Annotated[
    str | None,
    typer.Option("--to-distance", metavar="D", help="Distance of the nearest liquidation to reach; 0.2 is 20 %."),
]
ByOption = Annotated[Means | None, typer.Option("--by", help="Only by this means.")]
WithOption = Annotated[str | None, typer.Option("--with", metavar="ASSET", help="Only with this asset.")]
CloseOption = Annotated[bool, typer.Option("--close", help="Only by repaying a debt in full.")]
ReferenceHelp = "env:NAME, cmd:COMMAND, file:PATH or keyring:SERVICE/USER; default: asked without echo."
PasswordOption = Annotated[str | None, typer.Option("--password-from", metavar="REF", help=ReferenceHelp)]


@app.command()
def plan(
    account: AccountArgument,
    to: ToOption = None,
    to_distance: ToDistanceOption = None,
    by: ByOption = None,
    asset: WithOption = None,
    close: CloseOption = False,
    export: Annotated[
        Path | None, typer.Option(help="Write the unsigned steps, for a Safe, a hardware wallet, another machine.")
    ] = None,
    portfolio: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="A portfolio document instead of live accounts.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = 10.0,
) -> None:
    """Show what would bring an account to a health or distance, side by side; sends nothing.

    \b
    Examples:
        marginline plan main --to 1.5
        marginline plan main --to 1.5 --json > plan.json
        marginline plan main --to 2 --by repay --export steps.json
        marginline status --json | jq .portfolio | marginline plan main --to 1.5 --portfolio -
    """
    from marginline.commands.plan import Wish, target_of
    from marginline.commands.plan import plan as command

    wish = Wish(target_of(to, to_distance), by, asset, close)
    raise typer.Exit(
        command(config, account, wish, as_json=as_json, export=export, portfolio=portfolio, timeout_s=timeout)
    )


@app.command()
def topup(
    account: Annotated[
        str | None, typer.Argument(metavar="ACCOUNT", help="The account's name; not needed with --plan.")
    ] = None,
    to: ToOption = None,
    to_distance: ToDistanceOption = None,
    by: ByOption = None,
    asset: WithOption = None,
    close: CloseOption = False,
    plan_file: Annotated[Path | None, typer.Option("--plan", help="Carry out this plan (from plan --json).")] = None,
    speed_up: Annotated[
        str | None,
        typer.Option("--speed-up", metavar="ACTION", help="Overtake what waits of this action by a higher fee."),
    ] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Do it: signs and sends.")] = False,
    password_from: PasswordOption = None,
    wait: Annotated[float, typer.Option(min=1, max=3600, help="Seconds to wait for each step to land.")] = 180.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = 10.0,
) -> None:
    """Carry out one plan, once; without --confirm it shows the plan and exits 30.

    0 confirmed, 30 refused (nothing was signed), 31 failed, 32 outcome unknown: never sent again before
    `history --reconcile` has settled it. What waits too long is sped up by its action's name: the same transaction,
    under its nonce, at a higher fee, so that one of the two lands at most.

    \b
    Examples:
        marginline topup main --to 1.5
        marginline topup main --to 1.5 --confirm
        marginline topup --plan plan.json --confirm --password-from cmd:'pass show rescue'
        marginline topup --speed-up 9f3c2a7b11d04e55 --confirm
    """
    if speed_up is not None:
        from marginline.commands.speedup import speed_up as hasten
        from providers.errors import ConfigError

        if account or plan_file or to or to_distance or by or asset or close:
            raise ConfigError("--speed-up: an action has its own account, target and means; leave out the others")
        raise typer.Exit(
            hasten(config, speed_up, confirm=confirm, password_from=password_from, as_json=as_json, wait_s=wait)
        )
    from marginline.commands.plan import Wish, target_of
    from marginline.commands.topup import topup as command

    wish = Wish(target_of(to, to_distance, plan_file), by, asset, close)
    raise typer.Exit(
        command(
            config,
            account,
            wish,
            plan_file=plan_file,
            confirm=confirm,
            password_from=password_from,
            as_json=as_json,
            timeout_s=timeout,
            wait_s=wait,
        )
    )


@app.command()
def history(
    config: ConfigOption = None,
    verify: Annotated[bool, typer.Option("--verify", help="Exit 5 when an entry was altered, cut or lost.")] = False,
    reconcile: Annotated[bool, typer.Option("--reconcile", help="First look up what became of open actions.")] = False,
    abandon: Annotated[
        str | None, typer.Option(metavar="ACTION", help="Close an action by hand whose outcome nobody can tell.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why it is closed by hand; kept in the journal.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many entries.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show what was done and what was refused, newest first.

    \b
    Examples:
        marginline history
        marginline history --verify
        marginline history --reconcile
    """
    from marginline.commands.history import history as command

    raise typer.Exit(
        command(
            config,
            verify=verify,
            as_json=as_json,
            limit=limit,
            reconcile=reconcile,
            abandon=abandon,
            reason=reason,
        )
    )


@signers_app.command("add")
def signers_add(
    name: Annotated[str, typer.Argument(help="What you call it.")],
    config: ConfigOption = None,
    key_from: Annotated[str | None, typer.Option("--key-from", metavar="REF", help=ReferenceHelp)] = None,
    password_from: PasswordOption = None,
) -> None:
    """Encrypt a key into a file beside the config; key and password are asked for without echo.

    \b
    Examples:
        marginline signers add rescue
        marginline signers add rescue --key-from cmd:'pass show rescue-key' --password-from env:RESCUE_PASSWORD
    """
    from marginline.commands.signers import add as command

    raise typer.Exit(command(config, name, key_from=key_from, password_from=password_from))


@signers_app.command("list")
def signers_list(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List encrypted signers by name and address."""
    from marginline.commands.signers import listed as command

    raise typer.Exit(command(config, as_json=as_json))


@signers_app.command("remove")
def signers_remove(
    name: Annotated[str, typer.Argument(help="Its name.")],
    config: ConfigOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take a signer out of use; its file is kept aside."""
    from marginline.commands.signers import remove as command

    raise typer.Exit(command(config, name, yes=yes))


@notify_app.command("test")
def notify_test(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Send one message through every configured channel and say what became of it.

    \b
    Examples:
        marginline notify test
    """
    from marginline.commands.setup import notify_test as command

    raise typer.Exit(command(config, as_json=as_json))


# Written out: looking it up would import every provider's port before the help is shown.
_PROVIDERS = (
    "aave-v3, alpaca, binance-pm, binance-usdm, bybit, ccxt:<id>, deribit, dydx, hyperliquid, ibkr, kraken-futures, "
    "manual, okx or spark."
)


@app.command()
def init(
    config: ConfigOption = None,
    provider: Annotated[str | None, typer.Option(help=_PROVIDERS)] = None,
    address: Annotated[str | None, typer.Option(help="The account's public address, where one is needed.")] = None,
    chain: Annotated[str | None, typer.Option(help="ethereum, arbitrum, base, optimism, polygon or avalanche.")] = None,
    name: Annotated[str, typer.Option(help="How you call the account.")] = "main",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file (a copy is kept).")] = False,
) -> None:
    """Write a first config; asks for what is missing.

    \b
    Examples:
        marginline init --provider hyperliquid --address 0x...
        marginline init --provider binance-usdm --name bn    # writes references to a key, never a key
    """
    from marginline.commands.setup import init as command

    raise typer.Exit(command(config, provider=provider, address=address, chain=chain, name=name, force=force))


@app.command()
def doctor(config: ConfigOption = None, as_json: JsonOption = False, timeout: TimeoutOption = 15.0) -> None:
    """Check the config, every source, the clock, notification channels and this terminal.

    \b
    Examples:
        marginline doctor
    """
    from marginline.commands.setup import doctor as command

    raise typer.Exit(command(config, as_json=as_json, timeout_s=timeout))


@app.command()
def providers(as_json: JsonOption = False) -> None:
    """List what every adapter reads and does.

    \b
    Examples:
        marginline providers --json
    """
    from marginline.commands.setup import providers as command

    raise typer.Exit(command(as_json=as_json))


@config_app.command("path")
def config_path(config: ConfigOption = None) -> None:
    """Print where the config is looked for."""
    from marginline.commands.setup import config_path as command

    raise typer.Exit(command(config))


@config_app.command("show")
def config_show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Print the effective config; references stay references."""
    from marginline.commands.setup import config_show as command

    raise typer.Exit(command(config, as_json=as_json))


@config_app.command("check")
def config_check(config: ConfigOption = None) -> None:
    """Say whether the config is valid, without reading any source."""
    from marginline.commands.setup import config_check as command

    raise typer.Exit(command(config))


cli_solvency.register(app)


@app.command()
def keys() -> None:
    """Show what this terminal really sends for every key; leave with q or ctrl-c.

    \b
    Examples:
        marginline keys
    """
    from marginline.commands.keys import keys as command

    raise typer.Exit(command())


register(app)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""

    def work() -> int:
        app(args=list(arguments), prog_name="marginline")
        return Exit.OK

    return guarded(work)
