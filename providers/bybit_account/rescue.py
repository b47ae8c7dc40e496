"""Rescues at Bybit: the account's key as signer, its moves, and a fresh reading as the dry run."""

from providers.bybit_account.moves import BybitMoves
from providers.bybit_account.source import signed_reads, source, transport
from providers.ports import AccountOptions
from providers.rescue_ports import KeySigner
from providers.venue_rescue import VenueRescue


def make(options: AccountOptions, wallet: KeySigner | None = None) -> VenueRescue:
    """Return the rescuer of one configured account; without `wallet` it only reads."""
    http = transport(options)
    moves = BybitMoves(signed_reads(options, http))
    return VenueRescue(options.name, moves, source(options), wallet, (http,))
