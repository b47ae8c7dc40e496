"""Hands a signed transaction over, once: to the private relay where one is set, else to the nodes in turn.

`Refused` means that nobody took it; whatever leaves that open is `Unreachable`. Handing the same signed bytes to
another node cannot make it happen twice: they carry one nonce. Nodes' words: go-ethereum core/txpool/errors.go and
core/error.go, and their kin in Nethermind, Erigon and reth (read 2026-11).
"""

import re

from providers.errors import Malformed, ProviderError, RateLimited, Refused, Unreachable
from providers.evm.rescue.permit import keccak
from providers.http import HttpTransport, decode
from providers.ports import AccountOptions
from providers.rescue_ports import Signed
from providers.text import inert

KNOWN = ("already known", "known transaction", "already imported", "already in mempool", "alreadyknown")
NONCE_USED = ("nonce too low", "nonce is too low", "oldnonce", "invalid nonce")
NOT_TAKEN = (
    "insufficient funds",
    "insufficient balance",
    "replacement transaction underpriced",
    "transaction underpriced",
    "fee too low",
    "feetoolow",
    "max fee per gas less than block base fee",
    "less than block base fee",
    "intrinsic gas",
    "exceeds block gas limit",
    "gas limit reached",
    "exceeds the configured cap",
    "max priority fee per gas higher than max fee",
    "invalid sender",
    "invalid chain id",
    "txpool is full",
    "transaction type not supported",
    "rlp:",
    "does not exist",
    "method not found",
)
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")


class NonceUsed(Refused):
    """The node says that the nonce is spent: by this very transaction, or by another."""


class Submission:
    """Sends raw transactions of one account. Raises `ConfigError` for a URL that is none."""

    def __init__(self, options: AccountOptions, venue: str) -> None:
        self._venue = venue
        relay = () if options.submit_rpc_url is None else (options.submit_rpc_url,)
        urls = (*relay, *options.rpc_urls) if not relay or options.submit_fallback else relay
        self._ways = [HttpTransport(f"{venue} submit", url, attempts=1, tls_ca=options.tls_ca) for url in urls]

    async def hand_over(self, signed: Signed) -> None:
        """Return when somebody took it (or has it already); see the module for what is raised."""
        refusals: list[Refused] = []
        doubts: list[ProviderError] = []
        for way in self._ways:
            try:
                await _offer(way, signed)
            except Refused as error:
                refusals.append(error)
            except ProviderError as error:
                doubts.append(error)
            else:
                return
        if doubts:
            raise Unreachable(self._venue, f"nobody knows whether it was taken: {doubts[0].detail}") from doubts[0]
        raise next((error for error in refusals if isinstance(error, NonceUsed)), refusals[0])

    async def aclose(self) -> None:
        """Close every connection."""
        for way in self._ways:
            await way.aclose()


async def _offer(way: HttpTransport, signed: Signed) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [signed.raw]}
    try:
        raw = await way.post("", body)
    except RateLimited as error:
        raise Refused(way.venue, f"not taken: {error.detail}") from error
    reply = decode(way.venue, "eth_sendRawTransaction", raw, object)
    if not isinstance(reply, dict):
        raise Malformed(way.venue, "eth_sendRawTransaction: not a reply")
    fault = reply.get("error")
    if isinstance(fault, dict):
        _judge(way.venue, inert(str(fault.get("message", "")), 120))
        return
    said = reply.get("result")
    if not isinstance(said, str) or not _HASH.fullmatch(said):
        raise Malformed(way.venue, "eth_sendRawTransaction: no transaction hash")
    if said.lower() != "0x" + keccak(bytes.fromhex(signed.raw[2:])).hex():
        raise Malformed(way.venue, "eth_sendRawTransaction: the hash of another transaction")


def _judge(venue: str, message: str) -> None:
    """Raise what an error reply means; return when it says that the transaction is there already."""
    lowered = message.lower()
    if any(words in lowered for words in KNOWN):
        return
    if any(words in lowered for words in NONCE_USED):
        raise NonceUsed(venue, f"not taken: {message}")
    if any(words in lowered for words in NOT_TAKEN):
        raise Refused(venue, f"not taken: {message}")
    raise Unreachable(venue, f"answered {message!r}, which does not say whether it was taken")
