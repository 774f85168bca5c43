"""Installed model packs: tried before they are used, switched at once, the one before kept."""

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from builders.packs import tiny_description, tiny_pack
from config import load_settings
from config.settings import Settings
from dicom_node.check import Outcome, check_chosen_pack
from dicom_node.cli.app import app
from dicom_node.pack_install import install_pack
from dicom_node.pack_store import NothingInstalledError, PackStore, PackStoreError, chosen_pack
from pipeline.errors import ModelPackError
from pipeline.model_pack import SPACE_TIME_WEIGHTS, load_model_pack

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two packs with different weights."""
    folder = tmp_path_factory.mktemp("packs")
    return tiny_pack(folder / "one", seed=1), tiny_pack(folder / "two", seed=2)


@pytest.fixture
def store(tmp_path: Path) -> PackStore:
    """Of a node that never had a pack."""
    return PackStore(tmp_path / "data")


@pytest.fixture
def configuration(tmp_path: Path, store: PackStore) -> Path:
    """A configuration file whose data folder is that of the store."""
    path = tmp_path / "node.toml"
    path.write_text(f"[node]\ndata_dir = '{store.folder.parent}'\n[pipeline]\ndevice = 'cpu'\n")
    return path


def dicom_node(configuration: Path, *arguments: str) -> str:
    """What a command prints; the test fails where the command does."""
    result = CliRunner().invoke(app, ["--config", str(configuration), *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def zipped(folder: Path, archive: Path, *, root: str = "") -> Path:
    """The folder as a zip archive."""
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(folder.rglob("*")):
            opened.write(path, root + path.relative_to(folder).as_posix())
    return archive


def test_an_installed_pack_is_used_from_then_on(packs: tuple[Path, Path], store: PackStore) -> None:
    """It lies whole below the data folder, where it does not depend on the source."""
    installed = install_pack(packs[0], store, CPU)
    assert store.current() == installed.pack.folder == store.folder / f"tiny-1.2.3-{installed.pack.sha256[:8]}"
    assert load_model_pack(store.current()).sha256 == load_model_pack(packs[0]).sha256


def test_a_new_pack_is_what_the_next_job_gets(packs: tuple[Path, Path], store: PackStore, configuration: Path) -> None:
    """The worker reads its settings once and asks for the pack each time."""
    settings = load_settings(configuration)
    assert chosen_pack(settings) is None
    for pack in packs:
        install_pack(pack, store, CPU)
        assert load_model_pack(chosen_pack(settings)).sha256 == load_model_pack(pack).sha256


def test_a_pack_named_in_the_configuration_comes_first(packs: tuple[Path, Path], store: PackStore) -> None:
    """Who writes a path means it."""
    install_pack(packs[0], store, CPU)
    settings = Settings.model_validate(
        {"node": {"data_dir": store.folder.parent}, "pipeline": {"model_pack": packs[1]}}
    )
    assert chosen_pack(settings) == packs[1]


def test_a_rollback_brings_the_pack_before_back(packs: tuple[Path, Path], store: PackStore) -> None:
    """Then the one of the package, and then there is nothing left to go back to."""
    first, second = (install_pack(pack, store, CPU).pack.folder for pack in packs)
    assert (store.current(), store.previous()) == (second, first)
    assert store.roll_back() == first
    assert store.roll_back() is None
    with pytest.raises(NothingInstalledError):
        store.roll_back()
    assert set(store.installed()) == {first, second}


def test_installing_twice_changes_nothing(packs: tuple[Path, Path], store: PackStore) -> None:
    """A rollback afterwards goes to what was there before the first time."""
    install_pack(packs[0], store, CPU)
    install_pack(packs[0], store, CPU)
    assert len(store.installed()) == 1
    assert store.roll_back() is None


@pytest.mark.parametrize("root", ["", "tiny/"])
def test_a_zip_archive_is_installed(packs: tuple[Path, Path], store: PackStore, tmp_path: Path, root: str) -> None:
    """With the pack at its top or in one folder."""
    installed = install_pack(zipped(packs[0], tmp_path / "pack.zip", root=root), store, CPU)
    assert installed.dry_run_s is not None
    assert installed.pack.sha256 == load_model_pack(packs[0]).sha256


def test_installed_files_can_be_read_by_the_user_of_the_service(packs: tuple[Path, Path], store: PackStore) -> None:
    """The administrator who installs is often another user."""
    folder = install_pack(packs[0], store, CPU).pack.folder
    umask = os.umask(0o022)
    os.umask(umask)
    files = [folder, *folder.rglob("*"), store.folder / "current.json"]
    assert all(path.stat().st_mode & 0o044 == 0o044 & ~umask for path in files)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away: run the tests as root")
def test_a_pack_that_root_installs_belongs_to_the_service(packs: tuple[Path, Path], store: PackStore) -> None:
    """As the data folder does: its user installs the next one."""
    store.folder.parent.mkdir()
    os.chown(store.folder.parent, 12345, 12345)
    install_pack(packs[0], store, CPU)
    owners = {path.stat().st_uid for path in (store.folder, *store.folder.rglob("*"))}
    assert owners == {12345}


def test_a_damaged_pack_leaves_everything_as_it_was(packs: tuple[Path, Path], store: PackStore, tmp_path: Path) -> None:
    """The pack in use stays in use, nothing half-copied stays behind."""
    current = install_pack(packs[0], store, CPU).pack.folder
    damaged = zipped(packs[1], tmp_path / "damaged.zip")
    with zipfile.ZipFile(damaged, "a") as opened, pytest.warns(UserWarning, match="Duplicate name"):
        opened.writestr(SPACE_TIME_WEIGHTS, b"other weights")
    before = sorted(store.folder.rglob("*"))
    with pytest.raises(ModelPackError, match="sha256 differs"):
        install_pack(damaged, store, CPU)
    assert store.current() == current
    assert sorted(store.folder.rglob("*")) == before


def test_an_archive_cannot_write_outside_of_the_store(
    packs: tuple[Path, Path], store: PackStore, tmp_path: Path
) -> None:
    """A name that climbs out is refused before it is written."""
    description = json.loads((packs[0] / "stnet.json").read_text())
    description["files"]["../../../climbed"] = "0" * 64
    archive = tmp_path / "climbing.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("stnet.json", json.dumps(description))
        for name in description["files"]:
            opened.writestr(name, b"x")
    with pytest.raises(ModelPackError, match="outside of the pack"):
        install_pack(archive, store, CPU)
    assert not list(tmp_path.rglob("climbed"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off"])
def test_what_is_no_archive_is_refused(store: PackStore, tmp_path: Path, content: bytes) -> None:
    """With its name."""
    (tmp_path / "pack.zip").write_bytes(content)
    with pytest.raises(ModelPackError, match=r"pack\.zip is no whole zip archive"):
        install_pack(tmp_path / "pack.zip", store, CPU)


def test_a_damaged_record_is_told_by_the_check(store: PackStore) -> None:
    """Studies fail until it is mended, and the check says how."""
    store.folder.mkdir(parents=True)
    (store.folder / "current.json").write_text("{")
    with pytest.raises(PackStoreError, match="remove it, then install the model pack again"):
        store.current()
    result = check_chosen_pack(Settings.model_validate({"node": {"data_dir": store.folder.parent}}))
    assert result.outcome is Outcome.FAILED


def test_the_commands_install_list_and_roll_back(packs: tuple[Path, Path], configuration: Path) -> None:
    """Each says which pack is in use."""
    assert "says of its golden case" in dicom_node(configuration, "model", "check", str(packs[0]))
    installed = dicom_node(configuration, "model", "install", str(packs[0])).split("installed: ")[1].strip()
    listed = json.loads(dicom_node(configuration, "model", "list", "--json"))["packs"]
    assert [(pack["folder"], pack["in_use"]) for pack in listed] == [(None, False), (installed, True)]
    assert "in use: the one that comes with the package" in dicom_node(configuration, "model", "rollback")
    assert f"in use  {load_model_pack(None).name} " in dicom_node(configuration, "model", "list")


def test_the_command_exports_a_bundle(packs: tuple[Path, Path], configuration: Path, tmp_path: Path) -> None:
    """Of the pack named, else of the one in use."""
    dicom_node(configuration, "model", "export", str(packs[0]), "--out", str(tmp_path / "one"))
    dicom_node(configuration, "model", "export", "--out", str(tmp_path / "used"))
    names = [json.loads((tmp_path / n / "configs" / "metadata.json").read_text())["name"] for n in ("one", "used")]
    assert names == ["tiny", load_model_pack(None).name]


def test_the_list_names_a_pack_that_cannot_be_used(packs: tuple[Path, Path], configuration: Path) -> None:
    """A list must not fail for one damaged pack."""
    folder = Path(dicom_node(configuration, "model", "install", str(packs[0])).split("installed: ")[1].strip())
    (folder / SPACE_TIME_WEIGHTS).unlink()
    assert "lacks its file models/space_time.safetensors" in dicom_node(configuration, "model", "list")


def test_a_name_of_a_pack_is_no_path(tmp_path: Path, store: PackStore) -> None:
    """Slashes and dots of a name do not lead out of the store."""
    pack = tiny_pack(tmp_path / "pack", replace(tiny_description(), name="../../etc", version="/1"))
    assert install_pack(pack, store, CPU).pack.folder.parent == store.folder
