"""The fixed-point arithmetic of Aave v3: ray (1e27), wad (1e18), basis points, and the two interest formulas.

Every function returns the integer that the contract's library of the same purpose returns for in-range input.
Sources: WadRayMath, PercentageMath and MathUtils of aave-v3-core 1.19 (3.0.x) and aave-v3-origin 3.1 to 3.7.
"""

from enum import IntEnum

RAY = 10**27
WAD = 10**18
BPS = 10_000
SECONDS_PER_YEAR = 31_536_000


class AaveVersion(IntEnum):
    """The arithmetic family of a pool, ordered by age; Spark Lend is a fork that stayed in the 3.0 family."""

    V3_0 = 30
    V3_1 = 31
    V3_2 = 32
    V3_3 = 33
    V3_4 = 34
    V3_5 = 35
    V3_6 = 36
    V3_7 = 37

    @property
    def label(self) -> str:
        """Return the version as people write it ("3.6")."""
        return f"{self.value // 10}.{self.value % 10}"


NEWEST_POOL_REVISION = 11
_BY_REVISION = {
    1: AaveVersion.V3_0,
    2: AaveVersion.V3_0,
    3: AaveVersion.V3_0,
    4: AaveVersion.V3_1,
    5: AaveVersion.V3_2,
    6: AaveVersion.V3_3,
    7: AaveVersion.V3_3,
    8: AaveVersion.V3_4,
    9: AaveVersion.V3_5,
    10: AaveVersion.V3_6,
    11: AaveVersion.V3_7,
}


def version_of_revision(revision: int) -> AaveVersion:
    """Return the arithmetic of a pool by its `POOL_REVISION()`; a newer one than we know counts as the newest known.

    Revisions are those of PoolInstance at the tags of aave-v3-origin. Raises `ValueError` below 1.
    """
    if revision < 1:
        raise ValueError(f"a pool revision starts at 1, not {revision}")
    return _BY_REVISION[min(revision, NEWEST_POOL_REVISION)]


def ray_mul(a: int, b: int) -> int:
    """Return a x b / 1e27, rounded half up."""
    return (a * b + RAY // 2) // RAY


def ray_mul_floor(a: int, b: int) -> int:
    """Return a x b / 1e27, rounded down."""
    return a * b // RAY


def ray_mul_ceil(a: int, b: int) -> int:
    """Return a x b / 1e27, rounded up."""
    return -(-a * b // RAY)


def wad_div(a: int, b: int) -> int:
    """Return a x 1e18 / b, rounded half up; b is positive."""
    return (a * WAD + b // 2) // b


def percent_mul(value: int, bps: int) -> int:
    """Return value x bps / 1e4, rounded half up."""
    return (value * bps + BPS // 2) // BPS


def percent_mul_floor(value: int, bps: int) -> int:
    """Return value x bps / 1e4, rounded down."""
    return value * bps // BPS


def percent_mul_ceil(value: int, bps: int) -> int:
    """Return value x bps / 1e4, rounded up."""
    return -(-value * bps // BPS)


def percent_div(value: int, bps: int) -> int:
    """Return value x 1e4 / bps, rounded half up; bps is positive."""
    return (value * BPS + bps // 2) // bps


def percent_div_floor(value: int, bps: int) -> int:
    """Return value x 1e4 / bps, rounded down; bps is positive."""
    return value * BPS // bps


def percent_div_ceil(value: int, bps: int) -> int:
    """Return value x 1e4 / bps, rounded up; bps is positive."""
    return -(-value * BPS // bps)


def mul_div_ceil(a: int, b: int, c: int) -> int:
    """Return a x b / c, rounded up; c is positive."""
    return -(-a * b // c)


def linear_interest_ray(rate_ray: int, elapsed_s: int) -> int:
    """Return the growth factor of the supply index over `elapsed_s` at an annual rate (all versions)."""
    return RAY + rate_ray * elapsed_s // SECONDS_PER_YEAR


def compounded_interest_ray(version: AaveVersion, rate_ray: int, elapsed_s: int) -> int:
    """Return the growth factor of the debt index over `elapsed_s` at an annual rate.

    From 3.4 on the first four terms of the Taylor series of exp; before, the first four of the binomial series,
    which is slightly lower.
    """
    if elapsed_s == 0:
        return RAY
    if version >= AaveVersion.V3_4:
        x = rate_ray * elapsed_s // SECONDS_PER_YEAR
        return RAY + x + ray_mul(x, x // 2 + ray_mul(x, x // 6))
    squared = ray_mul(rate_ray, rate_ray) // (SECONDS_PER_YEAR * SECONDS_PER_YEAR)
    cubed = ray_mul(squared, rate_ray) // SECONDS_PER_YEAR
    pairs = elapsed_s * (elapsed_s - 1)
    triples = pairs * max(elapsed_s - 2, 0)
    return RAY + rate_ray * elapsed_s // SECONDS_PER_YEAR + pairs * squared // 2 + triples * cubed // 6
