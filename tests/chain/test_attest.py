"""An attester reads a loan from the chain itself: the block, its hash and the oracle's rounds stand in the snapshot."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from marginline.solvency.documents import parse_openings, parse_snapshot, render_proof, render_snapshot
from marginline.solvency.proof import prove
from marginline.solvency.statement import STANDARD, Mode, digest
from tests.chain.market import Market
from tests.chain.rescuing import OWNER, indebted
from tests.marginline.command import Done, marginline, write
from tests.solvency.cases import signed

KEY = "7f" * 32
NONCE = "00112233445566778899aabbccddeeff"


def config(market: Market, folder: Path, *names: str) -> Path:
    """Write a config whose accounts are all the owner's in one market."""
    lines = []
    for name in names:
        lines += ["[[account]]", f'name = "{name}"', 'provider = "aave-v3"', f"chain_id = {market.anvil.chain_id}"]
        lines += [f'addresses_provider = "{market.addresses_provider}"', f'rpc_url = "{market.anvil.url}"']
        lines += [f'address = "{OWNER.address}"']
    return write(folder / "config.toml", lines)


def attest(folder: Path, path: Path, *names: str) -> Done:
    """Run `attest` on configured accounts."""
    files = ("--snapshot", folder / "s.json", "--openings", folder / "o.json")
    return marginline("attest", *names, "--config", path, "--key", "env:KEY", *files, env={"KEY": KEY}, home=folder)


def test_a_loan_is_attested_at_its_block_and_proven(market36: Market, tmp_path: Path) -> None:
    indebted(market36)
    path = config(market36, tmp_path, "main")
    done = attest(tmp_path, path, "main")
    assert done.code == 0, done.err
    snapshot = parse_snapshot((tmp_path / "s.json").read_bytes())
    block = market36.anvil.rpc.call("eth_getBlockByNumber", "latest", False)
    assert snapshot.block is not None
    assert (snapshot.block.chain_id, snapshot.block.number) == (market36.anvil.chain_id, int(block["number"], 16))
    assert snapshot.block.hash.hex() == block["hash"][2:]
    assert snapshot.taken_at_s == int(block["timestamp"], 16)

    openings = parse_openings((tmp_path / "o.json").read_bytes())
    worth = {"collateral": Decimal(0), "debt": Decimal(0)}
    for place, entry in enumerate(snapshot.assets):
        worth["collateral"] += openings.collateral[place].value * Decimal(entry.price_down).scaleb(-18)
        worth["debt"] += openings.debt[place].value * Decimal(entry.price_up).scaleb(-18)
    reported = market36.account_data(OWNER.address)
    assert abs(worth["collateral"] - Decimal(reported.collateral_base).scaleb(-8)) < Decimal("0.01")
    assert abs(worth["debt"] - Decimal(reported.debt_base).scaleb(-8)) < Decimal("0.01")

    files = ("--snapshot", tmp_path / "s.json", "--proof", tmp_path / "p.json", "--nonce", NONCE)
    made = marginline("prove", *files, "--openings", tmp_path / "o.json", "--floor", "1.1", "--surplus-only")
    assert made.code == 0, made.err
    seen = marginline("verify", *files, "--attester", snapshot.attester.hex(), "--config", path, home=tmp_path)
    assert seen.code == 0, seen.out + seen.err
    assert f"block {snapshot.block.number} (0x{snapshot.block.hash.hex()})" in seen.out
    assert "block, prices and thresholds: as yours\n" in seen.out

    market36.anvil.mine(3)
    bent = signed(replace(snapshot, block=replace(snapshot.block, hash=bytes(32))), bytes.fromhex(KEY), STANDARD)
    other = tmp_path / "bent.json"
    other.write_text(json.dumps(render_snapshot(bent)))
    lied = replace(openings, snapshot=digest(bent))
    proof = prove(bent, lied, Mode.SURPLUS_ONLY, 11_000, bytes.fromhex(NONCE), bent.taken_at_s)
    (tmp_path / "p2.json").write_text(json.dumps(render_proof(proof)))
    files = ("--snapshot", other, "--proof", tmp_path / "p2.json", "--nonce", NONCE)
    seen = marginline("verify", *files, "--attester", bent.attester.hex(), "--config", path, home=tmp_path)
    assert seen.code == 5, seen.err
    assert f"block {snapshot.block.number} of chain {snapshot.block.chain_id} has another hash" in seen.out


def test_two_accounts_of_one_block_are_summed(market36: Market, tmp_path: Path) -> None:
    indebted(market36)
    done = attest(tmp_path, config(market36, tmp_path, "main", "again"), "main", "again")
    assert done.code == 0, done.err
    single = json.loads((tmp_path / "o.json").read_text())["debt"]
    assert json.loads((tmp_path / "s.json").read_text())["accounts"] == "2"
    other = tmp_path / "other"
    other.mkdir()
    assert attest(other, config(market36, other, "main"), "main").code == 0
    once = json.loads((other / "o.json").read_text())["debt"]
    assert [int(two["amount"]) - 2 * int(one["amount"]) in (-1, 0, 1) for two, one in zip(single, once, strict=True)]


def test_a_node_that_is_away_is_a_network_error(market36: Market, tmp_path: Path) -> None:
    path = config(market36, tmp_path, "main")
    path.write_text(path.read_text().replace(market36.anvil.url, "http://127.0.0.1:9"))
    done = attest(tmp_path, path, "main")
    assert (done.code, done.out) == (4, "")
    assert "127.0.0.1:9" in done.err
    assert not list(tmp_path.glob("*.json"))
