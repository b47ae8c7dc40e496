"""An indebted owner on a real market, a config to rescue it by, and the commands run on it as a user would."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from tests.chain.market import Market
from tests.chain.rescuing import OWNER, OWNER_KEY, RESCUE_KEY, RESCUER, indebted, mint
from tests.marginline.command import MARGINLINE, Done, marginline

KEYS = {"OWNER_KEY": "0x" + OWNER_KEY.hex(), "RESCUE_KEY": "0x" + RESCUE_KEY.hex()}
PASSWORD = "correct horse battery staple"


@dataclass
class House:
    """Health 1.38: 10 WETH supplied, 15,000 USDC owed. `folder` holds config, signers and journal.

    `settings` are lines of the account, `limits` of `[limits]`; `config` writes them.
    """

    market: Market
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, market: Market, folder: Path) -> "House":
        """Return the house on `market`, paid by the owner, with caps far away."""
        indebted(market)
        caps = {"max_topup_usd": "1_000_000", "max_per_day_usd": "10_000_000"}
        return cls(market, folder, {"signer": '"env:OWNER_KEY"'}, caps)

    @property
    def config(self) -> Path:
        """Write the config and return its path."""
        account = {
            "name": '"main"',
            "provider": '"aave-v3"',
            "chain_id": str(self.market.anvil.chain_id),
            "addresses_provider": f'"{self.market.addresses_provider}"',
            "rpc_url": f'"{self.market.anvil.url}"',
            "address": f'"{OWNER.address}"',
        } | self.settings
        lines = ["[[account]]", *(f"{key} = {value}" for key, value in account.items())]
        lines += ["[prices]", "venues = []", "[journal]", 'path = "journal.sqlite3"']
        lines += ["[limits]", *(f"{key} = {value}" for key, value in self.limits.items())]
        path = self.folder / "config.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    @property
    def health(self) -> Decimal:
        """Return the contract's health factor of the owner; no debt is the contract's largest number."""
        return Decimal(self.market.account_data(OWNER.address).health_factor_wad).scaleb(-18)

    def sent(self, address: str = OWNER.address) -> int:
        """Return how many transactions an address ever sent."""
        return int(self.market.anvil.rpc.call("eth_getTransactionCount", address, "latest"), 16)

    def give(self, symbol: str, amount: int | str, holder: str = OWNER.address) -> None:
        """Mint tokens to a wallet."""
        mint(self.market, holder, symbol, amount)

    def run(self, *arguments: str | Path, env: Mapping[str, str] | None = None, **options: float) -> Done:
        """Run one command to its end with this config."""
        command = (*arguments, "--config", self.config)
        return marginline(*command, env=KEYS | dict(env or {}), home=self.folder, **options)  # type: ignore[arg-type]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start one command with this config; the caller ends it."""
        env = {key: value for key, value in os.environ.items() if not key.startswith(("MARGINLINE_", "XDG_"))}
        env |= KEYS | {"HOME": str(self.folder)}
        return subprocess.Popen(
            [str(MARGINLINE), *arguments, "--config", str(self.config)],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def keep_signer(self, name: str, key: str) -> None:
        """Add an encrypted signer by the command line."""
        refs = ("--key-from", f"env:{key}", "--password-from", "env:PASSWORD")
        added = self.run("signers", "add", name, *refs, env={"PASSWORD": PASSWORD})
        assert added.code == 0, added.err


__all__ = ["KEYS", "OWNER", "PASSWORD", "RESCUER", "House"]
