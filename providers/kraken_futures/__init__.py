"""Kraken Futures: multi-collateral and single-collateral margin accounts, their rescue and order books."""
