"""Random indebted accounts, and a wallet that could rescue them."""

import random
from decimal import Decimal

from tests.chain.market import Market
from tests.chain.node import Tx
from tests.chain.rescuing import OWNER, RESCUER, approve, mint

WORTH_USD = {"WETH": 2500, "wstETH": 2950, "WBTC": 60_000, "USDC": 1, "DAI": 1}
E_MODE_MEMBERS = {1: ("WETH", "wstETH"), 2: ("USDC", "DAI")}


def open_account(market: Market, dice: random.Random) -> None:
    """Let the owner supply one to three assets and borrow one or two, some in an eMode; interest runs for a while."""
    category = dice.choice((0, 0, 0, 1, 2))
    names = E_MODE_MEMBERS[category] if category else tuple(WORTH_USD)
    supplied = dice.sample(names, dice.randint(1, min(3, len(names))))
    worth = {symbol: Decimal(dice.randint(5_000, 500_000)) for symbol in supplied}
    txs: list[Tx] = []
    for symbol, usd in worth.items():
        txs += market.supply_txs(OWNER.address, symbol, _units(market, symbol, usd))
    if category:
        txs.append(market.emode_tx(OWNER.address, category))
    debts = dice.sample(names, dice.randint(1, min(2, len(names))))
    room = sum(worth.values()) * Decimal("0.9" if category else "0.6") * Decimal(dice.randint(50, 100)) / 100
    for symbol in debts:
        txs.append(market.borrow_tx(OWNER.address, symbol, _units(market, symbol, room / len(debts))))
    # A borrow beyond what the collateral allows reverts: the account is what is left.
    market.anvil.bundle(txs, check=False)
    market.anvil.skip(dice.choice((1, 60, 86_400, 30 * 86_400)))


def fund(market: Market, dice: random.Random) -> str:
    """Give the paying wallet some of every token, mostly plenty; return the wallet: the owner's or another."""
    payer = OWNER if dice.random() < 0.5 else RESCUER
    for symbol, price in WORTH_USD.items():
        usd = Decimal(dice.choice((0, 100, 2_000_000, 2_000_000)))
        mint(market, payer.address, symbol, str((usd / price).quantize(Decimal("0.000001"))))
        if payer is OWNER:
            approve(market, OWNER.address, symbol, 0)
    return payer.address


def _units(market: Market, symbol: str, usd: Decimal) -> int:
    return int((usd / WORTH_USD[symbol]).scaleb(market.tokens[symbol].decimals))
