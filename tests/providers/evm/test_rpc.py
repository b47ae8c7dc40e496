"""JSON-RPC against loopback nodes: fail-over, the wrong chain, laggards, forks, rate limits, broken replies."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from providers.errors import ConfigError, Malformed, ProviderError, RateLimited, Refused, Unreachable
from providers.evm.rpc import BATCH_SIZE, Rpc, RpcFault, block_number, hex_bytes, quantity
from tests.providers.evm.fake_node import FakeNode

HEAD = [("eth_blockNumber", [])]


def run(scenario: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await scenario()

    return asyncio.run(bounded())


def test_a_reply_answers_the_request_of_its_id_in_any_order() -> None:
    async def scenario() -> None:
        async with FakeNode(block=77) as node:
            node.scramble = lambda reply: list(reversed(reply)) if isinstance(reply, list) else reply
            rpc = Rpc([node.url], 31337)
            head, chain = await rpc.request([("eth_blockNumber", []), ("eth_chainId", [])])
            assert (head, chain) == ("0x4d", "0x7a69")
            assert node.methods[0] == "eth_chainId"
            await rpc.aclose()

    run(scenario)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda reply: reply[:-1],
        lambda reply: [*reply, reply[0]],
        lambda reply: [one | {"id": 10**6} for one in reply],
        lambda reply: [one | {"id": "1"} for one in reply],
        lambda reply: {"id": 1, "result": "0x1"},
        lambda reply: "0x1",
        lambda reply: [{"id": one["id"]} for one in reply],
        lambda reply: [one | {"error": "no"} for one in reply],
    ],
)
def test_a_batch_reply_that_is_not_ours_is_malformed(spoil: Callable[[Any], Any]) -> None:
    async def scenario() -> None:
        async with FakeNode() as node:
            rpc = Rpc([node.url], 31337)
            await rpc.request(HEAD)
            node.scramble = spoil
            with pytest.raises(Malformed, match=r"rpc http://127\.0\.0\.1"):
                await rpc.request([*HEAD, *HEAD])
            await rpc.aclose()

    run(scenario)


def test_a_node_without_batches_is_asked_one_by_one() -> None:
    async def scenario() -> None:
        async with FakeNode(takes_batches=False) as node:
            rpc = Rpc([node.url], 31337)
            assert await rpc.request([*HEAD, *HEAD, *HEAD]) == ["0x3e8"] * 3
            before = node.requests
            await rpc.request([*HEAD, *HEAD])
            assert node.requests == before + 2
            await rpc.aclose()

    run(scenario)


def test_large_requests_go_out_in_several_batches() -> None:
    async def scenario() -> None:
        async with FakeNode() as node:
            rpc = Rpc([node.url], 31337)
            assert len(await rpc.request(HEAD * (2 * BATCH_SIZE + 1))) == 2 * BATCH_SIZE + 1
            assert node.requests == 1 + 3
            await rpc.aclose()

    run(scenario)


def test_another_chain_is_refused_with_both_ids_and_the_host_but_not_the_key() -> None:
    async def scenario() -> None:
        async with FakeNode(chain_id=10, path="/v2/s3cr3t?key=hidden") as node:
            rpc = Rpc([node.url], 1)
            with pytest.raises(Refused) as caught:
                await rpc.request(HEAD)
            said = str(caught.value)
            assert "chain 10" in said
            assert "says 1" in said
            assert f"http://127.0.0.1:{node.port}" in said
            assert "s3cr3t" not in said
            assert "hidden" not in said
            assert node.methods == ["eth_chainId"]
            await rpc.aclose()

    run(scenario)


def test_no_error_names_the_key_in_a_url() -> None:
    async def scenario() -> None:
        async with FakeNode(path="/s3cr3t") as node:
            rpc = Rpc([node.url, node.url + "?apikey=s3cr3t"], 31337)
            for reply in ((500, {}, b"s"), (403, {}, b"{}"), (200, {}, b"<html>"), (200, {}, b'{"id":')):
                node.raw = [reply, reply]
                with pytest.raises(ProviderError) as caught:
                    await rpc.request(HEAD)
                assert "s3cr3t" not in str(caught.value)
                assert not any("s3cr3t" in problem for problem in rpc.problems)
            await rpc.aclose()

    run(scenario)


def test_the_second_url_serves_when_the_first_is_dead_or_wrong() -> None:
    async def scenario() -> None:
        async with FakeNode(block=5) as good, FakeNode(chain_id=1) as wrong:
            async with FakeNode() as dead:
                dead_url = dead.url
            rpc = Rpc([dead_url, wrong.url, good.url], 31337)
            assert await rpc.request(HEAD) == ["0x5"]
            assert len(rpc.problems) == 2
            assert str(dead.port) in rpc.problems[0]
            assert "is chain 1" in rpc.problems[1]
            before = wrong.requests
            assert await rpc.request(HEAD) == ["0x5"]
            assert wrong.requests == before
            await rpc.aclose()

    run(scenario)


def test_a_node_that_failed_is_tried_again_after_its_rest() -> None:
    async def scenario() -> None:
        now = 0.0
        async with FakeNode(block=1) as first, FakeNode(block=2) as second:
            rpc = Rpc([first.url, second.url], 31337, clock=lambda: now)
            first.raw = [(500, {}, b"")]
            assert await rpc.request(HEAD) == ["0x2"]
            assert await rpc.request(HEAD) == ["0x2"]
            now = 31.0
            assert await rpc.request(HEAD) == ["0x1"]
            assert rpc.problems == ()
            await rpc.aclose()

    run(scenario)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>busy</html>", b'{"jsonrpc":"2.0","id":2,"resu', b"[1,2]", b'{"jsonrpc":"2.0","id":99,"result":1}'],
)
def test_what_is_no_reply_is_malformed(body: bytes) -> None:
    async def scenario() -> None:
        async with FakeNode() as node:
            rpc = Rpc([node.url], 31337)
            await rpc.request(HEAD)
            node.raw = [(200, {}, body)]
            with pytest.raises(Malformed):
                await rpc.request(HEAD)
            assert await rpc.request(HEAD) == ["0x3e8"]
            await rpc.aclose()

    run(scenario)


def test_a_reply_without_end_is_cut_off() -> None:
    async def scenario() -> None:
        async with FakeNode() as node:
            rpc = Rpc([node.url], 31337)
            await rpc.request(HEAD)
            node.raw = [(200, {}, b" " * (17 << 20))]
            with pytest.raises(Malformed, match="larger than"):
                await rpc.request(HEAD)
            await rpc.aclose()

    run(scenario)


def test_retry_after_is_waited_for_when_short_and_told_when_long() -> None:
    async def scenario() -> None:
        async with FakeNode() as node:
            rpc = Rpc([node.url], 31337)
            node.raw = [(429, {"Retry-After": "0"}, b"")]
            assert await rpc.request(HEAD) == ["0x3e8"]
            node.raw = [(429, {"Retry-After": "77"}, b"")]
            with pytest.raises(RateLimited) as caught:
                await rpc.request(HEAD)
            assert caught.value.retry_after_s == 77
            await rpc.aclose()

    run(scenario)


def test_a_rate_limit_said_inside_the_reply_is_one_too() -> None:
    async def scenario() -> None:
        async with FakeNode() as node:
            rpc = Rpc([node.url], 31337)
            await rpc.request(HEAD)
            said = {"jsonrpc": "2.0", "id": None, "error": {"code": -32005, "message": "daily limit \x1b[31mreached"}}
            node.raw = [(200, {}, json.dumps(said).encode())]
            with pytest.raises(RateLimited, match=r"daily limit \[31mreached"):
                await rpc.request(HEAD)
            await rpc.aclose()

    run(scenario)


def test_a_node_behind_is_named_and_passed_over() -> None:
    async def scenario() -> None:
        async with FakeNode(block=994) as slow, FakeNode(block=1000) as fresh:
            rpc = Rpc([slow.url, fresh.url], 31337)
            await rpc.compare()
            assert rpc.problems == (f"rpc http://127.0.0.1:{slow.port}: 6 blocks behind http://127.0.0.1:{fresh.port}",)
            assert await rpc.request(HEAD) == ["0x3e8"]
            await rpc.aclose()

    run(scenario)


def test_five_blocks_behind_is_no_reason_for_alarm() -> None:
    async def scenario() -> None:
        async with FakeNode(block=995) as slow, FakeNode(block=1000) as fresh:
            rpc = Rpc([slow.url, fresh.url], 31337)
            await rpc.compare()
            assert rpc.problems == ()
            assert await rpc.request(HEAD) == ["0x3e3"]
            await rpc.aclose()

    run(scenario)


def test_two_nodes_on_different_chains_of_blocks_are_a_conflict() -> None:
    async def scenario() -> None:
        async with FakeNode() as one, FakeNode(block_hash="0x" + "cd" * 32) as other:
            now = 0.0
            rpc = Rpc([one.url, other.url], 31337, clock=lambda: now)
            await rpc.compare()
            (problem,) = rpc.problems
            assert "disagree about block 998" in problem
            assert str(one.port) in problem
            assert str(other.port) in problem
            other.block_hash = one.block_hash
            await rpc.compare()
            assert rpc.problems == (problem,)
            now = 31.0
            await rpc.compare()
            assert rpc.problems == ()
            await rpc.aclose()

    run(scenario)


def test_a_dead_node_does_not_stop_the_comparison() -> None:
    async def scenario() -> None:
        async with FakeNode() as good:
            async with FakeNode() as dead:
                dead_url = dead.url
            rpc = Rpc([dead_url, good.url], 31337)
            await rpc.compare()
            assert len(rpc.problems) == 1
            assert await rpc.request(HEAD) == ["0x3e8"]
            await rpc.aclose()

    run(scenario)


def test_when_nobody_answers_what_may_pass_is_told_first() -> None:
    async def scenario() -> None:
        async with FakeNode(chain_id=5) as wrong:
            async with FakeNode() as dead:
                dead_url = dead.url
            rpc = Rpc([wrong.url, dead_url], 31337)
            with pytest.raises(Unreachable):
                await rpc.request(HEAD)
            await rpc.aclose()

    run(scenario)


@pytest.mark.parametrize("urls", [[], ["ftp://x"], ["https://"], ["not a url"]])
def test_a_url_that_is_none_is_a_config_error(urls: list[str]) -> None:
    with pytest.raises(ConfigError):
        Rpc(urls, 1)


@pytest.mark.parametrize("value", ["0x", "12", "0xzz", 12, None, "0x" + "1" * 65, "-0x1", RpcFault(-32000, "no")])
def test_a_quantity_must_be_one(value: object) -> None:
    with pytest.raises(Malformed):
        quantity("rpc", "eth_chainId", value)


def test_numbers_and_data_out_of_range_are_malformed() -> None:
    with pytest.raises(Malformed):
        block_number("rpc", hex(2**63))
    for value in ("0x1", "zz", None, 5):
        with pytest.raises(Malformed):
            hex_bytes("rpc", "eth_call", value)
    assert hex_bytes("rpc", "eth_call", "0x0aFF") == b"\x0a\xff"
