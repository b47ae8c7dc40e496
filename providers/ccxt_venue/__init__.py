"""Venues that have no adapter of their own, read through the optional library ccxt."""
