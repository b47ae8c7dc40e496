"""Rescues on Aave v3 markets: what a wallet could do, exact transactions, their simulation, signing and fate."""
