"""`plan`, `topup`, `signers` and `history` where no chain is needed: documents, bad input, files."""

import json
from pathlib import Path

import pytest

from tests.marginline.command import marginline

DOCUMENT = {
    "schema": "marginline.portfolio/1",
    "as_of": "2026-11-22T10:00:00Z",
    "prices": {"ETH": {"oracle": "2500"}, "USDC": {"oracle": "1", "stable": True}},
    "accounts": [
        {
            "name": "main",
            "kind": "loan",
            "collateral": [{"asset": "ETH", "amount": "10", "liquidation_threshold": "0.83"}],
            "debt": [{"asset": "USDC", "amount": "15000"}],
        }
    ],
}
KEY = "0x" + "4f3edf983ac636a65a842ce7c78d9aa706d3b113bce9c46f30d7d21715b23b1d"
CONFIG = '[[account]]\nname = "main"\nprovider = "manual"\nkind = "broker"\ncash = -1\nquote = "USD"\npositions = []\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


def test_a_portfolio_document_is_planned_for_without_a_wallet(tmp_path: Path) -> None:
    """Repaying Y = D - W / H = 15,000 - 20,750 / 1.6 = 2,031.25 reaches 1.6."""
    done = marginline("plan", "main", "--to", "1.6", "--portfolio", "-", "--json", stdin=json.dumps(DOCUMENT))
    assert done.code == 0, done.err
    assert (done.json["schema"], done.json["account"]) == ("marginline.plan/1", "main")
    repay = next(option for option in done.json["options"] if option["means"] == "repay")
    assert float(repay["amount"]) == pytest.approx(2031.25, rel=1e-3)
    assert repay["ready"] is False
    assert any("no wallet read" in blocker for blocker in repay["blockers"])


def test_only_the_means_asked_for_are_shown(tmp_path: Path) -> None:
    command = ("plan", "main", "--to-distance", "0.4", "--by", "supply", "--portfolio", "-", "--json")
    done = marginline(*command, stdin=json.dumps(DOCUMENT))
    assert {option["means"] for option in done.json["options"]} == {"supply"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("main",), "either --to HEALTH"),
        (("main", "--to", "1.5", "--to-distance", "0.2"), "either --to HEALTH"),
        (("main", "--to", "x"), "--to: 'x' is not a number"),
        (("main", "--to", "nan"), "must be above 1"),
        (("main", "--to", "0.9"), "must be above 1"),
        (("main", "--to-distance", "20"), "must be above 0 and below 1"),
        (("other", "--to", "2"), 'there is no account "other"; there are: main'),
        (("main", "--to", "2", "--export", "x.json"), "has no chain"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(arguments: tuple[str, ...], words: str) -> None:
    done = marginline("plan", *arguments, "--portfolio", "-", stdin=json.dumps(DOCUMENT))
    assert (done.code, done.out) == (2, "")
    assert words in done.err


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "is not JSON"), ("{}", "schema"), ('{"schema": "marginline.risk/1"}', "schema")],
)
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, config: Path, content: str, words: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(content)
    done = marginline("topup", "--plan", file, "--confirm", "--config", config, home=tmp_path)
    assert done.code == 2
    assert words in done.err
    missing = marginline("topup", "--plan", tmp_path / "none.json", "--confirm", "--config", config, home=tmp_path)
    assert missing.code == 2
    assert "cannot be read" in missing.err


def test_a_plan_in_a_file_keeps_its_own_target(tmp_path: Path, config: Path) -> None:
    done = marginline("topup", "--plan", "p.json", "--to", "2", "--config", config, home=tmp_path)
    assert done.code == 2
    assert "its own target" in done.err


def test_an_account_that_nothing_can_be_sent_for_is_refused(tmp_path: Path, config: Path) -> None:
    done = marginline("topup", "main", "--to", "2", "--confirm", "--json", "--config", config, home=tmp_path)
    assert (done.code, done.json["outcome"]) == (30, "refused")
    assert "read-only" in done.json["reason"]


def test_a_signer_is_added_listed_used_up_and_kept_aside(tmp_path: Path, config: Path) -> None:
    secrets = {"KEY": KEY, "PASSWORD": "a password"}
    refs = ("--key-from", "env:KEY", "--password-from", "env:PASSWORD", "--config", str(config))
    added = marginline("signers", "add", "rescue", *refs, env=secrets, home=tmp_path)
    assert added.code == 0, added.err
    address = added.out.strip()
    assert address == "0x90F8bf6A479f320ead074411a4B0e7944Ea8c9C1"  # of ganache's well-known first key
    listed = marginline("signers", "list", "--json", "--config", config, home=tmp_path).json["signers"]
    assert [(one["name"], one["address"]) for one in listed] == [("rescue", address)]
    again = marginline("signers", "add", "rescue", *refs, env=secrets, home=tmp_path)
    assert again.code == 2
    unasked = marginline("signers", "remove", "rescue", "--config", config, home=tmp_path)
    assert unasked.code == 2
    assert "--yes" in unasked.err
    assert marginline("signers", "remove", "rescue", "--yes", "--config", config, home=tmp_path).code == 0
    assert marginline("signers", "list", "--json", "--config", config, home=tmp_path).json["signers"] == []
    assert len(list((tmp_path / "signers").glob("rescue.json.removed-*"))) == 1


def test_without_a_terminal_secrets_must_be_referred_to(tmp_path: Path, config: Path) -> None:
    done = marginline("signers", "add", "rescue", "--config", config, home=tmp_path)
    assert done.code == 2
    assert "--key-from" in done.err


def test_a_history_of_nothing_is_empty_and_whole(tmp_path: Path) -> None:
    done = marginline("history", "--verify", "--json", home=tmp_path)
    assert done.code == 0, done.err
    assert (done.json["actions"], done.json["entries"], done.json["valid"]) == ([], [], True)
    assert not list(tmp_path.rglob("*.sqlite3"))


def test_closing_by_hand_wants_a_reason(tmp_path: Path, config: Path) -> None:
    done = marginline("history", "--abandon", "0123", "--config", config, home=tmp_path)
    assert done.code == 2
    assert "--reason" in done.err
