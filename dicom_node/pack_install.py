"""Puts a model pack into the store: tried out first, moved into place at once, then made the current one."""

import os
import re
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import torch

from dicom_node.pack_store import PackStore, sync_folder
from pipeline.acceptance import AcceptedPack, accept_pack
from pipeline.errors import ModelPackError
from pipeline.model_pack import ModelPack, load_model_pack
from pipeline.pack_schema import checked_description
from pipeline.pack_title import DESCRIPTION_FILE
from storage.disk import give_to_owner

LARGEST_UNPACKED_BYTES = 500_000_000
"""An archive that unpacks to more is no model pack."""


def install_pack(source: Path, store: PackStore, device: torch.device) -> AcceptedPack:
    """Install a pack and make it the current one; the one before stays for a rollback.

    Args:
        source: Folder or zip archive.
        store: Where it goes.
        device: Where it is tried out.

    Returns:
        The pack where it now lies.

    Raises:
        ModelPackError: The pack is refused; nothing has changed.
    """
    store.make_folder()
    with tempfile.TemporaryDirectory(dir=store.folder, prefix=".install-") as scratch:
        part = Path(scratch) / "pack"
        part.mkdir()
        if source.is_dir():
            _copy_folder(source, part)
        else:
            _unpack(source, part)
        accepted = accept_pack(part, device)
        place = store.folder / folder_name(accepted.pack)
        _move(part, place)
    store.use(place.name)
    return AcceptedPack(pack=load_model_pack(place), dry_run_s=accepted.dry_run_s)


def folder_name(pack: ModelPack) -> str:
    """`<name>-<version>-<first 8 digits of the sha256>` in characters that every file system takes."""
    title = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{pack.name}-{pack.version}").strip(".-")
    return f"{title[:80]}-{pack.sha256[:8]}"


def _copy_folder(source: Path, part: Path) -> None:
    """The files that the description names, after they were found whole."""
    for name in (DESCRIPTION_FILE, *load_model_pack(source).files):
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, part / name)


def _unpack(archive: Path, part: Path) -> None:
    """The files that the description in the archive names, and no others."""
    try:
        with zipfile.ZipFile(archive) as opened:
            root = _root(opened, archive)
            text = opened.read(root + DESCRIPTION_FILE)
            (part / DESCRIPTION_FILE).write_bytes(text)
            _unpack_files(opened, root, sorted(checked_description(text).files), part)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError, NotImplementedError) as exc:
        reason = f"{archive.name} is no whole zip archive of a model pack: {exc}"
        raise ModelPackError(reason) from exc


def _root(opened: zipfile.ZipFile, archive: Path) -> str:
    """The folder of the archive that holds the pack, empty or with a slash at its end."""
    found = [name for name in opened.namelist() if PurePosixPath(name).name == DESCRIPTION_FILE]
    roots = [name.removesuffix(DESCRIPTION_FILE) for name in found if name.count("/") <= 1]
    if len(roots) != 1:
        reason = f"{archive.name} holds no {DESCRIPTION_FILE} at its top; give the archive of one model pack"
        raise ModelPackError(reason)
    return roots[0]


def _unpack_files(opened: zipfile.ZipFile, root: str, names: list[str], part: Path) -> None:
    size_bytes = sum(opened.getinfo(root + name).file_size for name in names)
    if size_bytes > LARGEST_UNPACKED_BYTES:
        reason = f"the archive unpacks to {size_bytes / 1e6:.0f} MB, more than {LARGEST_UNPACKED_BYTES / 1e6:.0f}"
        raise ModelPackError(reason)
    for name in names:
        target = (part / name).resolve()
        if not target.is_relative_to(part.resolve()):
            reason = f"the archive names a file outside of the pack: {name}"
            raise ModelPackError(reason)
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(root + name) as packed, target.open("wb") as file:
            shutil.copyfileobj(packed, file)


def _move(part: Path, place: Path) -> None:
    """The tried pack to its place, for good; a pack that is there already and whole stays."""
    for path in part.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    if place.exists():
        shutil.rmtree(place)
    part.rename(place)
    for path in (place, *sorted(place.rglob("*"))):
        give_to_owner(path)
    sync_folder(place.parent)
