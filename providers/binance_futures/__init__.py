"""Binance USD-M futures accounts, plain and under portfolio margin: hosts, signing, wire, streams, rescues."""
