"""The fixed fields of an A-ASSOCIATE-RQ (PS3.8 9.3.2, table 9-11), before pynetdicom reads it."""

import re

from dicom_node.listen.admission import Rejection

_VERSION, _CALLED, _CALLING = slice(6, 8), slice(10, 26), slice(26, 42)
_TITLE_BYTES = 16
# PS3.5 6.2, AE: no backslash, no control character, not blanks alone; which white space pads, pynetdicom does not mind.
_AE_TITLE = re.compile(rb"\s*[ -\[\]-~]*[!-\[\]-~]\s*")
_VERSION_1 = 0x0001


def with_known_version(request: bytes) -> bytes:
    """The request with no other bit in its protocol version than that of version 1, which alone is to be tested.

    pynetdicom rejects a caller that speaks a further version as well.
    """
    if len(request) < _CALLING.stop:
        return request
    version = int.from_bytes(request[_VERSION], "big") & _VERSION_1
    return request[: _VERSION.start] + version.to_bytes(2, "big") + request[_VERSION.stop :]


def with_blank_padding(request: bytes) -> bytes:
    """The request with its AE titles padded with blanks, where old modalities pad with NUL, as C does."""
    if len(request) < _CALLING.stop:
        return request
    titles = (request[field].rstrip(b"\0 ").ljust(_TITLE_BYTES) for field in (_CALLED, _CALLING))
    return request[: _CALLED.start] + b"".join(titles) + request[_CALLING.stop :]


def titles_of(request: bytes) -> tuple[str, str]:
    """Calling and called AE title as they came, each byte a character."""
    return request[_CALLING].decode("latin-1"), request[_CALLED].decode("latin-1")


def rejection_by_titles(request: bytes) -> Rejection | None:
    """Why a request is rejected without a look at the configuration: what stands for a title can be none.

    pynetdicom would abort without a word. A request that is too short is left to it.
    """
    if len(request) < _CALLING.stop:
        return None
    if not _AE_TITLE.fullmatch(request[_CALLED]):
        return Rejection.NO_CALLED_AE_TITLE
    return None if _AE_TITLE.fullmatch(request[_CALLING]) else Rejection.NO_CALLING_AE_TITLE
