"""`demo` and `dashboard`: a desk, and the screen on it. Nothing heavy is imported before the first frame."""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.record import record
from marginline.exits import Exit
from providers.errors import ConfigError
from tui import environment

if TYPE_CHECKING:
    from desk.desk import Desk
    from marginline.config import Config
    from tui.cascade_like import CascadeDesk
    from tui.rescue_like import RescueDesk
    from tui.view import UiSettings

THEMES = ("deep", "light", "contrast", "cvd", "ansi", "mono")


@record
class Look:
    """What the options say about the screen; `None` = not said."""

    theme: str | None = None
    ascii_only: bool | None = None
    mask: bool | None = None
    mouse: bool | None = None
    fps: int | None = None
    low_bandwidth: bool = False
    arm: bool = False


def open_demo(scenario: str, seed: int, speed: float, look: Look) -> int:
    """Open the dashboard on the simulated market; return the exit code."""
    environment.prepare()
    from desk.desk import Desk
    from desk.settings import DeskSettings
    from providers.simulated import STABLE_ASSETS, SimulatedMarket

    market = SimulatedMarket(scenario, seed, speed)
    feeds, sources = market.feeds(), market.sources()
    settings = DeskSettings(
        venues=tuple(feed.venue for feed in feeds), stables=frozenset(STABLE_ASSETS), simulated=scenario
    )
    desk = Desk(
        sources,
        feeds,
        settings,
        history=market.history,
        clock=market.now_ns,
        past=market.past_readings(),
        candles=market.history,
    )
    from marginline.rescue_screen import demo_rescue

    rescue = demo_rescue(desk, market, sources, settings)
    return _show(desk, look, None, simulated=scenario, rescue=rescue, cascades=partial(_demo_cascades, seed))


def open_dashboard(path: Path | None, look: Look | None = None) -> int:
    """Open the dashboard on the configured accounts; without a config, offer the demo and `init`."""
    from marginline.config import default_path

    look = look or Look()
    chosen = path or default_path()
    if path is None and not chosen.exists():
        return _first_run(chosen, look)
    environment.prepare()
    from marginline.commands.setup import read_config
    from marginline.compose import build_desk, build_source
    from marginline.rescue_screen import config_rescue

    config = read_config(chosen)
    sources = tuple(build_source(account, time.time_ns) for account in config.accounts)
    desk = build_desk(config, with_notifications=True, sources=sources)
    rescue = config_rescue(desk, config, sources)
    if look.arm and rescue is None:
        raise ConfigError(
            f"{config.path}: --arm: no account has a signer; add one, see `marginline signers add --help`"
        )
    return _show(desk, look, config, rescue=rescue)


def _first_run(missing: Path, look: Look) -> int:
    """Show what can be done without a config, and do it."""
    note = f"There is no config at {missing}"
    if not _has_terminal():
        raise ConfigError(f"{note}; write one with `marginline init`, or look at `marginline demo` in a terminal")
    environment.prepare()
    from desk.desk import Desk
    from desk.settings import DeskSettings

    desk = Desk((), (), DeskSettings())
    settings = _settings(look, None, expects_accounts=False, config_note=note)
    match _run(desk, settings):
        case "demo":
            return open_demo("calm", 7, 1.0, look)
        case "init":
            from marginline.commands.setup import init

            return init(None, provider=None, address=None, chain=None, name="main", force=False)
        case _:
            return Exit.OK


def _demo_cascades(seed: int) -> "CascadeDesk":
    from marginline.cascade_pane import demo_cascades

    return demo_cascades(seed)


def _config_cascades(config: "Config") -> "CascadeDesk":
    from marginline.cascade_pane import Cascades

    return Cascades(config.cascades, config.path)


def _show(
    desk: "Desk",
    look: Look,
    config: "Config | None",
    *,
    simulated: str = "",
    rescue: "RescueDesk | None" = None,
    cascades: "Callable[[], CascadeDesk] | None" = None,
) -> int:
    if not _has_terminal():
        raise ConfigError(
            "the dashboard needs a terminal on stdin, stdout and stderr; for scripts use `marginline status`"
        )
    if config is not None:
        cascades = partial(_config_cascades, config)
    _run(desk, _settings(look, config, simulated=simulated), rescue=rescue, cascades=cascades)
    return Exit.OK


def _run(
    desk: "Desk",
    settings: "UiSettings",
    *,
    rescue: "RescueDesk | None" = None,
    cascades: "Callable[[], CascadeDesk] | None" = None,
) -> str | None:
    from tui.app import DashboardApp

    app = DashboardApp(desk, settings=settings, rescue=rescue, cascades=cascades)
    asked = app.run(mouse=settings.mouse)
    if app.return_code:
        raise SystemExit(app.return_code)
    return asked


def _settings(
    look: Look, config: "Config | None", *, simulated: str = "", expects_accounts: bool = True, config_note: str = ""
) -> "UiSettings":
    """Return the screen's settings: a flag wins over the config, which wins over what the terminal says."""
    from tui.view import UiSettings

    ui = config.ui if config else None
    theme = environment.theme_for(look.theme or (ui.theme if ui else None), "auto", os.environ)
    if theme not in THEMES:
        raise ConfigError(f'unknown theme "{theme[:40]}"; known: {", ".join(THEMES)}')
    ascii_only = look.ascii_only if look.ascii_only is not None else ui.ascii if ui else None
    mask = look.mask if look.mask is not None else ui.mask if ui else None
    mouse = look.mouse if look.mouse is not None else ui.mouse if ui else None
    fps = look.fps or (ui.fps if ui else None)
    settings = UiSettings(
        theme=theme,
        is_ascii=environment.wants_ascii(environment.started_with()) if ascii_only is None else ascii_only,
        is_masked=bool(mask),
        fps=environment.LOW_BANDWIDTH_FPS if look.low_bandwidth else float(fps or environment.DEFAULT_FPS),
        mouse=mouse is not False,
        bell=not (ui and ui.bell is False),
        simulated=simulated,
        config_note=config_note,
        expects_accounts=expects_accounts,
        arms_at_start=look.arm,
    )
    if config is None:
        return settings
    from dataclasses import replace

    from marginline.compose import account_ladders

    return replace(settings, ladders=config.ladders, account_ladders=account_ladders(config))


def _has_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()
