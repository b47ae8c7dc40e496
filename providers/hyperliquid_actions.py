"""The Hyperliquid actions of a rescue as plain data: built, checked, digested, and named so that they are found.

A payload is everything that is signed and sent, beside what tells later whether it was carried out (`raw_before`,
`size`, `funding`). It survives JSON: what is signed is rebuilt in the venue's order of keys.
"""

from collections.abc import Mapping
from decimal import Decimal

from providers.errors import Refused
from providers.hyperliquid_close import ORDER, close_fault, close_reference, ordered_order
from providers.hyperliquid_rescue_wire import Stake
from providers.hyperliquid_signing import (
    SEND_ASSET,
    SEND_ASSET_FIELDS,
    SIGNATURE_CHAIN_ID,
    TRANSFER,
    TRANSFER_FIELDS,
    chain_name,
    l1_digest,
    user_digest,
    wire_number,
)
from providers.hyperliquid_wire import VENUE

MARGIN, SPOT_TO_PERP, SEND = "updateIsolatedMargin", "usdClassTransfer", "sendAsset"
SPOT = "spot"
"""How `sendAsset` names the spot balance among the dexes; "" is the main perp dex."""
UNITS = 6
"""USDC on the venue has so many decimals; `ntli` counts millionths."""
EXPIRES_MS = 60_000
"""An action that was not taken by then never will be, so that silence becomes certainty."""
_EARLY_MS = 5_000

# In the order in which the venue's own SDK sends and hashes them.
_KEYS = {
    MARGIN: ("type", "asset", "isBuy", "ntli"),
    SPOT_TO_PERP: ("type", "amount", "toPerp", "nonce", "signatureChainId", "hyperliquidChain"),
    SEND: (
        "type",
        "destination",
        "sourceDex",
        "destinationDex",
        "token",
        "amount",
        "fromSubAccount",
        "nonce",
        "signatureChainId",
        "hyperliquidChain",
    ),
    ORDER: ("type", "orders", "grouping"),
}
_USER_SIGNED = frozenset({SPOT_TO_PERP, SEND})


def network(*, is_mainnet: bool) -> str:
    """Return the network's name in a payload."""
    return chain_name(is_mainnet=is_mainnet)


def margin_payload(
    user: str,
    asset_id: int,
    stake: Stake,
    units: int,
    nonce: int,
    vault: str | None,
    expires_after: int,
    *,
    is_mainnet: bool,
) -> dict[str, object]:
    """Return the action that adds `units` (millionths of a USDC) to an isolated position."""
    return {
        "venue": VENUE,
        "network": network(is_mainnet=is_mainnet),
        "user": user,
        "coin": stake.coin,
        "units": units,
        "raw_before": str(stake.raw_usd),
        "funding": "" if stake.funding is None else str(stake.funding),
        "size": str(stake.size),
        "action": {"type": MARGIN, "asset": asset_id, "isBuy": True, "ntli": units},
        "nonce": nonce,
        "vaultAddress": vault,
        "expiresAfter": expires_after,
    }


def transfer_payload(user: str, units: int, nonce: int, vault: str | None, *, is_mainnet: bool) -> dict[str, object]:
    """Return the action that moves `units` (millionths of a USDC) from spot to perp, of a sub-account if `vault`."""
    return {
        "venue": VENUE,
        "network": network(is_mainnet=is_mainnet),
        "user": user,
        "units": units,
        "action": _transfer(units, nonce, vault, is_mainnet=is_mainnet),
        "nonce": nonce,
        "vaultAddress": None,
        "expiresAfter": None,
    }


def send_payload(
    user: str, source: str, destination: str, token: str, units: int, nonce: int, vault: str | None, *, is_mainnet: bool
) -> dict[str, object]:
    """Return the action that moves `units` (millionths of a USDC) of one user from one dex to another."""
    return {
        "venue": VENUE,
        "network": network(is_mainnet=is_mainnet),
        "user": user,
        "units": units,
        "source": source,
        "destination": destination,
        "token": token,
        "action": _send(user, source, destination, token, units, nonce, vault, is_mainnet=is_mainnet),
        "nonce": nonce,
        "vaultAddress": None,
        "expiresAfter": None,
    }


def told(payload: Mapping[str, object], key: str) -> object:
    """Return one value of the payload's action, `None` when it has none."""
    action = payload.get("action")
    return action.get(key) if isinstance(action, Mapping) else None


def fault_of(payload: Mapping[str, object], user: str, vault: str | None, now_ms: int, *, is_mainnet: bool) -> str:
    """Return why a payload must not be signed for `user` now, "" when it may: it can only do what it says it does."""
    kind, nonce = told(payload, "type"), payload.get("nonce")
    units = 1 if kind == ORDER else payload.get("units")
    if payload.get("venue") != VENUE or kind not in _KEYS:
        return "the action is not one of those that add margin or close a position"
    action = payload["action"]
    if not isinstance(action, Mapping) or set(action) != set(_KEYS[str(kind)]):
        return "the action has keys that it must not have, or lacks some"
    if payload.get("network") != network(is_mainnet=is_mainnet):
        return f"the action is for {payload.get('network')}, this is {network(is_mainnet=is_mainnet)}"
    if payload.get("user") != user:
        return "the action is for another account"
    if not isinstance(units, int) or not isinstance(nonce, int) or not (_is_count(units) and _is_count(nonce)):
        return "the action adds nothing"
    if not now_ms - EXPIRES_MS <= nonce <= now_ms + _EARLY_MS:
        return "the action is older than a minute, prepare it again"
    if kind == ORDER:
        fits = payload.get("vaultAddress") == vault and payload.get("expiresAfter") == nonce + EXPIRES_MS
        return close_fault(payload) if fits else "the action does not say what its title says"
    if kind == MARGIN:
        wanted: dict[str, object] = {"type": MARGIN, "asset": action["asset"], "isBuy": True, "ntli": units}
        fits = _is_count(action["asset"], least=0) and payload.get("vaultAddress") == vault
        fits = fits and payload.get("expiresAfter") == nonce + EXPIRES_MS
    else:
        if kind == SEND:
            names = (str(payload.get(name)) for name in ("source", "destination", "token"))
            source, destination, token = names
            if source == destination or not token.startswith("USDC:"):
                return "the action moves something else than USDC, or moves it nowhere"
            wanted = _send(user, source, destination, token, units, nonce, vault, is_mainnet=is_mainnet)
        else:
            wanted = _transfer(units, nonce, vault, is_mainnet=is_mainnet)
        fits = payload.get("vaultAddress") is None and payload.get("expiresAfter") is None
    return "" if fits and dict(action) == wanted else "the action does not say what its title says"


def ordered_action(payload: Mapping[str, object]) -> dict[str, object]:
    """Return the action in the order of keys in which it is hashed; raises `Refused` for what is not ours."""
    action, kind = payload.get("action"), told(payload, "type")
    if not isinstance(action, Mapping) or kind not in _KEYS or set(action) != set(_KEYS[str(kind)]):
        raise Refused(VENUE, "this is not an action that adds margin")
    if kind == ORDER:
        return ordered_order(payload)
    return {key: action[key] for key in _KEYS[str(kind)]}


def digest_of(payload: Mapping[str, object], *, is_mainnet: bool) -> bytes:
    """Return what is signed; raises `Refused` for what is not an action of ours."""
    try:
        ordered = ordered_action(payload)
        if ordered["type"] == SPOT_TO_PERP:
            return user_digest(TRANSFER, TRANSFER_FIELDS, ordered)
        if ordered["type"] == SEND:
            return user_digest(SEND_ASSET, SEND_ASSET_FIELDS, ordered)
        vault, expires = payload["vaultAddress"], payload["expiresAfter"]
        return l1_digest(
            ordered,
            int(str(payload["nonce"])),
            is_mainnet=is_mainnet,
            vault=None if vault is None else str(vault),
            expires_after=None if expires is None else int(str(expires)),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Refused(VENUE, "this is not an action that adds margin") from error


def reference_of(payload: Mapping[str, object]) -> str:
    """Return the line by which the action is found again: what it adds, and what stood there before."""
    if told(payload, "type") == ORDER:
        return close_reference(payload)
    usd = wire_number(Decimal(int(str(payload["units"]))).scaleb(-UNITS))
    if told(payload, "type") == SPOT_TO_PERP:
        return f"{SPOT_TO_PERP} usd={usd} nonce={payload['nonce']}"
    if told(payload, "type") == SEND:
        return f"{SEND} usd={usd} nonce={payload['nonce']} from={payload['source']} to={payload['destination']}"
    return (
        f"{MARGIN} coin={payload['coin']} usd={usd} nonce={payload['nonce']} raw={payload['raw_before']}"
        f" funding={payload['funding']} size={payload['size']} until={payload['expiresAfter']}"
    )


def is_user_signed(payload: Mapping[str, object]) -> bool:
    """Return whether only the account's own key may sign the action: it moves funds."""
    return told(payload, "type") in _USER_SIGNED


def _send(
    user: str, source: str, destination: str, token: str, units: int, nonce: int, vault: str | None, *, is_mainnet: bool
) -> dict[str, object]:
    return {
        "type": SEND,
        "destination": user,
        "sourceDex": source,
        "destinationDex": destination,
        "token": token,
        "amount": wire_number(Decimal(units).scaleb(-UNITS)),
        "fromSubAccount": vault or "",
        "nonce": nonce,
        "signatureChainId": hex(SIGNATURE_CHAIN_ID),
        "hyperliquidChain": network(is_mainnet=is_mainnet),
    }


def _transfer(units: int, nonce: int, vault: str | None, *, is_mainnet: bool) -> dict[str, object]:
    return {
        "type": SPOT_TO_PERP,
        "amount": _amount(units, vault),
        "toPerp": True,
        "nonce": nonce,
        "signatureChainId": hex(SIGNATURE_CHAIN_ID),
        "hyperliquidChain": network(is_mainnet=is_mainnet),
    }


def _amount(units: int, vault: str | None) -> str:
    amount = wire_number(Decimal(units).scaleb(-UNITS))
    return amount if vault is None else f"{amount} subaccount:{vault}"


def _is_count(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
