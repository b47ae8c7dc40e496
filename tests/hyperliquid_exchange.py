"""`POST /exchange` of a loopback Hyperliquid: recovers the signer from each request and carries out what it may.

Written against the venue's documentation apart from the product: MessagePack by hand, EIP-712 by eth-account, so that a
mistake of ours is not made twice. As at the venue every error is HTTP 200, and a wrong signature is not "wrong": it
recovers to somebody who has no account.
"""

import json
from decimal import Decimal
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

_NOWHERE = "0x" + "00" * 20
_L1_ORDER = {"updateIsolatedMargin": ("type", "asset", "isBuy", "ntli")}
_AGENT = [{"name": "source", "type": "string"}, {"name": "connectionId", "type": "bytes32"}]
_TRANSFER = [
    {"name": "hyperliquidChain", "type": "string"},
    {"name": "amount", "type": "string"},
    {"name": "toPerp", "type": "bool"},
    {"name": "nonce", "type": "uint64"},
]


def packed(value: object) -> bytes:
    """Return MessagePack of maps, text, booleans and integers, each in its shortest form (msgpack spec)."""
    match value:
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int() if 0 <= value < 128:
            return bytes([value])
        case int() if value >= 0:
            code, size = next((c, n) for c, n in ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)) if value < 256**n)
            return bytes([code]) + value.to_bytes(size, "big")
        case str() if len(value) < 32:
            return bytes([0xA0 | len(value)]) + value.encode()
        case str():
            return bytes([0xD9, len(value)]) + value.encode()
        case dict():
            return bytes([0x80 | len(value)]) + b"".join(packed(key) + packed(each) for key, each in value.items())
        case _:
            raise TypeError(f"not part of this wire: {value!r}")


class Exchange:
    """Accounts, who may act for them, and what was done. `users` are addresses in lower case.

    `agents` maps an API wallet to its user, `subs` a sub-account to its master. `fails` is how the next request goes
    wrong: "before" (the line is cut and nothing happens), "after" (it happens and the line is cut), or a reply.
    """

    def __init__(self, users: set[str], *, is_mainnet: bool = True) -> None:
        self.users, self.is_mainnet = users, is_mainnet
        self.agents: dict[str, str] = {}
        self.subs: dict[str, str] = {}
        self.nonces: dict[str, set[int]] = {}
        self.now_ms = 0
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self.requests: list[dict[str, Any]] = []
        self.fails: str | bytes = ""

    def answer(self, body: bytes, info: dict[str, object]) -> bytes | None:
        """Return the reply, `None` when the line is to be cut; changes `info` for what was carried out."""
        request = json.loads(body)
        self.requests.append(request)
        how, self.fails = self.fails, ""
        if how == "before":
            return None
        if isinstance(how, bytes):
            return how
        fault = self._carry_out(request, info)
        if how == "after":
            return None
        if fault:
            return json.dumps({"status": "err", "response": fault}).encode()
        return b'{"status":"ok","response":{"type":"default"}}'

    def _carry_out(self, request: dict[str, Any], info: dict[str, object]) -> str:
        action, nonce = request["action"], request["nonce"]
        signer = self._signer(request).lower()
        is_transfer = action["type"] == "usdClassTransfer"
        user = signer if signer in self.users else "" if is_transfer else self.agents.get(signer, "")
        if not user:
            kind = "User" if is_transfer else "User or API Wallet"
            return f"L1 error: {kind} {signer} does not exist."
        if nonce in self.nonces.setdefault(signer, set()) or abs(nonce - self.now_ms) > 86_400_000:
            return f"Invalid nonce: {nonce}"
        self.nonces[signer].add(nonce)
        if request.get("expiresAfter") is not None and request["expiresAfter"] < self.now_ms:
            return "Action expired"
        account = request.get("vaultAddress") or user
        if is_transfer and " subaccount:" in action["amount"]:
            account = action["amount"].partition(" subaccount:")[2]
        if account != user and self.subs.get(account) != user:
            return f"{user} may not act for {account}"
        fault = _transfer(action, nonce, info) if is_transfer else _margin(action, info)
        if not fault:
            self.taken.append((account, action))
        return fault

    def _signer(self, request: dict[str, Any]) -> str:
        action = request["action"]
        said = request["signature"]
        if action["type"] == "usdClassTransfer":
            if action["hyperliquidChain"] != ("Mainnet" if self.is_mainnet else "Testnet"):
                return "0x" + "00" * 20
            typed = _typed(
                "HyperliquidSignTransaction",
                int(action["signatureChainId"], 16),
                "HyperliquidTransaction:UsdClassTransfer",
                _TRANSFER,
                {each["name"]: action[each["name"]] for each in _TRANSFER},
            )
        else:
            hashed = packed({key: action[key] for key in _L1_ORDER[action["type"]]})
            hashed += request["nonce"].to_bytes(8, "big")
            vault = request.get("vaultAddress")
            hashed += b"\x01" + bytes.fromhex(vault[2:]) if vault else b"\x00"
            if request.get("expiresAfter") is not None:
                hashed += b"\x00" + request["expiresAfter"].to_bytes(8, "big")
            agent = {"source": "a" if self.is_mainnet else "b", "connectionId": keccak(hashed)}
            typed = _typed("Exchange", 1337, "Agent", _AGENT, agent)
        signable = encode_typed_data(full_message=typed)
        vrs = (said["v"], int(said["r"], 16), int(said["s"], 16))
        return str(Account.recover_message(signable, vrs=vrs))


def _typed(
    domain: str, chain_id: int, primary: str, fields: list[dict[str, str]], message: dict[str, Any]
) -> dict[str, Any]:
    return {
        "domain": {"name": domain, "version": "1", "chainId": chain_id, "verifyingContract": _NOWHERE},
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            primary: fields,
        },
        "primaryType": primary,
        "message": message,
    }


def _margin(action: dict[str, Any], info: dict[str, Any]) -> str:
    """Move USD from the perp balance to one position, as the documentation of the action says."""
    usd = Decimal(action["ntli"]) / 1_000_000
    for dex, base in info.get("dex bases", {"": 0}).items():
        meta = info[f"meta {dex}" if dex else "meta"]
        index = action["asset"] - base
        state = info[f"clearinghouseState {dex}" if dex else "clearinghouseState"]
        if not 0 <= index < len(meta["universe"]):
            continue
        coin = meta["universe"][index]["name"]
        for each in state["assetPositions"]:
            position = each["position"]
            if position["coin"] == coin and position["leverage"]["type"] == "isolated":
                if Decimal(state["withdrawable"]) < usd:
                    return "Insufficient margin to increase isolated margin"
                state["withdrawable"] = str(Decimal(state["withdrawable"]) - usd)
                position["leverage"]["rawUsd"] = str(Decimal(position["leverage"]["rawUsd"]) + usd)
                position["marginUsed"] = str(Decimal(position["marginUsed"]) + usd)
                return ""
    return "No isolated position for this asset"


def _transfer(action: dict[str, Any], nonce: int, info: dict[str, Any]) -> str:
    usd = Decimal(action["amount"].partition(" ")[0])
    balance = next(each for each in info["spotClearinghouseState"]["balances"] if each["coin"] == "USDC")
    if Decimal(balance["total"]) - Decimal(balance["hold"]) < usd:
        return "Insufficient USDC balance for token transfer."
    balance["total"] = str(Decimal(balance["total"]) - usd)
    state = info["clearinghouseState"]
    state["withdrawable"] = str(Decimal(state["withdrawable"]) + usd)
    summary = state["crossMarginSummary"]
    summary["accountValue"] = str(Decimal(summary["accountValue"]) + usd)
    delta = {"type": "accountClassTransfer", "usdc": str(usd), "toPerp": action["toPerp"]}
    info["userNonFundingLedgerUpdates"].append({"time": nonce + 40, "hash": "0x" + "cd" * 32, "delta": delta})
    return ""
