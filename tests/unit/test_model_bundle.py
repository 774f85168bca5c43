"""A model pack exported as a MONAI bundle runs without this package and says the same."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch
from numpy.typing import NDArray

from builders.networks import random_study
from builders.packs import tiny_pack
from pipeline.errors import ModelPackError
from pipeline.export.bundle import export_bundle
from pipeline.export.bundle_run import Predictor, StudyNet
from pipeline.model_pack import ModelPack, load_model_pack
from pipeline.training.golden_case import render_golden_case

WITHOUT_OURS = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("pipeline", "dicom_node", "config", "storage"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
"""
"""A machine where our packages are not installed."""

ELSEWHERE = f"""{WITHOUT_OURS}
import warnings
warnings.simplefilter("ignore")
import numpy as np, torch
from monai.bundle import ConfigParser, verify_net_in_out
parser = ConfigParser()
parser.read_config("configs/inference.json")
parser.read_meta("configs/metadata.json")
"""
"""Such a machine, with MONAI."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As elsewhere: sums of more threads differ in the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> ModelPack:
    """A pack with tiny networks."""
    return load_model_pack(tiny_pack(tmp_path_factory.mktemp("bundle") / "pack"))


@pytest.fixture(scope="module")
def bundle(pack: ModelPack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of that pack."""
    return export_bundle(pack, tmp_path_factory.mktemp("elsewhere") / "bundle")


def run_elsewhere(bundle: Path, program: str) -> str:
    """What a program prints that runs in the bundle, on a machine without our packages."""
    return run_in(bundle, [sys.executable, "-c", ELSEWHERE + program], packages=bundle)


def run_in(bundle: Path, command: Sequence[str], *, packages: Path) -> str:
    """What a command prints that runs in the bundle, with the packages of a folder before all others."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(packages)}
    done = subprocess.run(
        command, cwd=bundle, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_bundle_gives_what_the_pack_gives(bundle: Path, pack: ModelPack, tmp_path: Path) -> None:
    """Bit for bit, from MONAI's own parser; its own check of input and output passes too."""
    slices = random_study(1, slices=3, height=32, width=64)
    np.save(tmp_path / "slices.npy", slices.numpy())
    run_elsewhere(
        bundle,
        f"""
verify_net_in_out(
    net_id="network_def", meta_file="configs/metadata.json", config_file="configs/inference.json", device="cpu", n=2
)
net = parser.get_parsed_content("network_def")
with torch.inference_mode():
    np.save({str(tmp_path / "found.npy")!r}, net(torch.from_numpy(np.load({str(tmp_path / "slices.npy")!r}))).numpy())
""",
    )
    with torch.inference_mode():
        expected = StudyNet(pack.load_space_time_net("cpu"))(slices)
    assert np.array_equal(np.load(tmp_path / "found.npy"), expected.numpy())


def documented_command(bundle: Path) -> list[str]:
    """What the bundle's README says to run."""
    lines = [line.strip() for line in (bundle / "docs" / "README.md").read_text().splitlines()]
    (command,) = [line for line in lines if line.startswith("python -m monai.bundle")]
    return [sys.executable, *command.split()[1:]]


def write_volume(path: Path, volume_hu: NDArray[Any], spacing_mm: Sequence[float]) -> None:
    """A volume as the name says; NIfTI would turn what is no number into 0."""
    image = SimpleITK.GetImageFromArray(volume_hu)
    image.SetSpacing(spacing_mm[::-1])
    SimpleITK.WriteImage(image, path)


def predictor_of(pack: ModelPack) -> Predictor:
    """As the bundle makes it."""
    return Predictor(pack.load_lung_net("cpu"), pack.load_space_time_net("cpu"), pack.contract, pack.thresholds)


def test_the_documented_command_reads_a_volume_and_writes_a_mask(tmp_path: Path) -> None:
    """MONAI's command line runs the bundle of the weights that come with the package on a NIfTI file."""
    pack = load_model_pack(None)
    bundle = export_bundle(pack, tmp_path / "bundle")
    case = render_golden_case()
    write_volume(bundle / "in.nii.gz", case.volumes_hu[-1], case.spacing_mm)
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_OURS)
    run_in(bundle, documented_command(bundle), packages=tmp_path)
    volumes = predictor_of(pack)(str(bundle / "in.nii.gz"), str(tmp_path / "ours.nii.gz"))
    found, ours = (SimpleITK.ReadImage(path) for path in (bundle / "mask.nii.gz", tmp_path / "ours.nii.gz"))
    assert np.array_equal(SimpleITK.GetArrayFromImage(found), SimpleITK.GetArrayFromImage(ours))
    assert found.GetSpacing() == pytest.approx(case.spacing_mm[::-1])
    assert volumes["lungs_ml"] > 1000
    assert volumes["ground_glass_ml"] > 1


@pytest.mark.parametrize("padding", [-3024, np.nan])
def test_padding_is_air_to_the_bundle_as_to_the_node(tmp_path: Path, padding: float) -> None:
    """Whatever a scanner or a converter writes outside of its field of view."""
    case = render_golden_case()
    volume_hu = case.volumes_hu[-1].astype(np.float32)
    outside = volume_hu < -950
    predictor = predictor_of(load_model_pack(None))
    volumes = []
    for number, value in enumerate((-1024, padding)):
        write_volume(tmp_path / f"{number}.nrrd", np.where(outside, value, volume_hu), case.spacing_mm)
        volumes.append(predictor(str(tmp_path / f"{number}.nrrd"), str(tmp_path / "mask.nii.gz")))
    assert outside.any()
    assert volumes[0] == volumes[1]


def test_the_metadata_says_what_monai_asks_for(bundle: Path, pack: ModelPack) -> None:
    """Every key that the specification requires, and the sha256 of the pack."""
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    required = {
        "version",
        "monai_version",
        "pytorch_version",
        "numpy_version",
        "required_packages_version",
        "task",
        "description",
        "authors",
        "copyright",
        "network_data_format",
    }
    assert required <= metadata.keys()
    assert "fire" in metadata["required_packages_version"]
    assert metadata["model_pack_sha256"] == pack.sha256
    assert (bundle / "LICENSE").read_text() == (pack.folder / "LICENSE").read_text()
    assert (bundle / "docs" / "README.md").read_text().startswith("# Tiny")


def test_no_module_of_the_bundle_needs_ours(bundle: Path) -> None:
    """And nothing of the training goes with it."""
    texts = {path.name: path.read_text() for path in (bundle / "scripts").glob("*.py")}
    assert len(texts) > 10
    assert not [name for name, text in texts.items() if "from pipeline" in text or "import pipeline" in text]


def test_a_folder_with_something_in_it_is_left_alone(pack: ModelPack, tmp_path: Path) -> None:
    """An export never overwrites."""
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ModelPackError, match="is not empty"):
        export_bundle(pack, tmp_path)
