"""The store keeps its promises: whole or not at all, the same twice, nobody in two splits, no names."""

import json
import stat
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from builders.ct_series import chest_hu
from builders.site_data import lesion_at, nothing_at, write_nifti
from builders.site_store import folder_of, imported, only_study, rows_of, values_of
from dicom_node.cli.app import app
from dicom_node.cli.import_data import FORMATS
from pipeline.importers.errors import ImportOptionError, StoreError, UnknownFormatError
from pipeline.importers.records import ImportOptions
from pipeline.importers.registry import IMPORTERS
from pipeline.importers.splits import Split, split_of, strictest
from pipeline.importers.store import Outcome, open_store, read_store


def chests(folder: Path, *names: str) -> Path:
    """A folder of chests with their masks."""
    for name in names:
        write_nifti(folder / f"{name}.nii.gz", chest_hu)
        write_nifti(folder / f"{name}_mask.nii.gz", lesion_at)
    return folder


def snapshot(store: Path) -> dict[str, bytes]:
    """Every file of a store with its content."""
    return {str(path.relative_to(store)): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()}


def test_importing_again_changes_nothing(tmp_path: Path) -> None:
    """Not a byte, so that nothing is trained on twice or made anew."""
    source = chests(tmp_path / "in", "a", "b")
    imported("nifti-dir", source, tmp_path / "store")
    before = snapshot(tmp_path / "store")
    report = imported("nifti-dir", source, tmp_path / "store")
    assert report.count(Outcome.UNCHANGED) == 2
    assert snapshot(tmp_path / "store") == before


def test_a_changed_study_replaces_the_old_one(tmp_path: Path) -> None:
    """A mask that was corrected stands under the same id; files that it no longer has are gone."""
    source = chests(tmp_path / "in", "a")
    imported("nifti-dir", source, tmp_path / "store")
    before = only_study(tmp_path / "store")
    (source / "a_mask.nii.gz").unlink()
    report = imported("nifti-dir", source, tmp_path / "store")
    assert report.count(Outcome.REPLACED) == 1
    assert only_study(tmp_path / "store") == before
    assert not (before / "lesion.nii.gz").exists()
    assert not (before / "boxes.json").exists()


def test_a_killed_import_leaves_whole_studies(tmp_path: Path) -> None:
    """Half a new study is taken away, the old one that was set aside comes back."""
    source = chests(tmp_path / "in", "a")
    imported("nifti-dir", source, tmp_path / "store")
    study = only_study(tmp_path / "store")
    study.rename(study.with_name(f".old-{study.name}"))
    (study.parent / f".new-{study.name}").mkdir()
    with open_store(tmp_path / "store"):
        pass
    assert [path.name for path in study.parent.iterdir()] == [study.name]
    assert values_of(study / "lesion.nii.gz").any()


def test_two_imports_do_not_write_at_once(tmp_path: Path) -> None:
    """The second says so."""
    source = chests(tmp_path / "in", "a")
    with open_store(tmp_path / "store"), pytest.raises(StoreError, match="Another import is writing"):
        imported("nifti-dir", source, tmp_path / "store")


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    """Training must not go on without it in silence."""
    imported("nifti-dir", chests(tmp_path / "in", "a"), tmp_path / "store")
    (only_study(tmp_path / "store") / "study.json").write_text("{}")
    with pytest.raises(StoreError, match=r"study\.json is missing or damaged"):
        read_store(tmp_path / "store")
    with pytest.raises(StoreError, match="is no store"):
        read_store(tmp_path / "in")


def test_names_of_patients_are_hashed_with_a_salt_of_the_store(tmp_path: Path) -> None:
    """Two stores call one patient by two names; the salt is its owner's."""
    source = chests(tmp_path / "in", "SMITH_JOHN")
    for store in ("one", "two"):
        imported("nifti-dir", source, tmp_path / store)
    first, second = rows_of(tmp_path / "one")[0], rows_of(tmp_path / "two")[0]
    assert first["patient"] != second["patient"]
    assert first["split"] == second["split"]
    assert not any(b"SMITH" in content for content in snapshot(tmp_path / "one").values())
    assert stat.S_IMODE((tmp_path / "one" / "salt").stat().st_mode) == 0o600


def test_splits_have_their_sizes_and_are_the_same_everywhere() -> None:
    """About 70, 15 and 15 per cent, told by the identifier alone."""
    counts = Counter(split_of(f"set patient-{number}") for number in range(4000))
    shares = [counts[split] / 4000 for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)]
    assert shares == pytest.approx([0.70, 0.15, 0.15], abs=0.02)
    pinned = {1: Split.TRAIN, 4: Split.VALIDATION, 11: Split.TEST}
    assert {number: split_of(f"set patient-{number}") for number in pinned} == pinned
    assert strictest([Split.TRAIN, Split.TEST, Split.VALIDATION]) is Split.TEST


def test_whole_sites_are_kept_together_and_a_patient_of_two_sites_is_in_one_split(tmp_path: Path) -> None:
    """The stricter of the two."""
    source = chests(tmp_path / "in", *(f"s{number}" for number in range(6)))
    sites = ["north", "north", "north", "south", "south", "south"]
    patients = ["A", "B", "C", "C", "D", "E"]
    rows = [f"s{number},{patients[number]},{sites[number]}" for number in range(6)]
    (tmp_path / "t.csv").write_text("\n".join(["id,patient,site", *rows]) + "\n")
    imported("nifti-dir", source, tmp_path / "store", options=ImportOptions(table=tmp_path / "t.csv", split_by="site"))
    found = rows_of(tmp_path / "store")
    shared = {row["patient"] for row in found if Counter(one["patient"] for one in found)[row["patient"]] == 2}
    by_site = {
        site: {row["split"] for row in found if row["site"] == site and row["patient"] not in shared}
        for site in {row["site"] for row in found}
    }
    assert all(len(splits) == 1 for splits in by_site.values())
    assert len({row["split"] for row in found if row["patient"] in shared}) == 1
    with pytest.raises(ImportOptionError):
        imported("nifti-dir", source, tmp_path / "other", options=ImportOptions(split_by="scanner"))


def test_sources_with_the_same_file_names_do_not_collide(tmp_path: Path) -> None:
    """Patients mean something within their source only; each keeps its own terms."""
    for name in ("north", "south"):
        imported("nifti-dir", chests(tmp_path / name, "a"), tmp_path / "store", licence=f"terms of {name}")
    assert len({row["patient"] for row in rows_of(tmp_path / "store")}) == 2
    terms = json.loads((tmp_path / "store" / "sources.json").read_text())
    assert {name: one["name"] for name, one in terms.items()} == {"north": "terms of north", "south": "terms of south"}


def test_the_command_says_what_it_did_and_what_it_left_out(tmp_path: Path) -> None:
    """Counts, sentences, terms; exit code 0 while something is in the store."""
    source = chests(tmp_path / "in", "a")
    (source / "b.nii.gz").write_bytes(b"nothing")
    write_nifti(source / "c.nii.gz", chest_hu)
    write_nifti(source / "c_mask.nii.gz", nothing_at)
    command = ["import", "nifti-dir", str(source), "--out", str(tmp_path / "store"), "--licence", "CC BY-NC 4.0"]
    result = CliRunner().invoke(app, [*command, "--map", "1=ground-glass", "--set", "name=ours"])
    assert result.exit_code == 0
    assert "2 studies in" in result.output
    assert "images without a mask {id}_mask.nii.gz: 1 (b)\n" in result.output
    assert "1 not imported:\n  b.nii.gz: b.nii.gz is damaged or no NIfTI file." in result.output
    assert "forbids commercial use" in result.output
    assert {row["source"] for row in rows_of(tmp_path / "store")} == {"ours"}


@pytest.mark.parametrize("extra", [["--set", "nonsense=1"], ["--map", "x"], ["--set", "table=missing.csv"]])
def test_a_wrong_option_of_the_command_is_named(tmp_path: Path, extra: list[str]) -> None:
    """Exit code 2, as for every wrong usage."""
    source = chests(tmp_path / "in", "a")
    result = CliRunner().invoke(app, ["import", "nifti-dir", str(source), "--out", str(tmp_path / "store"), *extra])
    assert result.exit_code == 2


def test_every_format_is_named_in_the_help() -> None:
    """The help is written out, so that it loads no pipeline; the page describes each."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "import.md").read_text()
    assert tuple(IMPORTERS) == FORMATS
    assert all(f"| `{name}` | " in page for name in FORMATS)
    assert all(importer.licence.name in page for importer in IMPORTERS.values())


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    """With the known ones."""
    with pytest.raises(UnknownFormatError, match="known are dicom-seg"):
        imported("zip", tmp_path, tmp_path / "store")


def test_every_study_says_where_it_lies_in_the_table(tmp_path: Path) -> None:
    """Columns that training and people read."""
    imported("nifti-dir", chests(tmp_path / "in", "a"), tmp_path / "store")
    row = rows_of(tmp_path / "store")[0]
    wanted = {"patient", "study", "day", "source", "kernel", "thickness_mm", "label", "split"}
    assert wanted <= row.keys()
    assert np.isclose(float(row["slice_spacing_mm"]), 8.0)
    assert (folder_of(tmp_path / "store", row) / "ct.nii.gz").is_file()
