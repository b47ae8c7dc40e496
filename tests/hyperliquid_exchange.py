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
_L1_ORDER = {"updateIsolatedMargin": ("type", "asset", "isBuy", "ntli"), "order": ("type", "orders", "grouping")}
_ORDER = ("a", "b", "p", "s", "r", "t", "c")
_AGENT = [{"name": "source", "type": "string"}, {"name": "connectionId", "type": "bytes32"}]
_TRANSFER = [
    {"name": "hyperliquidChain", "type": "string"},
    {"name": "amount", "type": "string"},
    {"name": "toPerp", "type": "bool"},
    {"name": "nonce", "type": "uint64"},
]
_SEND = [
    {"name": "hyperliquidChain", "type": "string"},
    {"name": "destination", "type": "string"},
    {"name": "sourceDex", "type": "string"},
    {"name": "destinationDex", "type": "string"},
    {"name": "token", "type": "string"},
    {"name": "amount", "type": "string"},
    {"name": "fromSubAccount", "type": "string"},
    {"name": "nonce", "type": "uint64"},
]
_USER_SIGNED = {
    "usdClassTransfer": ("HyperliquidTransaction:UsdClassTransfer", _TRANSFER),
    "sendAsset": ("HyperliquidTransaction:SendAsset", _SEND),
}


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
        case list():
            return bytes([0x90 | len(value)]) + b"".join(packed(each) for each in value)
        case dict():
            return bytes([0x80 | len(value)]) + b"".join(packed(key) + packed(each) for key, each in value.items())
        case _:
            raise TypeError(f"not part of this wire: {value!r}")


class Exchange:
    """Accounts, who may act for them, and what was done. `users` are addresses in lower case.

    `agents` maps an API wallet to its user, `subs` a sub-account to its master. `fails` is how the next request goes
    wrong: "before" (the line is cut and nothing happens), "after" (it happens and the line is cut), or a reply.
    `liquidity` is how much of a coin can be traded at its mark, without limit where it is not named.
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
        self.liquidity: dict[str, Decimal] = {}
        self.orders: dict[str, dict[str, Any]] = {}

    def order_status(self, cloid: str) -> dict[str, Any]:
        """Return what `orderStatus` tells of an order by its client's id."""
        return self.orders.get(cloid, {"status": "unknownOid"})

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
        if isinstance(fault, dict):
            return json.dumps({"status": "ok", "response": {"type": "order", "data": {"statuses": [fault]}}}).encode()
        if fault:
            return json.dumps({"status": "err", "response": fault}).encode()
        return b'{"status":"ok","response":{"type":"default"}}'

    def _carry_out(self, request: dict[str, Any], info: dict[str, object]) -> str | dict[str, Any]:
        """Return "" when it is done, why not, or an order's own status."""
        action, nonce = request["action"], request["nonce"]
        signer = self._signer(request).lower()
        is_transfer = action["type"] in _USER_SIGNED
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
        if action["type"] == "sendAsset":
            account = action["fromSubAccount"] or user
            if action["destination"] != account:
                return "this exchange sends to oneself only"
        if account != user and self.subs.get(account) != user:
            return f"{user} may not act for {account}"
        fault: str | dict[str, Any]
        match action["type"]:
            case "usdClassTransfer":
                fault = _transfer(action, nonce, info)
            case "sendAsset":
                fault = _send(action, nonce, info)
            case "order":
                fault = self._order(action, info)
            case _:
                fault = _margin(action, info)
        if not fault or (isinstance(fault, dict) and "filled" in fault):
            self.taken.append((account, action))
        return fault

    def _order(self, action: dict[str, Any], info: dict[str, Any]) -> str | dict[str, Any]:
        """Fill a reduce-only order at the mark as far as there is liquidity; cancel what is left."""
        (order,) = action["orders"]
        if order["t"] != {"limit": {"tif": "Ioc"}} or order["r"] is not True or action["grouping"] != "na":
            return "this exchange takes reduce-only orders that fill at once"
        found = _listed(order["a"], info)
        if found is None:
            return {"error": f"Invalid asset id {order['a']}"}
        coin, decimals, position = found
        price, size = Decimal(order["p"]), Decimal(order["s"])
        if str(price.normalize()) != order["p"] and f"{price.normalize():f}" != order["p"]:
            return {"error": "Order has a price with trailing zeros"}
        if not _fits_tick(price, decimals):
            return {"error": f"Price must be divisible by tick size. asset={order['a']}"}
        if size != round(size, decimals):
            return {"error": "Order has invalid size."}
        held = Decimal(0) if position is None else Decimal(position["szi"])
        if position is None or held == 0 or (held > 0) is order["b"]:
            return self._told(
                order, size, Decimal(0), "reduceOnlyRejected", "Reduce only order would increase position."
            )
        mark = Decimal(position["positionValue"]) / abs(held)
        size = min(size, abs(held))
        if size < abs(held) and size * mark < 10:
            return {"error": "Order must have minimum value of $10."}
        filled = min(size, self.liquidity.get(coin, size))
        if (price < mark) is order["b"] and price != mark:
            filled = Decimal(0)
        if not filled:
            words = f"Order could not immediately match against any resting orders. asset={order['a']}"
            return self._told(order, size, filled, "iocCancelRejected", words)
        _fill(position, filled if order["b"] else -filled, mark)
        self._told(order, size, filled, "filled" if filled == size else "canceled", "")
        return {"filled": {"totalSz": str(filled), "avgPx": str(mark), "oid": len(self.orders)}}

    def _told(self, order: dict[str, Any], size: Decimal, filled: Decimal, status: str, words: str) -> dict[str, Any]:
        known = {"sz": str(size - filled), "origSz": str(size), "cloid": order["c"], "oid": len(self.orders) + 1}
        self.orders[order["c"]] = {"status": "order", "order": {"order": known, "status": status}}
        return {"error": words}

    def _signer(self, request: dict[str, Any]) -> str:
        action = request["action"]
        said = request["signature"]
        if action["type"] in _USER_SIGNED:
            primary, fields = _USER_SIGNED[action["type"]]
            if action["hyperliquidChain"] != ("Mainnet" if self.is_mainnet else "Testnet"):
                return "0x" + "00" * 20
            typed = _typed(
                "HyperliquidSignTransaction",
                int(action["signatureChainId"], 16),
                primary,
                fields,
                {each["name"]: action[each["name"]] for each in fields},
            )
        else:
            said_in_order = {key: action[key] for key in _L1_ORDER[action["type"]]}
            if action["type"] == "order":
                said_in_order["orders"] = [{key: each[key] for key in _ORDER} for each in action["orders"]]
            hashed = packed(said_in_order)
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


def _listed(asset: int, info: dict[str, Any]) -> tuple[str, int, dict[str, Any] | None] | None:
    """Return coin, decimals of its quantity and the position in it, of an asset id."""
    for dex, base in info.get("dex bases", {"": 0}).items():
        universe = info[f"meta {dex}" if dex else "meta"]["universe"]
        if 0 <= asset - base < min(len(universe), 10_000):
            coin = universe[asset - base]
            state = info[f"clearinghouseState {dex}" if dex else "clearinghouseState"]
            held = (each["position"] for each in state["assetPositions"])
            position = next((each for each in held if each["coin"] == coin["name"]), None)
            return coin["name"], coin.get("szDecimals", 0), position
    return None


def _fits_tick(price: Decimal, size_decimals: int) -> bool:
    """Return whether a perp takes the price: an integer, or five figures and at most 6 - szDecimals decimals."""
    if price == price.to_integral_value():
        return True
    digits, exponent = price.normalize().as_tuple().digits, price.normalize().as_tuple().exponent
    return len(digits) <= 5 and isinstance(exponent, int) and -exponent <= 6 - size_decimals


def _fill(position: dict[str, Any], change: Decimal, price: Decimal) -> None:
    """Trade a position by `change` at the mark: its equity stays, its size and cash move."""
    held = Decimal(position["szi"]) + change
    position["szi"], position["positionValue"] = str(held), str(abs(held) * price)
    if position["leverage"]["type"] == "isolated":
        position["leverage"]["rawUsd"] = str(Decimal(position["leverage"]["rawUsd"]) - change * price)


def _send(action: dict[str, Any], nonce: int, info: dict[str, Any]) -> str:
    """Move USDC between dexes of one account, as the documentation of `sendAsset` says."""
    source, destination, usd = action["sourceDex"], action["destinationDex"], Decimal(action["amount"])
    usdc = next(each for each in info["spotMeta"]["tokens"] if each["name"] == "USDC")
    if action["token"] != f"USDC:{usdc['tokenId']}" or source == destination:
        return "Invalid token or dex"
    for dex, change in ((source, -usd), (destination, usd)):
        fault = _book(dex, change, info)
        if fault:
            return fault
    delta = {"type": "send", "token": "USDC", "amount": str(usd), "nonce": nonce}
    delta |= {"sourceDex": source, "destinationDex": destination}
    info["userNonFundingLedgerUpdates"].append({"time": nonce + 40, "hash": "0x" + "ef" * 32, "delta": delta})
    return ""


def _book(dex: str, change: Decimal, info: dict[str, Any]) -> str:
    if dex == "spot":
        balance = next(each for each in info["spotClearinghouseState"]["balances"] if each["coin"] == "USDC")
        if Decimal(balance["total"]) - Decimal(balance["hold"]) + change < 0:
            return "Insufficient USDC balance for token transfer."
        balance["total"] = str(Decimal(balance["total"]) + change)
        return ""
    state = info.get(f"clearinghouseState {dex}" if dex else "clearinghouseState")
    if state is None:
        return f"Invalid dex {dex}"
    if Decimal(state["withdrawable"]) + change < 0:
        return "Insufficient balance for withdrawal."
    state["withdrawable"] = str(Decimal(state["withdrawable"]) + change)
    summary = state["crossMarginSummary"]
    summary["accountValue"] = str(Decimal(summary["accountValue"]) + change)
    return ""


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
