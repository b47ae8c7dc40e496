"""What each command imports: an import that nobody needs is time that somebody waits."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

OURS = ("marginline", "tui", "widgets", "desk", "providers", "engine")
HEAVY = (
    "httpx",
    "websockets",
    "eth_abi",
    "eth_account",
    "eth_keys",
    "eth_utils",
    "apprise",
    "numpy",
    "typer",
    "msgspec",
    "rbcl",
    "nacl",
    "ccxt",
    "aiohttp",
    "requests",
)

_RUN = """
import sys
from marginline.__main__ import main
sys.argv = ["marginline", *{arguments}]
try:
    main()
except SystemExit:
    pass
print(*sys.modules, file=sys.stderr)
"""

_FIRST_FRAME = """
import asyncio, sys
from marginline.commands import dashboard

def frame(desk, settings, **rest):
    from tui.app import DashboardApp

    async def play():
        app = DashboardApp(desk, settings=settings, **rest)
        async with app.run_test(size=(120, 40)) as pilot:
            async with asyncio.timeout(20):
                while "kraken-fut" not in app.session.frame.order:
                    await pilot.pause()
        print(*sys.modules, file=sys.stderr)

    asyncio.run(play())

dashboard._has_terminal = lambda: True
dashboard._run = frame
dashboard.open_demo("calm", 7, 1.0, dashboard.Look())
"""


def modules(program: str) -> set[str]:
    """Return every module that is imported when `program` ends, in a Python of its own."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stderr.splitlines()[-1].split())


def packages(names: set[str]) -> set[str]:
    """Return the top-level packages of modules."""
    return {name.partition(".")[0] for name in names}


def test_the_version_imports_nothing_of_ours_but_the_entry() -> None:
    imported = modules(_RUN.format(arguments=["--version"]))
    assert {name for name in imported if name.partition(".")[0] in OURS} == {"marginline", "marginline.__main__"}


@pytest.mark.parametrize("arguments", [["--help"], ["status", "--help"], ["status", "--config", "/no/such/file"]])
def test_commands_without_a_screen_do_not_import_textual(arguments: list[str]) -> None:
    assert "textual" not in packages(modules(_RUN.format(arguments=arguments)))


def test_the_first_frame_of_the_demo_imports_nothing_heavy() -> None:
    imported = modules(_FIRST_FRAME)
    assert "textual" in imported
    assert not packages(imported) & set(HEAVY)


def test_the_first_frame_of_the_demo_imports_only_what_it_shows() -> None:
    later = {
        "desk.delivery",
        "desk.notify",
        "desk.once",
        "desk.view",
        "engine.document",
        "tui.copying",
        "tui.screen_help",
    }
    assert not modules(_FIRST_FRAME) & later


@pytest.mark.parametrize(
    "arguments", [["forecast", "--help"], ["status", "--config", "/no/such/file"], ["risk", "/no/file"]]
)
def test_numpy_is_left_to_commands_that_estimate(arguments: list[str]) -> None:
    imported = modules(_RUN.format(arguments=arguments))
    assert "marginline.cli" in imported
    assert "numpy" not in packages(imported)
    assert not {name for name in imported if name.startswith("engine.simulation")}


@pytest.mark.parametrize(
    "arguments", [["status", "--help"], ["status", "--config", "/no/file"], ["providers", "--json"], ["plan", "--help"]]
)
def test_ccxt_is_left_to_accounts_that_are_read_through_it(arguments: list[str]) -> None:
    imported = modules(_RUN.format(arguments=arguments))
    assert "marginline.cli" in imported
    assert not packages(imported) & {"ccxt", "aiohttp", "requests"}


def test_the_first_frame_of_the_demo_estimates_nothing() -> None:
    assert not {name for name in modules(_FIRST_FRAME) if name.startswith("engine.simulation")}


def test_coefficients_and_scores_are_part_of_the_wheel(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=root,
        capture_output=True,
        check=True,
        timeout=120,
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert {"engine/simulation/calibration.json", "engine/simulation/scores.json"} <= set(ZipFile(wheel).namelist())
