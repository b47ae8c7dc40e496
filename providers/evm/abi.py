"""The part of the contract ABI that our reads need: four-byte selectors, 32-byte words, strings and address lists.

Hand-written because a reading decodes hundreds of plain words and start-up must not wait for a codec. Layout:
docs.soliditylang.org, "Contract ABI Specification". Selectors are the first four bytes of the signature's keccak.
"""

from collections.abc import Sequence

WORD = 32
MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"
ARB_SYS = "0x0000000000000000000000000000000000000064"
_MAX_ITEMS = 4096

SELECTORS: dict[str, str] = {
    "getReservesList()": "d1946dbc",
    "getReserveData(address)": "35ea6a75",
    "getUserConfiguration(address)": "4417a583",
    "getUserEMode(address)": "eddf1b79",
    "getUserAccountData(address)": "bf92857c",
    "getEModeCategoryData(uint8)": "6c6f6ae1",
    "getEModeCategoryCollateralConfig(uint8)": "b286f467",
    "getEModeCategoryCollateralBitmap(uint8)": "b0771dba",
    "getEModeCategoryBorrowableBitmap(uint8)": "903a2c71",
    "getEModeCategoryLtvzeroBitmap(uint8)": "fd89dee5",
    "getIsEModeCategoryIsolated(uint8)": "05f68acb",
    "getEModeCategoryLabel(uint8)": "2083e183",
    "POOL_REVISION()": "0148170e",
    "getPool()": "026b1d5f",
    "getPriceOracle()": "fca513a8",
    "BASE_CURRENCY_UNIT()": "8c89b64f",
    "getAssetPrice(address)": "b3596f07",
    "getSourceOfAsset(address)": "92bf2be0",
    "scaledBalanceOf(address)": "1da24f3e",
    "balanceOf(address)": "70a08231",
    "symbol()": "95d89b41",
    "decimals()": "313ce567",
    "latestRoundData()": "feaf968c",
    "latestAnswer()": "50d25bcd",
    "description()": "7284e416",
    "BASE_TO_USD_AGGREGATOR()": "d221087c",
    "ASSET_TO_USD_AGGREGATOR()": "4ebdc284",
    "ASSET_TO_PEG()": "910bb70c",
    "PEG_TO_BASE()": "de4aedab",
    "getRatio()": "ec1ebd7a",
    "RATIO_DECIMALS()": "a83622e0",
    "isCapped()": "671528d4",
    "aggregate3((address,bool,bytes)[])": "82ad56cb",
    "getBlockNumber()": "42cbb15c",
    "getCurrentBlockTimestamp()": "0f28c97d",
    "arbBlockNumber()": "a3b1b31d",
}


class AbiError(ValueError):
    """Data that is not what the ABI says it should be; whoever reads it knows from which contract it came."""


def encode_call(signature: str, *arguments: int | str) -> bytes:
    """Return call data of a function whose arguments are plain words: numbers or 0x-addresses."""
    return bytes.fromhex(SELECTORS[signature]) + b"".join(_word(argument) for argument in arguments)


def words(data: bytes, count: int) -> tuple[int, ...]:
    """Return the first `count` words as unsigned integers; raises `AbiError` when the data is shorter."""
    if len(data) < count * WORD:
        raise AbiError(f"{len(data)} bytes where {count * WORD} are due")
    return tuple(int.from_bytes(data[i * WORD : (i + 1) * WORD], "big") for i in range(count))


def uint(data: bytes, bits: int = 256) -> int:
    """Return the only word, at most `bits` wide; raises `AbiError`."""
    value = words(data, 1)[0]
    if value >> bits:
        raise AbiError(f"a number wider than {bits} bits")
    return value


def signed(word: int) -> int:
    """Return an unsigned word read as int256."""
    return word - (1 << 256) if word >> 255 else word


def address(word: int) -> str:
    """Return an address, lower case; raises `AbiError` when the word holds more than one."""
    if word >> 160:
        raise AbiError("a word that is not an address")
    return f"0x{word:040x}"


def text(data: bytes) -> str:
    """Return a string, or a bytes32 padded with zeros as old tokens answer; raises `AbiError`. It is not yet inert."""
    if len(data) == WORD:
        return data.rstrip(b"\0").decode("utf-8", "replace")
    return _blob(data, words(data, 1)[0]).decode("utf-8", "replace")


def text_at(data: bytes, head: int, base: int = 0) -> str:
    """Return the string whose offset (from `base`) stands in word `head`; raises `AbiError`."""
    offset = words(data[head * WORD :], 1)[0]
    return _blob(data, base + offset).decode("utf-8", "replace")


def addresses(data: bytes) -> tuple[str, ...]:
    """Return an address[]; raises `AbiError`."""
    start = _offset(data, words(data, 1)[0])
    count = words(data[start:], 1)[0]
    if count > _MAX_ITEMS:
        raise AbiError(f"a list of {count} items")
    return tuple(address(word) for word in words(data[start + WORD :], count))


def encode_aggregate3(calls: Sequence[tuple[str, bytes]]) -> bytes:
    """Return call data of Multicall3 `aggregate3` that lets every (target, data) fail by itself."""
    items = [
        _word(target) + _word(1) + _word(3 * WORD) + _word(len(data)) + data + bytes(-len(data) % WORD)
        for target, data in calls
    ]
    heads, at = [], len(items) * WORD
    for item in items:
        heads.append(_word(at))
        at += len(item)
    body = _word(WORD) + _word(len(items)) + b"".join(heads) + b"".join(items)
    return bytes.fromhex(SELECTORS["aggregate3((address,bool,bytes)[])"]) + body


def decode_aggregate3(data: bytes, count: int) -> tuple[bytes | None, ...]:
    """Return what each of `count` calls answered, `None` where it failed or had nothing to say; raises `AbiError`."""
    start = _offset(data, words(data, 1)[0])
    if words(data[start:], 1)[0] != count:
        raise AbiError(f"not {count} answers")
    base = start + WORD
    answers: list[bytes | None] = []
    for index in range(count):
        at = _offset(data, base + words(data[base + index * WORD :], 1)[0])
        succeeded, offset = words(data[at:], 2)
        answers.append((_blob(data, at + offset) or None) if succeeded else None)
    return tuple(answers)


def _word(value: int | str) -> bytes:
    number = int(value, 16) if isinstance(value, str) else value
    return number.to_bytes(WORD, "big")


def _offset(data: bytes, at: int) -> int:
    if at > len(data):
        raise AbiError("an offset beyond the data")
    return at


def _blob(data: bytes, at: int) -> bytes:
    start = _offset(data, at)
    length = words(data[start:], 1)[0]
    if length > len(data) - start - WORD:
        raise AbiError("a length beyond the data")
    return data[start + WORD : start + WORD + length]
