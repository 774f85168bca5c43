"""Studies of whose lungs nothing is known: no sample, and no answer about their patient."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from builders.ct_series import chest_hu
from builders.evaluation import CHOICES, STORE_CONFIG
from builders.site_data import lesion_at, nothing_at, right_is_one_at, write_nifti
from builders.site_store import imported
from builders.training_cases import SHAPE, small_case
from pipeline.errors import PatientScoreError
from pipeline.evaluation.answers import answers_of
from pipeline.evaluation.choices import choose
from pipeline.evaluation.config import load_evaluation_config
from pipeline.evaluation.detector import SliceBoxes, StudyReading
from pipeline.evaluation.errors import EvaluationError
from pipeline.evaluation.read_cases import Patient
from pipeline.evaluation.readings import KeptReading, kept_reading
from pipeline.evaluation.run import evaluate
from pipeline.evaluation.truth import StudyTruth, case_truth, study_truth
from pipeline.evaluation.views import STAGE_TWO, paper_stages
from pipeline.importers.records import NOT_KNOWN, ImportOptions
from pipeline.importers.splits import Split, split_of
from pipeline.patient_score import PatientScoreWeights, patient_score
from pipeline.space_time import SpaceTimeConfig, SpaceTimeNet
from pipeline.training.cases import Case, CaseStudy
from pipeline.training.epochs import save_epoch

VOXEL_ML = 0.01125

WEIGHTS = PatientScoreWeights(bias=0.0, slice_weight=1.0, involvement_weight=1.0)

CONFIG = f"controls = false\n{STORE_CONFIG}"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def unmasked(study: CaseStudy) -> CaseStudy:
    """The study as a store keeps one without a mask."""
    truth = study.truth.copy()
    truth[1], truth[2] = 0, NOT_KNOWN
    return replace(study, truth=truth)


def without_lesion(study: CaseStudy) -> CaseStudy:
    """The study, known to be free."""
    return replace(study, truth=study.truth * np.array([1, 0, 0], np.uint8)[:, None, None, None])


def read(study: CaseStudy, logit: float) -> KeptReading:
    """A reading that finds the lesion where there is one."""
    nothing = SliceBoxes(boxes=np.zeros((0, 4), np.float32), scores=np.zeros(0, np.float32))
    reading = StudyReading(
        boxes=(nothing,) * SHAPE[0],
        slice_logits=np.full(SHAPE[0], logit, np.float32),
        lesion_probability=(study.truth[1] > 0).astype(np.float32),
    )
    return kept_reading(reading, study, VOXEL_ML)


def sample(study: CaseStudy, logit: float) -> tuple[KeptReading, StudyTruth]:
    """A reading beside its truth."""
    return read(study, logit), study_truth(study, VOXEL_ML)


def test_choices_are_those_without_the_studies_of_which_nothing_is_known() -> None:
    """They were counted as healthy, and their empty readings made every weight nan."""
    newest = [small_case(seed).studies[-1] for seed in range(4)]
    samples = [pair for study in newest for pair in (sample(study, 2.0), sample(without_lesion(study), -2.0))]
    unknown = [sample(unmasked(study), 0.0) for study in newest]
    assert choose([*samples, *unknown]) == choose(samples)


def test_readings_of_one_patient_are_held_out_together() -> None:
    """Read twice, the patients say what they say read once; held out one reading at a time, one gave the other away."""
    rng = np.random.default_rng(3)
    newest = [small_case(seed).studies[-1] for seed in range(8)]
    once = [
        sample(study if ill else without_lesion(study), rng.normal(0.3 if ill else -0.3))
        for study in newest
        for ill in (1, 0)
    ]
    patients = list(range(len(once)))
    assert choose([*once, *once], [*patients, *patients]).patient_score.temperature == pytest.approx(
        choose(once).patient_score.temperature, abs=1e-3
    )
    assert choose([*once, *once]).patient_score.temperature != pytest.approx(
        choose(once).patient_score.temperature, abs=1e-3
    )


def test_a_patient_of_whose_newest_study_nothing_is_known_is_set_aside() -> None:
    """Whatever the earlier studies showed."""
    case = small_case(1)
    clear = tuple(without_lesion(study) for study in case.studies[:-1])
    for earlier, diseased in ((case.studies[:-1], True), (clear, False)):
        studies = (*earlier, unmasked(case.studies[-1]))
        assert case_truth(replace(case, studies=studies, diseased=diseased)).diseased is None


def test_an_earlier_study_of_which_nothing_is_known_makes_nobody_ill() -> None:
    """A detector that reads every study for itself takes the highest score of the known ones."""
    case = small_case(1, studies=2)
    known = replace(case, studies=case.studies[1:])
    views = paper_stages(looks_back=False)[STAGE_TWO]
    found = [
        answers_of([patient_of(each)], [readings(each, views(len(each.studies)))], views, CHOICES).scores.tolist()
        for each in (replace(case, studies=(unmasked(case.studies[0]), case.studies[1])), known)
    ]
    assert found[0] == found[1]


def patient_of(case: Case) -> Patient:
    """The case as it is evaluated."""
    return Patient(folder=Path(), identity=case.name, source=case.source, truth=case_truth(case), fingerprint="")


def readings(case: Case, views: Sequence) -> dict:
    """The kept readings of a case."""
    return {view: read(case.studies[-1 - view.studies_back], 1.0) for view in views}


@pytest.mark.parametrize("logits", [[], [0.5, float("nan"), 0.1, 9.0]], ids=["no slice", "no number"])
def test_no_score_is_made_of_nothing(logits: list[float]) -> None:
    """It was 1.0: min(60.0, nan) is 60.0."""
    with pytest.raises(PatientScoreError):
        patient_score(torch.tensor(logits), 1.0, WEIGHTS)


def patients_in(split: Split) -> list[str]:
    """Five whom the hash puts into a split."""
    return [name for name in (f"p{n}" for n in range(100)) if split_of(f"ours {name}") is split][:5]


def write_scan(folder: Path, name: str, *, diseased: bool | None) -> None:
    """A chest; None: without a mask."""
    write_nifti(folder / f"{name}.nii.gz", chest_hu)
    write_nifti(folder / f"{name}_lung.nii.gz", right_is_one_at)
    if diseased is not None:
        write_nifti(folder / f"{name}_mask.nii.gz", lesion_at if diseased else nothing_at)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Four patients with one study in either split; a fifth with a masked one, and seven days later one without a mask."""
    rows = ["id,patient,day"]
    for split in (Split.VALIDATION, Split.TEST):
        *whole, fifth = patients_in(split)
        for number, name in enumerate(whole):
            write_scan(tmp_path / "in", name, diseased=bool(number % 2))
        write_scan(tmp_path / "more", f"{fifth}-a", diseased=split is Split.VALIDATION)
        write_scan(tmp_path / "more", f"{fifth}-b", diseased=None)
        rows += [f"{fifth}-a,{fifth},0", f"{fifth}-b,{fifth},7"]
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    torch.manual_seed(1)
    shape = SpaceTimeConfig(widths=(8, 8, 16, 16), hidden=8, mask_width=8)
    save_epoch(tmp_path / "space-time", 1, SpaceTimeNet(shape), 0.3)
    (tmp_path / "evaluation.toml").write_text(CONFIG)
    imported("nifti-dir", tmp_path / "in", tmp_path / "store", options=ImportOptions(name="ours"))
    return tmp_path


def evaluation_of(site: Path) -> dict:
    """The results of an evaluation."""
    shutil.rmtree(site / "out", ignore_errors=True)
    config = load_evaluation_config(site / "evaluation.toml")
    evaluate(config, out=site / "out", only=[], on_progress=lambda *_: None)
    return json.loads((site / "out" / "evaluation.json").read_text())


def test_a_follow_up_without_a_mask_leaves_an_evaluation_as_it_is(site: Path) -> None:
    """One such validation patient made every score 1.0; one such test patient counted as healthy."""
    before = evaluation_of(site)
    options = ImportOptions(name="ours", table=site / "table.csv")
    imported("nifti-dir", site / "more", site / "store", options=options)
    after = evaluation_of(site)
    assert (after["patients"], after["diseased"], after["set_aside"], before["set_aside"]) == (4, 2, 1, 0)
    assert None not in after["models"][0]["choices"]["patient_score"].values()
    assert after["models"] == before["models"]


def test_a_validation_set_whose_newest_studies_are_not_known_is_refused(site: Path) -> None:
    """Before anything is read."""
    for name in patients_in(Split.VALIDATION)[1:4:2]:
        (site / "in" / f"{name}_mask.nii.gz").unlink()
    imported("nifti-dir", site / "in", site / "store", options=ImportOptions(name="ours"))
    with pytest.raises(EvaluationError, match="the validation set needs patients with and without lesions"):
        evaluation_of(site)
    assert not (site / "out" / "readings").exists()
