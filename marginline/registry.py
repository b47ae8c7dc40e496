"""Every adapter by the name that the config uses; its module is imported when it is first needed."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType

from providers.ports import ProviderInfo

ACCOUNT_MODULES: Mapping[str, str] = {
    "aave-v3": "providers.evm.aave_v3",
    "alpaca": "providers.alpaca",
    "binance-pm": "providers.binance_futures.pm",
    "binance-usdm": "providers.binance_futures.usdm",
    "bybit": "providers.bybit_account.source",
    "ccxt": "providers.ccxt_venue.source",
    "deribit": "providers.deribit.source",
    "dydx": "providers.dydx",
    "hyperliquid": "providers.hyperliquid",
    "ibkr": "providers.ibkr",
    "kraken-futures": "providers.kraken_futures.source",
    "manual": "providers.manual",
    "okx": "providers.okx_account.source",
    "spark": "providers.evm.aave_v3",
}
FEED_MODULES: Mapping[str, str] = {
    "binance": "providers.binance",
    "coinbase": "providers.coinbase",
    "kraken": "providers.kraken",
    "okx": "providers.okx",
    "bybit": "providers.bybit",
    "hyperliquid": "providers.hyperliquid_prices",
}
OPTION_MODULES: Mapping[str, str] = {"deribit": "providers.deribit.source"}
RESCUE_MODULES: Mapping[str, str] = {
    "aave-v3": "providers.evm.rescue.writer",
    "binance-pm": "providers.binance_futures.pm_rescue",
    "binance-usdm": "providers.binance_futures.usdm_rescue",
    "bybit": "providers.bybit_account.rescue",
    "ccxt": "providers.ccxt_venue.moves",
    "deribit": "providers.deribit.moves",
    "hyperliquid": "providers.hyperliquid_rescue",
    "okx": "providers.okx_account.rescue",
    "kraken-futures": "providers.kraken_futures.moves",
    "spark": "providers.evm.rescue.writer",
}
SIMULATED_MODULE = "providers.simulated.market"
OF_MANY = frozenset({"ccxt"})
"""Providers that are written with the venue behind a colon."""
DESCRIBED_IN_CONFIG = frozenset({"manual"})


def family(provider: str) -> str:
    """Return the registered name of a provider: "ccxt" of "ccxt:bitget", every other as it is."""
    name, separator, exchange = provider.partition(":")
    return name if separator and exchange and name in OF_MANY else provider


def account_module(provider: str) -> ModuleType:
    """Return the module of an account provider: it has `INFO` and `source(options)`."""
    return import_module(ACCOUNT_MODULES[family(provider)])


def feed_module(venue: str) -> ModuleType:
    """Return the module of a price venue: it has `INFO` and `feed(options)`."""
    return import_module(FEED_MODULES[venue])


def option_module(venue: str) -> ModuleType:
    """Return the module of a venue that lists options: it has `option_chain(options)`."""
    return import_module(OPTION_MODULES[venue])


def rescue_module(provider: str) -> ModuleType | None:
    """Return the module that rescues accounts of a provider, `None` when nothing does: it has `make(...)`."""
    module = RESCUE_MODULES.get(family(provider))
    return None if module is None else import_module(module)


class SettingsByProvider(Mapping[str, frozenset[str]]):
    """The config keys that each account provider takes; looks into a module only when asked for its keys."""

    def __getitem__(self, provider: str) -> frozenset[str]:
        if provider not in self:
            raise KeyError(provider)
        info: ProviderInfo = account_module(provider).INFO
        return info.settings | info.required

    def __contains__(self, provider: object) -> bool:
        return isinstance(provider, str) and provider not in OF_MANY and family(provider) in ACCOUNT_MODULES

    def __iter__(self) -> Iterator[str]:
        return (f"{name}:<id>" if name in OF_MANY else name for name in ACCOUNT_MODULES)

    def __len__(self) -> int:
        return len(ACCOUNT_MODULES)


def all_infos() -> list[ProviderInfo]:
    """Return what every adapter reads and does: accounts, then price venues, then the market behind `demo`."""
    modules = [*dict.fromkeys(ACCOUNT_MODULES.values()), *FEED_MODULES.values(), SIMULATED_MODULE]
    return [import_module(module).INFO for module in modules]
