"""Writes a support bundle."""

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dicom_node.errors import NodeError
from dicom_node.support.parts import BundlePart

_MODE = 0o600
_HEAD = """\
Made by `dicom-node support-bundle` for whoever helps with this node.
No images, no results, no database, no audit trail, no passwords and keys; no names, IDs, dates of birth or accession
numbers. UIDs stand as hashes.

"""


class BundleExistsError(NodeError):
    """There is a file of that name already; name another one with --to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFile:
    """One file of a bundle."""

    name: str
    what: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportBundle:
    """What `support-bundle --json` prints."""

    path: Path
    files: tuple[BundleFile, ...]


def write_bundle(path: Path, parts: Iterable[BundlePart], *, at: datetime) -> SupportBundle:
    """Put the parts into an archive that only its owner may read, with a list of what is in it.

    Raises:
        BundleExistsError: There is such a file.
        OSError: It cannot be written.
    """
    if path.exists():
        raise BundleExistsError
    made = list(parts)
    files = tuple(_file_of(part) for part in made)
    partial = path.with_name(f"{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, _MODE)
    with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
        _add(archive, "CONTENTS.txt", _HEAD + _listed(files), at=at)
        for part in made:
            _add(archive, part.name, part.text, at=at)
    partial.rename(path)
    return SupportBundle(path=path, files=files)


def _file_of(part: BundlePart) -> BundleFile:
    data = part.text.encode()
    return BundleFile(name=part.name, what=part.what, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _listed(files: Sequence[BundleFile]) -> str:
    return "".join(f"{file.name}  {file.size_bytes} bytes, sha256 {file.sha256}\n    {file.what}\n" for file in files)


def _add(archive: tarfile.TarFile, name: str, text: str, *, at: datetime) -> None:
    data = text.encode()
    entry = tarfile.TarInfo(f"dicom-node-support/{name}")
    entry.size, entry.mtime, entry.mode = len(data), int(at.timestamp()), _MODE
    archive.addfile(entry, io.BytesIO(data))
