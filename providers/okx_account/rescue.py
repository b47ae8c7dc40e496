"""Rescues at OKX: the account's key as signer, its moves, and a fresh reading as the dry run."""

from providers.okx_account.moves import OkxMoves
from providers.okx_account.signing import demo_headers
from providers.okx_account.source import is_demo, signed_reads, source, transport
from providers.ports import AccountOptions
from providers.rescue_ports import KeySigner
from providers.venue_rescue import VenueRescue


def make(options: AccountOptions, wallet: KeySigner | None = None) -> VenueRescue:
    """Return the rescuer of one configured account; without `wallet` it only reads."""
    http = transport(options)
    moves = OkxMoves(signed_reads(options, http), demo_headers(is_demo=is_demo(options)))
    return VenueRescue(options.name, moves, source(options), wallet, (http,))
