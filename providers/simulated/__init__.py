"""The simulated market: deterministic by seed, offline, behind the same ports as every real source."""

from providers.simulated.market import INFO, SCENARIOS, SimulatedMarket
from providers.simulated.path import ASSETS, STABLE_ASSETS

__all__ = ["ASSETS", "INFO", "SCENARIOS", "STABLE_ASSETS", "SimulatedMarket"]
