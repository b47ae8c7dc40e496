"""Chains of the Ethereum kind: JSON-RPC, Multicall3, and the lending protocols read through them."""
