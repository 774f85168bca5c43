"""Model packs as bytes under their hash."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dicom_node.cluster.parcel import Payload
from pipeline.errors import ModelPackError
from pipeline.pack_schema import checked_description
from pipeline.pack_title import BUNDLED_PACK, DESCRIPTION_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class PackBytes:
    """A model pack on its way."""

    sha256: str
    """Of its description, which holds the sha256 of every other file."""
    files: dict[str, Payload]
    """By name below the folder of the pack."""


def pack_sha256(folder: Path | None) -> str:
    """Hash of the pack in a folder; None is the one in the package.

    Raises:
        ModelPackError: There is no description.
    """
    return hashlib.sha256(_description(folder or BUNDLED_PACK)).hexdigest()


def read_pack(folder: Path | None) -> PackBytes:
    """Every file of a pack; whether they are whole the actor finds out when it loads them.

    Raises:
        ModelPackError: A file cannot be read.
    """
    folder = folder or BUNDLED_PACK
    text = _description(folder)
    names = sorted(checked_description(text).files)
    try:
        files = {name: np.fromfile(folder / name, np.uint8) for name in names}
    except OSError as exc:
        reason = f"a file of the model pack cannot be read: {exc.strerror}; install the model pack again"
        raise ModelPackError(reason) from exc
    return PackBytes(
        sha256=hashlib.sha256(text).hexdigest(), files={DESCRIPTION_FILE: np.frombuffer(text, np.uint8), **files}
    )


def write_pack(pack: PackBytes, folder: Path) -> None:
    """Put a pack into a folder of its own.

    Raises:
        ModelPackError: A name leads out of the folder.
        OSError: The folder takes no more.
    """
    for name, data in pack.files.items():
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            reason = f"the model pack names a file outside of itself: {name}"
            raise ModelPackError(reason)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.data)


def _description(folder: Path) -> bytes:
    try:
        return (folder / DESCRIPTION_FILE).read_bytes()
    except OSError as exc:
        reason = f"{folder} holds no readable {DESCRIPTION_FILE}; install the model pack again"
        raise ModelPackError(reason) from exc
