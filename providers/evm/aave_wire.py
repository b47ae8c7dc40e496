"""The words that Aave v3 contracts answer, taken apart into the engine's raw types; pure functions over bytes.

Layouts: `getReserveData` is DataTypes.ReserveData of aave-v3-core 1.19, kept as ReserveDataLegacy (15 words) up to 3.7;
configuration bits are ReserveConfigurationMap; two bits per reserve in the user's word: even = borrowing, odd = used as
collateral (UserConfiguration.sol). Every function raises `AbiError` for data that cannot be what it should be.
"""

from engine.aave import AaveAccountData, AaveEMode, AaveReserve
from engine.aave_math import BPS
from engine.record import record
from providers.evm.abi import AbiError, address, text_at, words

MAX_DECIMALS = 36
MAX_PRICE_BITS = 128


@record
class ReserveWire:
    """One reserve as `getReserveData` tells it: the configuration taken apart, and its tokens (lower case)."""

    reserve_id: int
    configuration: int
    liquidity_index_ray: int
    variable_borrow_index_ray: int
    liquidity_rate_ray: int
    variable_borrow_rate_ray: int
    last_update_s: int
    a_token: str
    stable_debt_token: str
    variable_debt_token: str

    @property
    def decimals(self) -> int:
        """Return the token's decimals, bits 48-55."""
        return self._bits(48, 8)

    @property
    def has_virtual_accounting(self) -> bool:
        """Return bit 252, which 3.1 to 3.3 use: unset for GHO, whose debt is then read by `balanceOf`."""
        return self._bits(252, 1) == 1

    def reserve(self, asset: str, price: int) -> AaveReserve:
        """Return it as the engine's type, named `asset` and priced in the oracle's base units."""
        return AaveReserve(
            asset=asset,
            reserve_id=self.reserve_id,
            decimals=self.decimals,
            price=price,
            ltv_bps=self._bits(0, 16),
            liquidation_threshold_bps=self._bits(16, 16),
            liquidation_bonus_bps=self._bits(32, 16),
            liquidity_index_ray=self.liquidity_index_ray,
            variable_borrow_index_ray=self.variable_borrow_index_ray,
            liquidity_rate_ray=self.liquidity_rate_ray,
            variable_borrow_rate_ray=self.variable_borrow_rate_ray,
            last_update_s=self.last_update_s,
            protocol_fee_bps=self._bits(152, 16),
            emode_category=self._bits(168, 8),
            debt_ceiling=self._bits(212, 40),
            is_active=self._bits(56, 1) == 1,
            is_paused=self._bits(60, 1) == 1,
        )

    def _bits(self, start: int, width: int) -> int:
        return self.configuration >> start & (1 << width) - 1


def parse_reserve(data: bytes) -> ReserveWire:
    """Return the answer to `getReserveData`."""
    word = words(data, 15)
    if any(value >> 128 for value in word[1:6]) or word[6] >> 40 or word[7] >> 16:
        raise AbiError("a reserve with numbers out of range")
    wire = ReserveWire(
        reserve_id=word[7],
        configuration=word[0],
        liquidity_index_ray=word[1],
        liquidity_rate_ray=word[2],
        variable_borrow_index_ray=word[3],
        variable_borrow_rate_ray=word[4],
        last_update_s=word[6],
        a_token=address(word[8]),
        stable_debt_token=address(word[9]),
        variable_debt_token=address(word[10]),
    )
    if wire.decimals > MAX_DECIMALS:
        raise AbiError(f"a token with {wire.decimals} decimals")
    return wire


def parse_account_data(data: bytes) -> AaveAccountData:
    """Return the answer to `getUserAccountData`."""
    collateral, debt, borrows, threshold, ltv, health = words(data, 6)
    if threshold > 2 * BPS or ltv > 2 * BPS:
        raise AbiError("account data out of range")
    return AaveAccountData(collateral, debt, borrows, threshold, ltv, health)


def parse_price(data: bytes) -> int:
    """Return the answer to `getAssetPrice`: positive, in the oracle's base units."""
    price = words(data, 1)[0]
    if price == 0 or price >> MAX_PRICE_BITS:
        raise AbiError("a price that is none")
    return price


def parse_old_emode(category: int, data: bytes) -> tuple[AaveEMode, str]:
    """Return the answer to `getEModeCategoryData` of 3.0 and 3.1, and the address of the category's price source."""
    base = words(data, 1)[0]
    body = data[base:]
    ltv, threshold, bonus, source = words(body, 4)
    return _emode(category, ltv, threshold, bonus, label=text_at(body, 4)), address(source)


def parse_emode(
    category: int, config: bytes, collateral: bytes, borrowable: bytes, ltv_zero: bytes | None, isolated: bytes | None
) -> AaveEMode:
    """Return the answers of 3.2 and later about one category; `ltv_zero` from 3.6, `isolated` from 3.7."""
    ltv, threshold, bonus = words(config, 3)
    return _emode(
        category,
        ltv,
        threshold,
        bonus,
        collateral_bitmap=_bitmap(collateral),
        borrowable_bitmap=_bitmap(borrowable),
        ltv_zero_bitmap=0 if ltv_zero is None else _bitmap(ltv_zero),
        is_isolated=isolated is not None and words(isolated, 1)[0] == 1,
    )


def borrows(configuration: int, reserve_id: int) -> bool:
    """Return whether the user's word says that this reserve is borrowed."""
    return configuration >> 2 * reserve_id & 1 == 1


def uses_as_collateral(configuration: int, reserve_id: int) -> bool:
    """Return whether the user's word says that this reserve is used as collateral."""
    return configuration >> 2 * reserve_id + 1 & 1 == 1


def reserve_ids(configuration: int) -> frozenset[int]:
    """Return the ids of every reserve that the user's word names."""
    return frozenset(bit // 2 for bit in range(configuration.bit_length()) if configuration >> bit & 1)


def _emode(
    category: int,
    ltv: int,
    threshold: int,
    bonus: int,
    *,
    collateral_bitmap: int = 0,
    borrowable_bitmap: int = 0,
    ltv_zero_bitmap: int = 0,
    is_isolated: bool = False,
    label: str = "",
) -> AaveEMode:
    if max(ltv, threshold, bonus) >> 16:
        raise AbiError("an eMode out of range")
    return AaveEMode(
        category=category,
        ltv_bps=ltv,
        liquidation_threshold_bps=threshold,
        liquidation_bonus_bps=bonus,
        collateral_bitmap=collateral_bitmap,
        borrowable_bitmap=borrowable_bitmap,
        ltv_zero_bitmap=ltv_zero_bitmap,
        is_isolated=is_isolated,
        label=label,
    )


def _bitmap(data: bytes) -> int:
    value = words(data, 1)[0]
    if value >> 128:
        raise AbiError("a bitmap wider than 128 reserves")
    return value
