"""The codestreams that compressed pixels are made of."""

from collections.abc import Iterator

from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames
from pydicom.uid import (
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

_JPEG = frozenset(
    {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless}
)
"""Those whose decoders fill what is missing of an image; those of RLE and JPEG 2000 refuse it."""

_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
"""Markers (ITU-T T.81 B.1.1.3, T.87 C.1.1); within coded data no FF is followed by such a byte."""


def has_whole_codestreams(dataset: FileDataset) -> bool:
    """Whether each JPEG or JPEG-LS codestream ends after its last scan; of other syntaxes the decoder tells.

    Args:
        dataset: With its pixels.

    Raises:
        ValueError: Its pixels are not encapsulated as they should be.
    """
    if dataset.file_meta.TransferSyntaxUID not in _JPEG:
        return True
    return all(one.rfind(_END_OF_IMAGE) > one.rfind(_START_OF_SCAN) for one in _codestreams(dataset))


def _codestreams(dataset: FileDataset) -> Iterator[bytes]:
    """Of each frame, in order."""
    offsets, lengths = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    return generate_frames(
        dataset.PixelData,
        number_of_frames=int(dataset.get("NumberOfFrames") or 1),
        extended_offsets=(offsets, lengths) if offsets and lengths else None,
    )
