"""Units of systemd without what may be a secret in them."""

import re
import shlex

from config.secrets import without_secrets
from config.urls import HIDDEN

# systemd.exec(5): assignments, and credentials as ID:VALUE; one that is commented out too. A backslash ends a line that goes on.
_VALUES = re.compile(
    r"^([#;\s]*(?:Environment|SetCredential(?:Encrypted)?)[ \t]*=)((?:[^\\\n]|\\.)*)", re.MULTILINE | re.DOTALL
)


def without_values(text: str) -> str:
    """The text of units: of each variable that they set the name alone, and no password elsewhere."""
    return without_secrets(_VALUES.sub(lambda found: found[1] + _names(found[2]), text))


def _names(said: str) -> str:
    """`NAME=***` for each assignment; `***` where they cannot be told apart."""
    try:
        assignments = shlex.split(said.replace("\\\n", " "))
    except ValueError:
        return HIDDEN
    if not all(re.match(r"\w+=", one) for one in assignments):
        return HIDDEN
    return " ".join(f"{one.partition('=')[0]}={HIDDEN}" for one in assignments)
