"""Changes bytes at random, the same way for the same seed."""

import struct
from collections.abc import Sequence
from random import Random

_LENGTHS = (0, 1, 2, 3, 4, 8, 0x7F, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
_BYTES = (0x00, 0x01, 0x20, 0x5C, 0x7F, 0x80, 0xFF)
_LONGEST_BYTES = 16 * 1024


def mutated(corpus: Sequence[bytes], random: Random) -> bytes:
    """One of the corpus with one to five changes; at most 16 KiB."""
    data = bytearray(random.choice(corpus))
    for _ in range(random.randint(1, 5)):
        random.choice(_CHANGES)(data, corpus, random)
    return bytes(data[:_LONGEST_BYTES])


def _place(data: bytearray, random: Random) -> int:
    """Half of them near the beginning, where lengths and types stand."""
    if not data:
        return 0
    return random.randrange(min(len(data), 64) if random.random() < 0.5 else len(data))


def _flip(data: bytearray, _corpus: Sequence[bytes], random: Random) -> None:
    if data:
        data[_place(data, random)] ^= 1 << random.randrange(8)


def _set(data: bytearray, _corpus: Sequence[bytes], random: Random) -> None:
    if data:
        data[_place(data, random)] = random.choice((*_BYTES, random.randrange(256)))


def _lie(data: bytearray, _corpus: Sequence[bytes], random: Random) -> None:
    """A number of two or four bytes, in either byte order."""
    at = _place(data, random)
    number = struct.pack(random.choice("<>") + "L", random.choice(_LENGTHS))
    data[at : at + 4] = number if random.random() < 0.5 else number[: random.choice((2, 4))] + data[at + 2 : at + 4]


def _cut(data: bytearray, _corpus: Sequence[bytes], random: Random) -> None:
    at = _place(data, random)
    del data[at : at + random.choice((1, 2, 4, 8, 64, len(data)))]


def _insert(data: bytearray, _corpus: Sequence[bytes], random: Random) -> None:
    at = _place(data, random)
    data[at:at] = random.randbytes(random.choice((1, 2, 4, 30)))


def _repeat(data: bytearray, _corpus: Sequence[bytes], random: Random) -> None:
    at = _place(data, random)
    data[at:at] = data[at : at + random.choice((1, 8, 12, 40))] * random.choice((1, 3, 60, 1000))


def _cross(data: bytearray, corpus: Sequence[bytes], random: Random) -> None:
    other = random.choice(corpus)
    data[_place(data, random) :] = other[_place(bytearray(other), random) :]


_CHANGES = (_flip, _flip, _set, _set, _lie, _lie, _cut, _insert, _repeat, _cross)
