"""Mistakes and malice in a conversation, drawn at random."""

import struct
from collections.abc import Callable, Sequence
from random import Random

from builders.recorded import Conversation

_LENGTHS = (0, 1, 2, 4, 5, 6, 0x7F, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFF)
_PDU_TYPES = (*range(10), 0x80, 0xFF)
_COMMANDS = (0x0001, 0x8001, 0x0020, 0x0021, 0x0010, 0x0030, 0x8030, 0x0100, 0x0140, 0x0110, 0x0120, 0x0FFF, 0x7777, 0)
_COMMAND_FIELD = b"\x00\x00\x00\x01\x02\x00\x00\x00"
"""Tag and length of Command Field (0000,0100) in the command set (PS3.7 6.3.1)."""

Pdus = list[bytes]


def mutated(conversations: Sequence[Conversation], random: Random) -> Pdus:
    """One of the conversations with one to four changes."""
    pdus = list(random.choice(conversations))
    for _ in range(random.randint(1, 4)):
        random.choice(_CHANGES)(pdus, random)
        if not pdus:
            pdus = [b"\x00"]
    if random.random() < 0.1:
        pdus += random.choice(conversations)[random.randint(0, 2) :]
    return pdus


def _change(pdus: Pdus, random: Random, how: Callable[[bytearray], None]) -> None:
    at = random.randrange(len(pdus))
    changed = bytearray(pdus[at] or b"\x00")
    how(changed)
    pdus[at] = bytes(changed)


def _flip_bits(pdus: Pdus, random: Random) -> None:
    def flip(pdu: bytearray) -> None:
        for _ in range(random.randint(1, 8)):
            pdu[random.randrange(len(pdu))] ^= 1 << random.randrange(8)

    _change(pdus, random, flip)


def _flip_early(pdus: Pdus, random: Random) -> None:
    """Where headers, items and commands are."""

    def flip(pdu: bytearray) -> None:
        for _ in range(random.randint(1, 4)):
            pdu[random.randrange(min(len(pdu), 200))] = random.choice(_BYTES)

    _change(pdus, random, flip)


def _lie_about_the_pdu(pdus: Pdus, random: Random) -> None:
    def lie(pdu: bytearray) -> None:
        pdu[2:6] = struct.pack(">L", random.choice(_LENGTHS))

    _change(pdus, random, lie)


def _lie_about_the_pdv(pdus: Pdus, random: Random) -> None:
    def lie(pdu: bytearray) -> None:
        pdu[6:10] = struct.pack(">L", random.choice(_LENGTHS))

    _change(pdus, random, lie)


def _change_pdv_header(pdus: Pdus, random: Random) -> None:
    """Presentation context and message control header (PS3.8 E.2)."""

    def change(pdu: bytearray) -> None:
        pdu[10:12] = bytes([random.randrange(256), random.randrange(5)])

    _change(pdus, random, change)


def _change_type(pdus: Pdus, random: Random) -> None:
    def change(pdu: bytearray) -> None:
        pdu[0] = random.choice(_PDU_TYPES)

    _change(pdus, random, change)


def _change_command(pdus: Pdus, random: Random) -> None:
    def change(pdu: bytearray) -> None:
        at = pdu.find(_COMMAND_FIELD)
        if at >= 0:
            pdu[at + 8 : at + 10] = struct.pack("<H", random.choice(_COMMANDS))

    _change(pdus, random, change)


def _change_element_length(pdus: Pdus, random: Random) -> None:
    """Of an element of a command set: it is found by its group."""

    def change(pdu: bytearray) -> None:
        places = [at for at in range(12, min(len(pdu) - 8, 400), 2) if pdu[at : at + 2] == b"\x00\x00"]
        if places:
            at = random.choice(places)
            pdu[at + 4 : at + 8] = struct.pack("<L", random.choice(_LENGTHS))

    _change(pdus, random, change)


def _cut_short(pdus: Pdus, random: Random) -> None:
    def cut(pdu: bytearray) -> None:
        del pdu[random.randrange(len(pdu)) :]

    _change(pdus, random, cut)


def _cut_out(pdus: Pdus, random: Random) -> None:
    """Bytes from the middle, the length corrected: what follows is read as something else."""

    def cut(pdu: bytearray) -> None:
        start = random.randrange(min(6, len(pdu)), len(pdu) + 1)
        del pdu[start : start + random.randint(1, 40)]
        pdu[2:6] = struct.pack(">L", max(len(pdu) - 6, 0))

    _change(pdus, random, cut)


def _put_noise_in(pdus: Pdus, random: Random) -> None:
    def put(pdu: bytearray) -> None:
        start = random.randrange(len(pdu) + 1)
        pdu[start:start] = random.randbytes(random.randint(1, 300))

    _change(pdus, random, put)


def _drop(pdus: Pdus, random: Random) -> None:
    del pdus[random.randrange(len(pdus))]


def _repeat(pdus: Pdus, random: Random) -> None:
    at = random.randrange(len(pdus))
    pdus[at:at] = [pdus[at]] * random.randint(1, 20)


def _swap(pdus: Pdus, random: Random) -> None:
    first, second = random.randrange(len(pdus)), random.randrange(len(pdus))
    pdus[first], pdus[second] = pdus[second], pdus[first]


def _end_early(pdus: Pdus, random: Random) -> None:
    del pdus[random.randint(1, len(pdus)) :]


def _say_something_else(pdus: Pdus, random: Random) -> None:
    content = random.randbytes(random.choice((0, 4, 10, 68, 500)))
    said = struct.pack(">BxL", random.choice(_PDU_TYPES), len(content)) + content
    pdus.insert(random.randint(0, len(pdus)), said)


_CHANGES: tuple[Callable[[Pdus, Random], None], ...] = (
    *(_flip_bits, _flip_early, _flip_early, _lie_about_the_pdu, _lie_about_the_pdv, _change_pdv_header, _change_type),
    *(_change_command, _change_command, _change_element_length, _change_element_length, _cut_short, _cut_out),
    *(_put_noise_in, _drop, _repeat, _swap, _end_early, _say_something_else),
)
