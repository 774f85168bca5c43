"""The grammar of UIDs (PS3.5 9.1)."""

import re

# Components of digits with dots between. Leading zeros are not allowed there, but senders have them, and they do no harm
# to a text that is only compared.
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_LENGTH = 64


def is_uid(text: str) -> bool:
    """Whether a text without padding is a UID."""
    return len(text) <= _LENGTH and bool(_UID.fullmatch(text))
