"""Text of strangers, on a real terminal: refused with a clear error, or shown as inert characters and nothing else."""

import json
from pathlib import Path

import pytest

from tests.terminal.programs import assert_framed, at_home, command
from tests.terminal.tmux import Picture, Terminal

HOSTILE = {
    "markup": "[bold red]ETH[/] [@click=app.quit]x[/]",
    "escape": "ETH\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "c1": "ETH\x9b2J\x9d0;owned\x9c",
    "newlines": "ETH\r\nsafe 9.99\n",
    "right-to-left": "ETH\u202eHTE\u2066\u05d0\u05d1",
    "invisible": "E\u200bT\u200dH\ufeff\u0301\u0301\u0301",
    "wide": "以太坊🔥🔥🔥🔥🔥🔥🔥🔥",
    "long": "A" * 10_240,
}
BYTES = (
    b"\x1b]0;",
    b"owned\x07",
    b"\x1b[2J\x1b[31m",
    b"\xc2\x9b",
    b"\xc2\x9d",
    *map(str.encode, "\u202e\u2066\u200b\u200d\ufeff"),
)
"""What must never reach a terminal because of an account's texts."""


def config(folder: Path, *, name: str = "acc", asset: str = "ETH") -> Path:
    """Write a config with one described loan and one plain broker account."""
    path = folder / "config.toml"
    path.write_text(
        "\n".join(
            (
                "[[account]]",
                f"name = {_toml(name)}",
                'provider = "manual"',
                'kind = "loan"',
                f'collateral = [{{asset = {_toml(asset)}, amount = "10", liquidation_threshold = "0.83"}}]',
                'debt = [{asset = "USDC", amount = "15000"}]',
                "[[account]]",
                'name = "plain"',
                'provider = "manual"',
                'kind = "broker"',
                'quote = "USD"',
                "cash = -20000",
                'positions = [{asset = "SPY", quantity = 100, mark_price = 500, maintenance_rate = 0.25}]',
                "[prices]",
                "venues = []",
                "",
            )
        ),
        encoding="utf-8",
    )
    return path


def _toml(text: str) -> str:
    """Return a TOML string; JSON's escapes are TOML's too, but for surrogates and DEL."""
    return '"' + "".join(json.dumps(char)[1:-1] if ord(char) < 0x80 else f"\\U{ord(char):08x}" for char in text) + '"'


def shown(folder: Path, path: Path) -> Picture:
    """Return what the dashboard makes of a config: a whole screen, or its complaint with code 2."""
    with Terminal(120, 40) as terminal:
        terminal.record()
        terminal.run(command("dashboard", "--config", path))
        picture = terminal.wait_for(lambda it: "code=2" in it or ("plain" in it and it.lines[-1].endswith("? help")))
        if picture.is_alternate:
            for key in ("j", "Enter", "Escape", "3", "4", "5", "1"):
                terminal.press(key)
            terminal.wait_for(at_home)
            assert len(terminal.picture().lines) == 40
            terminal.press("q")
            terminal.wait_for("code=0")
        raw = terminal.raw.read_bytes()
    found = [bytes_ for bytes_ in BYTES if bytes_ in raw]
    assert not found, found
    return picture


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_asset_is_inert(tmp_path: Path, text: str) -> None:
    picture = shown(tmp_path, config(tmp_path, asset=text))
    if picture.is_alternate:
        assert picture.widest <= 120
        assert picture.line_with("plain")
    else:
        assert "marginline: " in picture
        assert "Traceback" not in picture


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_account_name_is_inert(tmp_path: Path, text: str) -> None:
    picture = shown(tmp_path, config(tmp_path, name=text))
    if picture.is_alternate:
        assert picture.widest <= 120
        assert picture.line_with("plain")
    else:
        assert "marginline: " in picture
        assert "Traceback" not in picture


def test_an_honest_config_is_shown(tmp_path: Path) -> None:
    picture = shown(tmp_path, config(tmp_path))
    assert_framed(picture, 40, ("acc", "plain"))
