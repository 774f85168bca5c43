"""Which compressed transfer syntaxes the installed codecs read."""

from dataclasses import dataclass

from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    AllTransferSyntaxes,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

SHORT_NAMES: dict[str, str] = {
    JPEGBaseline8Bit: "JPEG baseline",
    JPEGExtended12Bit: "JPEG extended (12 bits)",
    JPEGLossless: "JPEG lossless",
    JPEGLosslessSV1: "JPEG lossless, first-order prediction",
    JPEGLSLossless: "JPEG-LS lossless",
    JPEGLSNearLossless: "JPEG-LS near-lossless",
    JPEG2000Lossless: "JPEG 2000 lossless",
    JPEG2000: "JPEG 2000",
    HTJ2KLossless: "HTJ2K lossless",
    HTJ2KLosslessRPCL: "HTJ2K lossless, RPCL",
    HTJ2K: "HTJ2K",
    RLELossless: "RLE lossless",
}
"""Those that CT images come in (PS3.5 A.4), with the names that administrators use."""

_NOT_IN_PYDICOM: dict[str, str] = {
    "1.2.840.10008.1.2.4.110": "JPEG XL lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL of a JPEG",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}
"""PS3.5 A.4.12."""

_LOSSY = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless})
"""Those that always lose something; JPEG 2000 and HTJ2K may be lossless, see `pipeline.compression`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecSurvey:
    """What the codecs at hand read of the compressed syntaxes."""

    readable: tuple[str, ...]
    """Names, in the order of `SHORT_NAMES`."""
    missing: tuple[str, ...]


def is_lossy_syntax(transfer_syntax_uid: str) -> bool:
    """Whether images in this syntax have lost something by it."""
    return transfer_syntax_uid in _LOSSY


def is_readable(transfer_syntax_uid: str) -> bool:
    """Whether pixels in this syntax can be decoded here; a file that names none is left to the reader."""
    if transfer_syntax_uid not in AllTransferSyntaxes:
        return not transfer_syntax_uid
    syntax = UID(transfer_syntax_uid)
    if not syntax.is_compressed or syntax.is_deflated:
        return True
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def syntax_name(transfer_syntax_uid: str) -> str:
    """What to call it in a sentence."""
    known = SHORT_NAMES.get(transfer_syntax_uid) or _NOT_IN_PYDICOM.get(transfer_syntax_uid)
    if known or transfer_syntax_uid not in AllTransferSyntaxes:
        return known or "an unknown transfer syntax"
    return UID(transfer_syntax_uid).name


def survey_codecs() -> CodecSurvey:
    """Look at each compressed syntax that CT images come in."""
    readable = {uid: is_readable(uid) for uid in SHORT_NAMES}
    return CodecSurvey(
        readable=tuple(name for uid, name in SHORT_NAMES.items() if readable[uid]),
        missing=tuple(name for uid, name in SHORT_NAMES.items() if not readable[uid]),
    )
