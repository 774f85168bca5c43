"""A limit on what a deflated data set may grow to."""

import zlib
from pathlib import Path

from pydicom.uid import UID, AllTransferSyntaxes

from pipeline.file_meta import read_file_meta

MOST_INFLATED_BYTES = 2**30
"""Twice the largest Enhanced CT that is met, 1000 frames of 512 x 512; 1 MiB of deflate can name 1 GiB."""

_STEP_BYTES = 2**20


class InflatesTooFarError(Exception):
    """A deflated data set is larger than what is read; send the images in another transfer syntax."""


def check_inflated_size(path: Path, most_bytes: int = MOST_INFLATED_BYTES) -> None:
    """Nothing for a file that is not deflated, or whose data set stays below the limit (PS3.5 A.5: raw deflate).

    The reader inflates a data set as a whole, so this looks first, holding 1 MiB at a time.

    Raises:
        InflatesTooFarError: It would take more.
    """
    meta, data_set_at = read_file_meta(path)
    syntax = UID(str(meta.get("TransferSyntaxUID", "")))
    if syntax not in AllTransferSyntaxes or not syntax.is_deflated:
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    total = 0
    with path.open("rb") as stream:
        stream.seek(data_set_at)
        pending = stream.read(_STEP_BYTES)
        while pending and not inflater.eof:
            total += len(inflater.decompress(pending, _STEP_BYTES))
            if total > most_bytes:
                mebibytes = most_bytes // 2**20
                reason = f"its deflated data set grows beyond {mebibytes} MiB"
                raise InflatesTooFarError(reason)
            pending = inflater.unconsumed_tail or stream.read(_STEP_BYTES)
