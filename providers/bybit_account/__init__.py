"""Bybit's unified trading account: what it holds, how near its liquidation is, and how margin is moved to it."""
