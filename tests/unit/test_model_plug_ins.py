"""Lung segmenters and lesion detectors of other packages: found by name, held to their contract, named in results."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from builders.ct_series import CtSeries, ct_images, write_images
from builders.grids import cube_grid
from builders.packs import tiny_pack
from builders.plug_in_package import install_package
from config.settings import Settings
from dicom_node.check import Outcome, check_plug_ins
from pipeline.checked import CheckedDetector, CheckedSegmenter
from pipeline.engine import EngineParts, build_engine
from pipeline.errors import NotAChestError, PlugInError
from pipeline.model_pack import ModelPack, load_model_pack
from pipeline.plug_ins import PlugPoint, find_plug_in, load_lesion_detector, load_lung_segmenter
from pipeline.plug_points import Detection, SliceFinding, StudyDetection, StudyOnGrid
from pipeline.run import analyse_with
from pipeline.study import Grid, Int16Array, StudyFiles, UInt8Array

CPU = torch.device("cpu")
DOCS = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"
SHAPE = (4, 6, 8)
GRID = cube_grid(SHAPE)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of `sys.path` to install into."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> ModelPack:
    """A pack with tiny networks."""
    return load_model_pack(tiny_pack(tmp_path_factory.mktemp("packs") / "pack"))


def install_example(site: Path) -> None:
    """The package of the documentation, as it stands there."""
    source, project = re.findall(r"```(?:python|toml)\n(.*?)```", DOCS.read_text(), re.DOTALL)[:2]
    group, entry = re.search(r'entry-points\."(.*?)"\]\n(.*)\n', project).groups()  # type: ignore[union-attr]
    points = f"[{group}]\n{entry.replace(chr(34), '')}\n"
    install_package(site, "threshold-lungs", {"threshold_lungs": source}, entry_points=points)


def test_the_documented_plug_in_finds_the_lungs_of_a_study(site: Path, pack: ModelPack, tmp_path: Path) -> None:
    """A whole run with it; the results name it and its version."""
    install_example(site)
    engine = build_engine(pack, CPU, EngineParts(lung_segmenter="threshold"))
    series = CtSeries(study_uid="1.2.3", uid="1.2.3.1", shape=(48, 72, 72))
    paths = write_images(tmp_path / "study", ct_images(series))
    files = StudyFiles(study_instance_uid="1.2.3", acquired_at=None, paths=tuple(paths))
    findings = analyse_with(engine, files, (), on_progress=lambda *_: None).findings
    assert all(lung.volume_ml > 500 for lung in findings.lungs)
    assert findings.algorithm.name == "Space-Time-Net tiny + threshold"
    assert findings.algorithm.version == "1.2.3 + 2.1"
    assert findings.algorithm.weights_sha256 == pack.sha256


def test_the_documented_example_is_short() -> None:
    """Some twenty lines are enough."""
    source = DOCS.read_text().split("```python\n")[1].split("```")[0]
    assert len([line for line in source.splitlines() if line.strip()]) <= 20


def test_a_detector_is_named_in_the_place_of_the_network(site: Path, pack: ModelPack) -> None:
    """Nobody knows what it was trained on, so nothing is said of that."""
    install_package(
        site,
        "acme-ct",
        {"acme_detector": "class Detector:\n    def __init__(self, device): pass\n    def detect(self): pass\n"},
        entry_points="[dicom_node.lesion_detectors]\nacme = acme_detector:Detector\n",
    )
    algorithm = build_engine(pack, CPU, EngineParts(lesion_detector="acme")).algorithm
    assert (algorithm.name, algorithm.version) == ("acme (acme-ct)", "2.1")
    assert not algorithm.synthetic_training_only


def test_an_unknown_name_is_answered_with_what_is_installed(site: Path, pack: ModelPack) -> None:
    """And with the setting to change."""
    install_example(site)
    with pytest.raises(PlugInError) as refusal:
        build_engine(pack, CPU, EngineParts(lung_segmenter="treshold"))
    assert "threshold (threshold-lungs 2.1)" in refusal.value.reason
    assert "[pipeline].lung_segmenter" in refusal.value.reason


def test_the_check_looks_for_the_plug_ins(site: Path) -> None:
    """What is there is named, what is not fails."""
    install_example(site)
    settings = Settings.model_validate({"pipeline": {"lung_segmenter": "threshold", "lesion_detector": "nobody"}})
    found, missing = check_plug_ins(settings)
    assert (found.outcome, found.detail) == (Outcome.PASSED, "threshold (threshold-lungs 2.1)")
    assert missing.outcome is Outcome.FAILED
    assert 'no lesion detector "nobody" is installed (installed: none)' in missing.detail


def test_two_packages_with_one_name_are_refused(site: Path) -> None:
    """Which one would run must not depend on the order of folders."""
    points = "[dicom_node.lung_segmenters]\nsame = one_of_two:make\n"
    install_package(site, "first", {}, entry_points=points)
    install_package(site, "second", {}, entry_points=points)
    with pytest.raises(PlugInError, match=r"same \(first 2\.1\), same \(second 2\.1\); uninstall all but one"):
        find_plug_in(PlugPoint.LUNG_SEGMENTER, "same")


@pytest.mark.parametrize(
    ("module", "source", "problem"),
    [
        ("plug_missing", "", "AttributeError"),
        ("plug_failing", "import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("plug_refusing", "def make(device): raise ValueError('no GPU')", "ValueError: no GPU"),
        ("plug_empty", "def make(device): return object()", "has no method segment"),
    ],
)
def test_a_plug_in_that_cannot_be_loaded_is_named(site: Path, module: str, source: str, problem: str) -> None:
    """With its package, its version and what went wrong."""
    points = f"[dicom_node.lung_segmenters]\nbroken = {module}:make\n"
    install_package(site, "acme-ct", {module: source}, entry_points=points)
    with pytest.raises(PlugInError, match=rf"broken \(acme-ct 2\.1\) .*{problem}"):
        load_lung_segmenter(find_plug_in(PlugPoint.LUNG_SEGMENTER, "broken"), CPU)


def test_a_plug_in_is_told_the_device(site: Path) -> None:
    """By its name."""
    source = "class Make:\n    def __init__(self, device): self.device = device\n    def detect(self): pass\n"
    points = "[dicom_node.lesion_detectors]\ntold = plug_told:Make\n"
    install_package(site, "acme-ct", {"plug_told": source}, entry_points=points)
    detector = load_lesion_detector(find_plug_in(PlugPoint.LESION_DETECTOR, "told"), torch.device("cuda:0"))
    assert detector._plug_in.device == "cuda:0"


class Answering:
    """A plug-in of either kind that gives one answer."""

    def __init__(self, answer: object) -> None:
        """Raises it where it is an exception."""
        self._answer = answer

    def segment(self, *_: object) -> object:
        """The answer."""
        return self._given()

    detect = segment

    def _given(self) -> object:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "NoneType instead of an array"),
        (np.zeros((1, 2, 3), np.uint8), r"shape \(1, 2, 3\) for a volume of shape \(4, 6, 8\)"),
        (np.zeros(SHAPE, np.float32), "mask of float32 instead of whole numbers"),
        (np.ones(SHAPE, np.bool_), "mask of bool, which does not tell the right lung from the left"),
        (np.full(SHAPE, 3, np.uint8), "values from 3 to 3 instead of 0, 1 and 2"),
        (np.full(SHAPE, -1, np.int64), "values from -1 to -1"),
        (ValueError("patient name"), "failed with ValueError; see the log"),
    ],
)
def test_a_segmenter_that_breaks_its_contract_is_named(answer: object, problem: str) -> None:
    """The sentence says which plug-in is at fault and quotes none of its own words."""
    segmenter = CheckedSegmenter(Answering(answer), "acme (acme-ct 2.1)")
    with pytest.raises(PlugInError, match=rf"the lung segmenter acme \(acme-ct 2\.1\) .*{problem}") as refusal:
        segmenter.segment(np.zeros(SHAPE, np.int16), (1.0, 1.0, 1.0))
    assert "patient name" not in refusal.value.reason


def test_a_mask_of_other_whole_numbers_becomes_bytes() -> None:
    """int64, as numpy makes by itself, is a mask as good as any."""
    mask = CheckedSegmenter(Answering(np.full(SHAPE, 2)), "acme").segment(np.zeros(SHAPE, np.int16), (1.0, 1.0, 1.0))
    assert mask.dtype == np.uint8
    assert mask.min() == 2


class OneBuffer:
    """Answers with the largest value of a volume, always in the same array; for 1 only when 2 had time to be asked."""

    def __init__(self) -> None:
        self.buffer = np.zeros(SHAPE, np.uint8)
        self.first_inside, self.second_inside = threading.Event(), threading.Event()

    def segment(self, volume_hu: Int16Array, spacing_mm: tuple[float, float, float]) -> UInt8Array:
        """See `LungSegmenter.segment`."""
        self.buffer[:] = volume_hu.max()
        if volume_hu.max() == 2:
            self.second_inside.set()
        else:
            self.first_inside.set()
            self.second_inside.wait(0.5)
        return self.buffer


def test_a_plug_in_is_asked_for_one_study_at_a_time() -> None:
    """One that works in an array of its own gives no study the lungs of another."""
    plug_in = OneBuffer()
    segmenter = CheckedSegmenter(plug_in, "acme")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(segmenter.segment, np.ones(SHAPE, np.int16), (1.0, 1.0, 1.0))
        assert plug_in.first_inside.wait(30)
        second = pool.submit(segmenter.segment, np.full(SHAPE, 2, np.int16), (1.0, 1.0, 1.0))
        assert [first.result().max(), second.result().max()] == [1, 2]


def test_a_plug_in_may_refuse_a_study() -> None:
    """That is an outcome, not a fault."""
    with pytest.raises(NotAChestError):
        CheckedSegmenter(Answering(NotAChestError()), "acme").segment(np.zeros(SHAPE, np.int16), (1.0, 1.0, 1.0))


def study_detection(**changes: Any) -> StudyDetection:
    """A whole answer, apart from the changes."""
    whole: dict[str, Any] = {
        "lesion_probability": np.full(SHAPE, 0.5, np.float32),
        "consolidation_probability": np.full(SHAPE, 0.25, np.float32),
        "slice_findings": (SliceFinding(z=3, box=(0.0, 0.0, 2.0, 2.0), score=0.5),),
        "slice_logits": np.zeros(SHAPE[:1], np.float32),
    }
    return StudyDetection(**{**whole, **changes})


def detected(answer: object) -> Detection:
    """What the node makes of a detector's answer for two studies whose lungs fill the grid."""
    lungs = np.ones(SHAPE, np.uint8)
    study = StudyOnGrid(volume_hu=np.zeros(SHAPE, np.int16), lung_mask=lungs, valid=lungs > 0)
    return CheckedDetector(Answering(answer), "acme (acme-ct 2.1)").detect([study, study], GRID, [0.0, 3.0])


def test_a_whole_answer_passes() -> None:
    """Half precision is widened, what rounding made of a probability is put back."""
    study = study_detection(lesion_probability=np.full(SHAPE, 1.00005, np.float64))
    probability = detected(Detection(grid=GRID, studies=(study, study))).studies[1].lesion_probability
    assert probability.dtype == np.float32
    assert probability.max() == 1.0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"lesion_probability": np.full(SHAPE, 2.0)}, "lesion_probability reaches from 2 to 2 instead of 0 to 1"),
        ({"lesion_probability": np.full(SHAPE, np.nan)}, "lesion_probability holds values that are no numbers"),
        ({"consolidation_probability": np.zeros((4, 6, 7))}, r"consolidation_probability has shape \(4, 6, 7\)"),
        ({"slice_logits": np.zeros(4, np.int64)}, "slice_logits is int64 instead of an array of floats"),
        ({"slice_logits": np.zeros(5)}, r"slice_logits has shape \(5,\) instead of \(4,\)"),
        ({"slice_findings": (SliceFinding(z=4, box=(0, 0, 1, 1), score=0.5),)}, "is on slice 4 of 4"),
        ({"slice_findings": (SliceFinding(z=0, box=(0, 0, 0, 1), score=0.5),)}, "has no box"),
        ({"slice_findings": (SliceFinding(z=0, box=(0, 0, 1, 1), score=1.5),)}, "has score 1.5"),
        ({"slice_findings": ("box",)}, "is str instead of SliceFinding"),
    ],
)
def test_a_detector_that_breaks_its_contract_is_named(changes: dict[str, Any], problem: str) -> None:
    """In whichever study it does."""
    answer = Detection(grid=GRID, studies=(study_detection(), study_detection(**changes)))
    with pytest.raises(
        PlugInError, match=rf"the lesion detector acme \(acme-ct 2\.1\) broke its contract: .*{problem}"
    ):
        detected(answer)


@pytest.mark.parametrize(
    ("grid", "problem"),
    [
        (Grid(shape=SHAPE, affine_lps_from_kji=np.zeros((4, 4))), "without a place in the patient"),
        (Grid(shape=SHAPE, affine_lps_from_kji=GRID.affine_lps_from_kji * 2), "without a place in the patient"),
        (Grid(shape=SHAPE, affine_lps_from_kji=np.diag([0.5, 0.5, 0.5, 1.0]) @ GRID.affine_lps_from_kji), "not cover"),
        (Grid(shape=(4, 6, 4), affine_lps_from_kji=GRID.affine_lps_from_kji), "does not cover the lungs"),
        (None, "NoneType instead of Grid"),
    ],
)
def test_a_grid_beside_the_lungs_is_refused(grid: Any, problem: str) -> None:
    """Lesions outside of it would be lost without a word."""
    with pytest.raises(PlugInError, match=problem):
        detected(Detection(grid=grid, studies=(study_detection(), study_detection())))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"boxes": []}, "dict instead of Detection"),
        (Detection(grid=GRID, studies=(study_detection(),)), "answered for 1 studies instead of 2"),
    ],
)
def test_an_answer_of_another_kind_is_refused(answer: object, problem: str) -> None:
    """One answer per study."""
    with pytest.raises(PlugInError, match=problem):
        detected(answer)
