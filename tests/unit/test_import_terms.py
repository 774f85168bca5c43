"""No study lies in a store without its terms, whatever stops an import, and none loses those that were stated."""

import json
from pathlib import Path

import pytest

from builders.ct_series import chest_hu
from builders.site_data import lesion_at, write_nifti
from builders.site_store import imported
from pipeline.importers.errors import StoreError
from pipeline.importers.licences import OWN
from pipeline.importers.records import ImportOptions, Licence
from pipeline.importers.run import import_data
from pipeline.importers.store import open_store, read_store
from pipeline.training.site_cases import store_training_data
from pipeline.training.what_was_seen import forbids_commercial_use


def chests(folder: Path, *names: str) -> Path:
    """A folder of chests with their masks."""
    for name in names:
        write_nifti(folder / f"{name}.nii.gz", chest_hu)
        write_nifti(folder / f"{name}_mask.nii.gz", lesion_at)
    return folder


def stop_before_the_second(what: str, share: float) -> None:
    """A user who presses Ctrl+C after the first of two studies."""
    if share > 0.0:
        raise KeyboardInterrupt


def stopped_import(folder: Path) -> Path:
    """A store with one study of a source of two."""
    source = chests(folder / "in", "a", "b")
    with pytest.raises(KeyboardInterrupt):
        import_data(
            "nifti-dir",
            source,
            folder / "store",
            options=ImportOptions(),
            licence="CC BY-NC 4.0",
            on_progress=stop_before_the_second,
        )
    return folder / "store"


def test_what_a_stopped_import_left_has_its_terms(tmp_path: Path) -> None:
    """For software and for people."""
    store = stopped_import(tmp_path)
    assert len(read_store(store)) == 1
    assert forbids_commercial_use(store_training_data(store))
    assert [data.licence for data in store_training_data(store)] == ["CC BY-NC 4.0; non-commercial"]
    assert "Not for commercial use" in (store / "licence.txt").read_text()


def test_a_study_without_terms_is_not_trained_on(tmp_path: Path) -> None:
    """As imports of versions before left it; the sentence names the source and what to do."""
    store = stopped_import(tmp_path)
    (store / "sources.json").unlink()
    with pytest.raises(StoreError, match=r"of in\b.*Import .*again"):
        store_training_data(store)


def test_another_source_can_be_imported_beside_a_study_without_terms(tmp_path: Path) -> None:
    """It has its own; only training asks for all."""
    store = stopped_import(tmp_path)
    (store / "sources.json").unlink()
    imported("nifti-dir", chests(tmp_path / "other", "c"), store)
    assert named_in(store) == {"other": OWN.name}
    with pytest.raises(StoreError):
        store_training_data(store)


def test_terms_of_a_source_of_which_nothing_is_inside_are_not_told(tmp_path: Path) -> None:
    """An import that was stopped before its first study has stated them already."""
    store = tmp_path / "store"
    imported("nifti-dir", chests(tmp_path / "in", "a"), store)
    with open_store(store) as opened:
        opened.state_terms("other", Licence(name="CC BY-NC 4.0", attribution="them"))
    assert [data.name for data in store_training_data(store)] == ["in"]
    assert not forbids_commercial_use(store_training_data(store))


def test_importing_again_without_a_licence_keeps_the_stated_terms(tmp_path: Path) -> None:
    """Stating others takes their place."""
    source, store = chests(tmp_path / "in", "a"), tmp_path / "store"
    imported("nifti-dir", source, store, licence="CC BY-NC 4.0")
    assert imported("nifti-dir", source, store).licence.name == "CC BY-NC 4.0"
    assert forbids_commercial_use(store_training_data(store))
    imported("nifti-dir", source, store, licence="internal")
    assert named_in(store) == {"in": "internal"}


def test_terms_of_a_public_set_take_the_place_of_none(tmp_path: Path) -> None:
    """What nobody stated is no statement."""
    store, options = tmp_path / "store", ImportOptions(name="ours")
    imported("nifti-dir", chests(tmp_path / "in", "a"), store, options=options)
    assert named_in(store) == {"ours": OWN.name}
    write_nifti(tmp_path / "mosmed" / "studies" / "CT-0" / "study_1.nii.gz", chest_hu)
    imported("mosmed", tmp_path / "mosmed", store, options=options)
    assert named_in(store) == {"ours": "CC BY-NC-ND 3.0"}


def named_in(store: Path) -> dict[str, str]:
    """Names of the terms in `sources.json`, by source."""
    return {name: terms["name"] for name, terms in json.loads((store / "sources.json").read_text()).items()}


@pytest.mark.parametrize(
    ("name", "non_commercial", "no_derivatives"),
    [
        ("CC BY 4.0", False, False),
        ("CC BY-NC-SA 4.0", True, False),
        ("CC BY-NC-ND 3.0", True, True),
        ("cc_by_nc", True, False),
        ("Attribution-NonCommercial-NoDerivatives 4.0 International", True, True),
        ("Attribution-NonCommercial-NoDerivs 3.0 Unported", True, True),
        ("for non commercial research, no derivative works", True, True),
        ("non\N{NON-BREAKING HYPHEN}commercial", True, False),
        ("Attribution 4.0 International", False, False),
        ("2nd agreement with the university, function tests only", False, False),
    ],
)
def test_terms_are_flagged_by_their_name(name: str, non_commercial: bool, no_derivatives: bool) -> None:
    """Short or in full; what the user types for `--licence` is judged in the same way."""
    licence = Licence(name=name, attribution="")
    assert (licence.is_non_commercial, licence.is_no_derivatives) == (non_commercial, no_derivatives)
