"""Why a contract refused, in words: the numeric strings of Aave up to 3.3, the custom errors since, tokens' own texts.

Sources: Errors.sol of aave-v3-core 1.19 and aave-v3-origin 3.6, OpenZeppelin's IERC20Errors (read 2026-11).
"""

from providers.evm.abi import AbiError, text
from providers.text import inert

_WORDS = {
    "InvalidAmount": "the amount is 0",
    "ReserveInactive": "the reserve is inactive",
    "ReserveFrozen": "the reserve is frozen",
    "ReservePaused": "the reserve is paused",
    "SupplyCapExceeded": "the supply cap is reached",
    "NoDebtOfSelectedType": "there is no such debt",
    "NoExplicitAmountToRepayOnBehalf": "repaying for another needs an explicit amount",
    "UnderlyingBalanceZero": "nothing of it is supplied",
    "UserInIsolationModeOrLtvZero": "it cannot be collateral: isolation mode, or its LTV is 0",
    "HealthFactorLowerThanLiquidationThreshold": "health would be below 1",
    "InvalidMintAmount": "the amount is too small to count",
    "InvalidBurnAmount": "the amount is too small to count",
    "PriceOracleSentinelCheckFailed": "the chain's sequencer was down",
    "LtvValidationFailed": "collateral with LTV 0 must leave first",
    "AssetNotListed": "the asset is not listed",
    "SupplyToAToken": "supply for the aToken itself is not allowed",
    "InvalidInterestRateModeSelected": "the interest rate mode does not exist",
    "DebtCeilingExceeded": "the debt ceiling is reached",
    "OperationNotSupported": "the operation is not supported",
    "ERC20InsufficientBalance": "insufficient balance",
    "ERC20InsufficientAllowance": "insufficient allowance",
    "SafeERC20FailedOperation": "the token refused",
}
_NUMBERS = {
    "24": "InvalidMintAmount",
    "25": "InvalidBurnAmount",
    "26": "InvalidAmount",
    "27": "ReserveInactive",
    "28": "ReserveFrozen",
    "29": "ReservePaused",
    "33": "InvalidInterestRateModeSelected",
    "35": "HealthFactorLowerThanLiquidationThreshold",
    "39": "NoDebtOfSelectedType",
    "40": "NoExplicitAmountToRepayOnBehalf",
    "43": "UnderlyingBalanceZero",
    "51": "SupplyCapExceeded",
    "53": "DebtCeilingExceeded",
    "57": "LtvValidationFailed",
    "59": "PriceOracleSentinelCheckFailed",
    "62": "UserInIsolationModeOrLtvZero",
}
SELECTORS = {
    "2c5211c6": "InvalidAmount",
    "90cd6f24": "ReserveInactive",
    "6d305815": "ReserveFrozen",
    "d37f5f1c": "ReservePaused",
    "f58f733a": "SupplyCapExceeded",
    "f0788fb2": "NoDebtOfSelectedType",
    "cd3779c3": "NoExplicitAmountToRepayOnBehalf",
    "5fe10377": "UnderlyingBalanceZero",
    "0cafc072": "UserInIsolationModeOrLtvZero",
    "6679996d": "HealthFactorLowerThanLiquidationThreshold",
    "ccfad018": "InvalidMintAmount",
    "2075cc10": "InvalidBurnAmount",
    "91037009": "PriceOracleSentinelCheckFailed",
    "5b263df7": "LtvValidationFailed",
    "b77e1e0f": "AssetNotListed",
    "18d2badf": "SupplyToAToken",
    "17c5a78e": "InvalidInterestRateModeSelected",
    "e24734c2": "DebtCeilingExceeded",
    "29a270f5": "OperationNotSupported",
    "e450d38c": "ERC20InsufficientBalance",
    "fb8f41b2": "ERC20InsufficientAllowance",
    "5274afe7": "SafeERC20FailedOperation",
}
"""Error names by selector; a test recomputes each from the contracts' own ABI."""

_ERROR_STRING, _PANIC = "08c379a0", "4e487b71"
_PANICS = {0x01: "an assertion failed", 0x11: "a number overflowed", 0x12: "a division by 0"}


def revert_reason(data: bytes) -> str:
    """Return in words why a call reverted, from its revert data; never empty, inert, at most a line."""
    selector = data[:4].hex()
    if selector == _ERROR_STRING:
        try:
            said = inert(text(data[4:]), 120).strip()
        except AbiError:
            said = ""
        if said in _NUMBERS:
            name = _NUMBERS[said]
            return f"{_WORDS[name]} (Aave error {said})"
        lowered = said.lower()
        if "exceeds balance" in lowered or "insufficient balance" in lowered:
            return f"insufficient balance ({said})"
        if "allowance" in lowered:
            return f"insufficient allowance ({said})"
        return said or "reverted with an empty message"
    if selector == _PANIC and len(data) >= 36:
        code = int.from_bytes(data[4:36], "big")
        return _PANICS.get(code, f"panic {code:#x}")
    if selector in SELECTORS:
        name = SELECTORS[selector]
        return f"{_WORDS[name]} ({name})"
    return f"reverted with {data[:4].hex()}" if data else "reverted without a reason"
