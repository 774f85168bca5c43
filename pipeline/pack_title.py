"""What a model pack calls itself, read without its networks and without torch."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from pipeline.errors import ModelPackError

DESCRIPTION_FILE = "stnet.json"

BUNDLED_PACK = Path(__file__).parent / "weights" / "demo"
"""Demo weights, trained on synthetic lesions only."""

_SHOWN_DIGITS = 8
"""Of the hash: as many as the folder of an installed pack has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackTitle:
    """Which pack it is."""

    name: str
    version: str
    sha256: str
    """Of the description, which holds the sha256 of every other file."""

    @property
    def words(self) -> str:
        """`STNet demo 1.0 0a1b2c3d`: name, version, first digits of the hash."""
        return f"{self.name} {self.version} {self.sha256[:_SHOWN_DIGITS]}"


class _Named(BaseModel):
    """The part of a description that is read."""

    name: str
    version: str


def read_title(folder: Path | None) -> PackTitle:
    """Of the model pack in `folder`, whose files are not looked at; None is the bundled demo pack.

    Raises:
        ModelPackError: There is no description, or it names no pack.
    """
    folder = folder or BUNDLED_PACK
    try:
        text = (folder / DESCRIPTION_FILE).read_bytes()
        named = _Named.model_validate_json(text)
    except (OSError, ValidationError) as exc:
        message = f"{folder} holds no readable {DESCRIPTION_FILE}; `dicom-node model check` says what is wrong"
        raise ModelPackError(message) from exc
    return PackTitle(name=named.name, version=named.version, sha256=hashlib.sha256(text).hexdigest())
