"""A loopback venue that floods: Binance bookTicker frames made beforehand, many in one write, for whoever connects.

`python -m benchmarks.frames COUNT` prints its WebSocket URL and serves until its input ends. A client that names its
streams in the URL gets the frames at once, another after its first message. The last frame of each symbol has a bid of
`LAST`, so that a client knows when it has seen everything; those are said again until it leaves.
"""

import asyncio
import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ASSETS = ("BTC", "ETH", "SOL", "XRP", "LINK", "AVAX", "DOGE", "LTC", "ADA", "DOT")
LAST = "7777.5"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CHUNK = 256


def frame(number: int, asset: str, bid: str, ask: str) -> bytes:
    """Return one WebSocket text frame of a bookTicker."""
    told = {"u": 400_900_000 + number, "s": f"{asset}USDT", "b": bid, "B": "31.21000000", "a": ask, "A": "40.66000000"}
    text = json.dumps(told, separators=(",", ":")).encode()
    return bytes((0x81, len(text))) + text


def frames(count: int) -> list[bytes]:
    """Return writes of `_CHUNK` frames each; prices go up and down by 0.4 % in all, symbol by symbol."""
    each = [
        frame(number, ASSETS[number % len(ASSETS)], f"{bid:.2f}", f"{bid + 0.2:.2f}")
        for number in range(count - len(ASSETS))
        for bid in (2500 + number % 97 / 10,)
    ]
    each += [frame(count, asset, LAST, "7777.60") for asset in ASSETS]
    return [b"".join(each[at : at + _CHUNK]) for at in range(0, len(each), _CHUNK)]


def last_frames() -> bytes:
    """Return the last frame of each symbol."""
    return b"".join(frame(0, asset, LAST, "7777.60") for asset in ASSETS)


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, writes: list[bytes]) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    told = (line.partition(b":") for line in head.split(b"\r\n"))
    key = next(value.strip() for name, _, value in told if name.lower() == b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    try:
        if b"streams=" not in head.split(b"\r\n")[0]:
            await reader.read(1)
        for data in writes:
            writer.write(data)
            await writer.drain()
        while not reader.at_eof():
            await asyncio.sleep(0.05)
            writer.write(last_frames())
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


async def serve(count: int) -> None:
    """Serve until stdin ends."""
    writes = frames(count)
    server = await asyncio.start_server(lambda reader, writer: _converse(reader, writer, writes), "127.0.0.1", 0)
    async with server:
        print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def serving(count: int) -> Iterator[str]:
    """Yield the URL of a server in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.frames", str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # asyncio tells of every connection that is cut at the end
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
