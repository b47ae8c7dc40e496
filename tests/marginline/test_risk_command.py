"""`risk` answers a document offline, and refuses a bad one with the place and the reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.marginline.command import marginline

DOCUMENT: dict[str, Any] = {
    "schema": "marginline.portfolio/1",
    "as_of": "2026-11-22T10:00:00Z",
    "prices": {
        "ETH": {
            "oracle": "2500",
            "oracle_age_s": 120,
            "heartbeat_s": 3600,
            "deviation_bps": 50,
            "quotes": [
                {"venue": "binance", "bid": "2478.1", "ask": "2478.3", "age_s": 0.4},
                {"venue": "kraken", "bid": "2478.0", "ask": "2478.4", "age_s": 0.9},
            ],
        },
        "USDC": {"oracle": "1", "stable": True},
    },
    "accounts": [
        {
            "name": "main",
            "kind": "loan",
            "collateral": [{"asset": "ETH", "amount": "10", "liquidation_threshold": "0.83"}],
            "debt": [{"asset": "USDC", "amount": "15000", "borrow_rate": "0.052"}],
        }
    ],
}


def changed(path: str, value: object) -> str:
    """Return the document with the member at dotted `path` set to `value`."""
    document = json.loads(json.dumps(DOCUMENT))
    *parents, last = path.split(".")
    node = document
    for part in parents:
        node = node[int(part)] if part.isdigit() else node[part]
    node[last] = value
    return json.dumps(document)


def test_a_document_from_stdin_is_assessed() -> None:
    done = marginline("risk", "-", "--json", stdin=json.dumps(DOCUMENT))
    assert done.code == 0, done.err
    (account,) = done.json["accounts"]
    assert done.json["schema"] == "marginline.risk/1"
    assert account["severity"] == "warn"
    assert account["health_factor"].startswith("1.38333333333")
    assert account["at_next_oracle"]["updates"] == {"ETH": {"due": "deviation", "price": "2478.2"}}


def test_a_table_goes_to_stdout_and_reasons_to_stderr() -> None:
    done = marginline("risk", "-", stdin=json.dumps(DOCUMENT))
    assert done.code == 0
    assert "1.383" in done.out
    assert "unknown:" not in done.out
    assert "sigma_days unknown: volatility of ETH unknown" in done.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["stdin"]),
        ("{", ["stdin"]),
        (changed("schema", "marginline.portfolio/9"), ["schema", "marginline.portfolio/1"]),
        (changed("accounts.0.colateral", []), ["accounts[0]", "colateral", "collateral"]),
        (changed("accounts.0.collateral.0.amount", "-3"), ["accounts[0].collateral[0].amount", "-3"]),
        (changed("accounts.0.collateral.0.amount", "NaN"), ["accounts[0].collateral[0].amount"]),
        (changed("accounts.0.collateral.0.amount", "1e999999"), ["accounts[0].collateral[0].amount"]),
        (changed("accounts.0.collateral.0.amount", None), ["accounts[0].collateral[0].amount"]),
        (changed("accounts.0.collateral.0.liquidation_threshold", "1.5"), ["liquidation_threshold"]),
        (changed("accounts.0.kind", "lone"), ["accounts[0].kind", "loan"]),
        (changed("prices.ETH.oracle", "0"), ["prices.ETH.oracle"]),
        (changed("as_of", "yesterday"), ["as_of"]),
        (changed("accounts.0.debt.0.asset", "\x1b[31m[bold]\u202e" + "x" * 10_000), ["accounts[0].debt[0].asset"]),
    ],
)
def test_a_bad_document_is_refused_with_place_and_reason(text: str, words: list[str]) -> None:
    done = marginline("risk", "-", "--json", stdin=text)
    assert done.code == 2
    assert done.out == ""
    assert all(word in done.err for word in words), done.err
    assert "Traceback" not in done.err
    assert "\x1b" not in done.err
    assert len(done.err) < 1000


def test_a_missing_file_is_named() -> None:
    done = marginline("risk", Path("/no/such/file.json"))
    assert done.code == 2
    assert "/no/such/file.json" in done.err


def test_a_reader_that_goes_away_is_not_an_error(tmp_path: Path) -> None:
    import subprocess

    from tests.marginline.command import MARGINLINE

    document = tmp_path / "p.json"
    document.write_text(json.dumps(DOCUMENT))
    shell = f"{MARGINLINE} risk {document} --json 2>{tmp_path}/err | head -c 1 >/dev/null"
    subprocess.run(["sh", "-c", shell], check=True, timeout=60)
    assert "Traceback" not in (tmp_path / "err").read_text()
