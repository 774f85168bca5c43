"""Decodes text of data sets (PS3.5 6.1: Specific Character Set)."""

from collections.abc import Sequence

from dicom_node.character_sets import decoded_text
from dicom_node.listen.errors import UidInvalidError, UidMissingError
from dicom_node.uids import is_uid

_PADDING = " \0"
_MAXIMUM_CHARACTERS = 1024
_SEXES = frozenset({"M", "F", "O"})
# What no text of one line may hold, and PostgreSQL cannot (NUL). C1 controls stay: UTF-8 that was declared as Latin-1 has them,
# and where names are compared it is read anew (storage.person_names). Who shows text escapes them (dicom_node.controls).
_CONTROLS = dict.fromkeys((*range(0x20), 0x7F))


def uid_from(value: bytes, name: str) -> str:
    """The UID without its padding.

    Raises:
        UidMissingError: There is none.
        UidInvalidError: It breaks the grammar of PS3.5 9.1.
    """
    uid = value.rstrip(b"\0 ").decode("ascii", "replace")
    if not uid:
        raise UidMissingError(name)
    if not is_uid(uid):
        raise UidInvalidError(name)
    return uid


def terms_from(character_set: bytes) -> tuple[str, ...]:
    """Values of Specific Character Set (0008,0005); none when it is empty."""
    if not character_set.strip(b" \0"):
        return ()
    return tuple(term.strip(b" \0").decode("ascii", "replace") for term in character_set.split(b"\\"))


def text_from(value: bytes, terms: Sequence[str]) -> str:
    """One line of Unicode without padding; text that is not as declared is read as `decoded_text` does."""
    return _clean(decoded_text(value.rstrip(b"\0 "), terms, is_name=False))


def name_from(value: bytes, terms: Sequence[str]) -> str:
    """A person name in Unicode with its component groups, as in the data set."""
    return _clean(decoded_text(value.rstrip(b"\0 "), terms, is_name=True))


def code_from(value: bytes) -> str:
    """A value of the default repertoire: code strings, dates, times, numbers."""
    return _clean(value.decode("ascii", "replace"))


def sex_from_cs(text: str) -> str:
    """M, F or O (PS3.3 C.7.1.1, Patient's Sex); empty where it says anything else, as `U` for unknown."""
    sex = text.strip(_PADDING).upper()
    return sex if sex in _SEXES else ""


def _clean(text: str) -> str:
    return text.strip(_PADDING).translate(_CONTROLS)[:_MAXIMUM_CHARACTERS]
