"""Deribit: margin accounts, their rescue, order books and listed options, over its JSON-RPC 2.0 interface."""
