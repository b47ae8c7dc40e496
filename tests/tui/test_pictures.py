"""The screens as text, line by line, on one frozen market. `MARGINLINE_WRITE_PICTURES=1` writes them anew."""

import os
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from desk.foresight import foreseen
from desk.snapshot import Snapshot
from marginline.cascade_pane import demo_cascades
from tests.tui import frames
from tui.export import render_svg, render_text
from tui.view import UiSettings

PICTURES = Path(__file__).with_name("pictures")


def blackout() -> Snapshot:
    states = [frames.state(account, age_s=252 + index, is_stale=True) for index, account in enumerate(frames.CAST)]
    return frames.snapshot(states)


def venues() -> Snapshot:
    return frames.snapshot([frames.state(account, age_s=0.4) for account in frames.VENUE_CAST])


def foreseeing() -> Snapshot:
    taken = venues()
    made = foreseen(taken, {})
    return replace(taken, outlooks=made.outlooks, requirements=made.requirements, what_if=made.what_if)


CASES: dict[str, tuple[Snapshot, tuple[int, int], tuple[str, ...], UiSettings]] = {
    "main-80x24": (frames.snapshot(), (80, 24), (), UiSettings()),
    "main-120x40": (frames.snapshot(), (120, 40), (), UiSettings()),
    "main-200x50": (frames.snapshot(), (200, 50), (), UiSettings()),
    "main-120x40-ascii": (frames.snapshot(), (120, 40), (), UiSettings(is_ascii=True)),
    "main-120x40-masked": (frames.snapshot(), (120, 40), (), UiSettings(is_masked=True)),
    "main-120x40-short": (frames.snapshot(), (120, 40), ("j", "j"), UiSettings()),
    "main-40x10": (frames.snapshot(), (40, 10), (), UiSettings()),
    "blackout-120x40": (blackout(), (120, 40), (), UiSettings()),
    "first-run-120x40": (
        Snapshot(0, 0),
        (120, 40),
        (),
        UiSettings(expects_accounts=False, config_note="config  ~/.config/marginline/config.toml (not found)"),
    ),
    "prices-120x40": (frames.snapshot(), (120, 40), ("2",), UiSettings()),
    "risk-120x40": (frames.snapshot(), (120, 40), ("3",), UiSettings()),
    "alerts-120x40": (frames.snapshot(), (120, 40), ("4",), UiSettings()),
    "feeds-120x40": (frames.snapshot(), (120, 40), ("5",), UiSettings()),
    "detail-120x40": (frames.snapshot(), (120, 40), ("enter",), UiSettings()),
    "detail-80x24": (frames.snapshot(), (80, 24), ("enter",), UiSettings()),
    "venues-120x40": (venues(), (120, 40), (), UiSettings()),
    "venues-80x24": (venues(), (80, 24), (), UiSettings()),
    "venues-200x50": (venues(), (200, 50), (), UiSettings()),
    "venues-risk-120x40": (venues(), (120, 40), ("3",), UiSettings()),
    "venues-broker-120x40": (venues(), (120, 40), ("j", "enter"), UiSettings()),
    "venues-scanned-120x40": (venues(), (120, 40), ("G", "enter"), UiSettings()),
    "venues-inverse-120x40": (venues(), (120, 40), ("j", "j", "j", "enter"), UiSettings()),
    "what-if-120x40": (foreseeing(), (120, 40), ("w", "j"), UiSettings()),
    "what-if-80x24": (foreseeing(), (80, 24), ("7",), UiSettings()),
    "what-if-200x50-masked": (foreseeing(), (200, 50), ("w",), UiSettings(is_masked=True)),
    "foreseen-200x50": (foreseeing(), (200, 50), (), UiSettings()),
    "foreseen-160x44": (foreseeing(), (160, 44), (), UiSettings()),
    "foreseen-risk-80x24": (foreseeing(), (80, 24), ("3", "tab"), UiSettings()),
    "foreseen-detail-120x40": (foreseeing(), (120, 40), ("enter",), UiSettings()),
    "method-120x40": (foreseeing(), (120, 40), ("m",), UiSettings()),
    "method-perp-80x24": (foreseeing(), (80, 24), ("G", "m"), UiSettings()),
    "hedge-120x40": (frames.snapshot(), (120, 40), ("h",), UiSettings()),
    "hedge-80x24": (frames.snapshot(), (80, 24), ("8", "j"), UiSettings()),
    "hedge-200x50-masked": (frames.snapshot(), (200, 50), ("h",), UiSettings(is_masked=True)),
    "hedge-none-120x40": (venues(), (120, 40), ("G", "h"), UiSettings()),
    "cascade-80x24": (frames.snapshot(), (80, 24), ("9",), UiSettings()),
    "cascade-120x40": (frames.snapshot(), (120, 40), ("c",), UiSettings()),
    "cascade-200x50-masked": (frames.snapshot(), (200, 50), ("c",), UiSettings(is_masked=True)),
    "cascade-method-120x40": (frames.snapshot(), (120, 40), ("c", "m"), UiSettings()),
    "what-if-not-yet-120x40": (venues(), (120, 40), ("w",), UiSettings()),
    "help-120x40": (frames.snapshot(), (120, 40), ("question_mark",), UiSettings()),
    "simulated-120x40": (replace(frames.snapshot(), simulated="crash"), (120, 40), (), UiSettings()),
}


@pytest.mark.parametrize("name", CASES)
def test_a_screen_looks_as_it_did(name: str) -> None:
    taken, size, keys, settings = CASES[name]
    shown = render_text(taken, size, keys=keys, settings=settings, cascades=partial(demo_cascades, 7))
    path = PICTURES / f"{name}.txt"
    if os.environ.get("MARGINLINE_WRITE_PICTURES") == "1":
        path.write_text(shown.rstrip() + "\n", encoding="utf-8")
    assert shown.rstrip().splitlines() == path.read_text(encoding="utf-8").splitlines()


def test_an_svg_is_well_formed_and_carries_the_figures() -> None:
    root = ElementTree.fromstring(render_svg(frames.snapshot(), (120, 40), "light"))
    words = "".join(root.itertext()).replace("\u00a0", " ")
    assert "hl-short" in words
    assert "2,290.0" in words
