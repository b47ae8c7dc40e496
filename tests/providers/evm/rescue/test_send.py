"""Handing over a signed transaction: which answers mean taken, not taken, and nobody knows."""

import asyncio
import json

import pytest

from providers.errors import ConfigError, Refused, Unreachable
from providers.evm.rescue.permit import keccak
from providers.evm.rescue.send import NonceUsed, Submission
from providers.ports import AccountOptions
from providers.rescue_ports import Signed
from tests.providers.evm.fake_node import FakeNode

RAW = "0x02c0"
SIGNED = Signed("0x" + keccak(bytes.fromhex(RAW[2:])).hex(), RAW, 7, "0x" + "aa" * 20)


def reply(**said: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps({"jsonrpc": "2.0", "id": 1, **said}).encode()


def fault(message: str, code: int = -32000) -> tuple[int, dict[str, str], bytes]:
    return reply(error={"code": code, "message": message})


TAKEN = reply(result=SIGNED.reference)
BROKEN: tuple[int, dict[str, str], bytes] = (500, {}, b"")


def sent(*nodes: list[tuple[int, dict[str, str], bytes]], relay: bool = False, fallback: bool = False) -> list[int]:
    """Hand over to nodes that answer so, the first being the relay if there is one; return how often each was asked."""

    async def whole() -> list[int]:
        running = [FakeNode(raw=list(answers)) for answers in nodes]
        for node in running:
            await node.__aenter__()
        try:
            urls = [node.url for node in running]
            options = AccountOptions(
                "main",
                "aave-v3",
                rpc_urls=tuple(urls[1:] if relay else urls),
                submit_rpc_url=urls[0] if relay else None,
                submit_fallback=fallback,
            )
            way = Submission(options, "aave-v3 eth")
            try:
                await way.hand_over(SIGNED)
            finally:
                await way.aclose()
            return [node.requests for node in running]
        finally:
            for node in running:
                await node.__aexit__(None, None, None)

    return asyncio.run(whole())


@pytest.mark.parametrize(
    "answer",
    [
        TAKEN,
        fault("already known"),
        fault("ALREADY_EXISTS: already known", -32010),
        fault("transaction already imported"),
    ],
)
def test_what_is_there_was_taken(answer: tuple[int, dict[str, str], bytes]) -> None:
    assert sent([answer]) == [1]


@pytest.mark.parametrize(
    "answer",
    [
        fault("insufficient funds for gas * price + value: balance 0, tx cost 1"),
        fault("replacement transaction underpriced"),
        fault("max fee per gas less than block base fee: address 0x, maxFeePerGas: 1, baseFee: 2"),
        fault("INTERNAL_ERROR: insufficient funds", -32010),
        fault("intrinsic gas too low"),
        (429, {"Retry-After": "1"}, b"{}"),
        (401, {}, b"{}"),
        (413, {}, b"{}"),
    ],
)
def test_a_clear_no_is_a_refusal(answer: tuple[int, dict[str, str], bytes]) -> None:
    with pytest.raises(Refused):
        sent([answer])


def test_a_used_nonce_is_a_refusal_of_its_own() -> None:
    with pytest.raises(NonceUsed):
        sent([fault("nonce too low: next nonce 9, tx nonce 7")])


@pytest.mark.parametrize(
    "answer",
    [
        BROKEN,
        fault("request timed out", -32603),
        fault("header not found"),
        reply(result="0x" + "00" * 32),
        reply(result=None),
        reply(),
        (200, {}, b"not json"),
        (200, {}, b"[]"),
    ],
)
def test_anything_else_leaves_the_outcome_open(answer: tuple[int, dict[str, str], bytes]) -> None:
    with pytest.raises(Unreachable, match="nobody knows"):
        sent([answer])


def test_nodes_are_tried_in_turn_until_one_takes_it() -> None:
    assert sent([BROKEN], [TAKEN], [TAKEN]) == [1, 1, 0]


def test_one_doubt_outweighs_a_refusal_elsewhere() -> None:
    with pytest.raises(Unreachable):
        sent([BROKEN], [fault("insufficient funds")])


def test_the_public_nodes_hear_of_it_only_when_the_user_allows() -> None:
    assert sent([TAKEN], [TAKEN], relay=True) == [1, 0]
    assert sent([BROKEN], [TAKEN], relay=True, fallback=True) == [1, 1]
    with pytest.raises(Unreachable):
        sent([BROKEN], [TAKEN], relay=True)


def test_a_submit_url_that_is_none_is_named_as_such() -> None:
    with pytest.raises(ConfigError):
        Submission(AccountOptions("main", "aave-v3", submit_rpc_url="ftp://x"), "aave-v3 eth")
