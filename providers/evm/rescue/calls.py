"""Call data of everything that a rescue reads or sends, and the check of what a prepared call would do.

Signatures: IPool, IAToken and IERC20 of aave-v3-origin, WETH9, EIP-2612, Multicall3 (read 2026-11); a selector is the
first four bytes of the keccak of its signature. Every call that is sent has plain words only.
"""

from collections.abc import Iterable, Sequence

from providers.evm.abi import WORD

VARIABLE_RATE = 2
MAX_UINT256 = 2**256 - 1

APPROVE = "approve(address,uint256)"
DEPOSIT = "deposit()"
SUPPLY = "supply(address,uint256,address,uint16)"
SUPPLY_WITH_PERMIT = "supplyWithPermit(address,uint256,address,uint16,uint256,uint8,bytes32,bytes32)"
REPAY = "repay(address,uint256,uint256,address)"
USE_AS_COLLATERAL = "setUserUseReserveAsCollateral(address,bool)"

SENT: dict[str, str] = {
    APPROVE: "095ea7b3",
    DEPOSIT: "d0e30db0",
    SUPPLY: "617ba037",
    SUPPLY_WITH_PERMIT: "02c205f0",
    REPAY: "573ade81",
    USE_AS_COLLATERAL: "5a3b74b9",
}
"""The only functions that a rescue ever calls in a transaction."""

READ: dict[str, str] = {
    "allowance(address,address)": "dd62ed3e",
    "getEthBalance(address)": "4d2301cc",
    "totalSupply()": "18160ddd",
    "name()": "06fdde03",
    "version()": "54fd4d50",
    "EIP712_REVISION()": "78160376",
    "DOMAIN_SEPARATOR()": "3644e515",
    "PERMIT_TYPEHASH()": "30adf81f",
    "nonces(address)": "7ecebe00",
    "balanceOf(address)": "70a08231",
    "getUserAccountData(address)": "bf92857c",
    "getReserveData(address)": "35ea6a75",
    "getAssetPrice(address)": "b3596f07",
    "getPool()": "026b1d5f",
    "getL1FeeUpperBound(uint256)": "f1c7a58b",
}
AGGREGATE3_VALUE = "174dea71"


def call(signature: str, *arguments: int | str) -> bytes:
    """Return call data of a function of `SENT` or `READ`; arguments are numbers or 0x-addresses."""
    selector = SENT.get(signature) or READ[signature]
    return bytes.fromhex(selector) + b"".join(word(argument) for argument in arguments)


def word(value: int | str) -> bytes:
    """Return a number or 0x-address as 32 bytes."""
    return (int(value, 16) if isinstance(value, str) else value).to_bytes(WORD, "big")


def taken_apart(data: bytes) -> tuple[str, tuple[int, ...]] | None:
    """Return signature and argument words of a call that a rescue may send; `None` for any other data."""
    for signature, selector in SENT.items():
        body = data[4:]
        if data[:4].hex() == selector:
            inside = signature[signature.index("(") + 1 : -1]
            count = len(inside.split(",")) if inside else 0
            if len(body) != count * WORD:
                return None
            return signature, tuple(int.from_bytes(body[i * WORD : (i + 1) * WORD], "big") for i in range(count))
    return None


def objection(
    to: str, data: bytes, value_wei: int, *, pool: str, owner: str, wrapped: str, tokens: Iterable[str]
) -> str:
    """Return why this call is none that a rescue of `owner` in `pool` may send, "" when it is one.

    `tokens` are the market's reserves, `wrapped` the wrapped native token ("" where there is none). Addresses are
    lower case. Allowed are: wrapping, approving the pool, supplying and repaying for `owner`, enabling collateral.
    """
    parts = taken_apart(data)
    if parts is None:
        return f"a call to {to} that no rescue makes"
    signature, words = parts
    known = frozenset(tokens)
    where = {APPROVE: known, DEPOSIT: {wrapped} - {""}}.get(signature, {pool})
    if to not in where:
        return f"{signature.partition('(')[0]} goes to {to}, which is not of this market"
    if value_wei and signature != DEPOSIT:
        return f"{signature.partition('(')[0]} would send native coin along"
    if signature == APPROVE and words[0] != int(pool, 16):
        return "an approval for someone else than the pool"
    if signature in (SUPPLY, SUPPLY_WITH_PERMIT, REPAY, USE_AS_COLLATERAL):
        return _pool_objection(signature, words, int(owner, 16), frozenset(int(token, 16) for token in known))
    return ""


def _pool_objection(signature: str, words: Sequence[int], owner: int, tokens: frozenset[int]) -> str:
    if words[0] not in tokens:
        return "an asset that is no reserve of this market"
    if signature == USE_AS_COLLATERAL:
        return "" if words[1] == 1 else "collateral would be disabled"
    beneficiary = words[3] if signature == REPAY else words[2]
    if beneficiary != owner:
        return f"it would be credited to 0x{beneficiary:040x}, not to the account's owner"
    if signature == REPAY and words[2] != VARIABLE_RATE:
        return "it would repay debt of another kind than variable"
    return ""


def encode_aggregate3_value(calls: Sequence[tuple[str, bytes, int]]) -> bytes:
    """Return call data of Multicall3 `aggregate3Value` that lets every (target, data, value) fail by itself."""
    items = [
        word(target) + word(1) + word(value) + word(4 * WORD) + word(len(data)) + data + bytes(-len(data) % WORD)
        for target, data, value in calls
    ]
    heads, at = [], len(items) * WORD
    for item in items:
        heads.append(word(at))
        at += len(item)
    body = word(WORD) + word(len(items)) + b"".join(heads) + b"".join(items)
    return bytes.fromhex(AGGREGATE3_VALUE) + body
