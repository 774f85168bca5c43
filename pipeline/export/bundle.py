"""Writes a model pack as a MONAI bundle that runs without this package (docs.monai.io, "MONAI Bundle Specification").

configs/metadata.json      what the networks take and give, and what they need
configs/inference.json     the networks, and a run over one volume
models/                    the weights
scripts/                   the modules of this package that inference needs, under another name
docs/README.md             the model card
LICENSE                    of the weights
"""

import ast
import importlib.metadata
import importlib.util
import json
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from pipeline.errors import ModelPackError
from pipeline.export import bundle_run
from pipeline.model_pack import LUNG_WEIGHTS, SPACE_TIME_WEIGHTS, ModelPack

MONAI_VERSION = "1.6.0"
"""That the bundle was tried with."""

FIRE_VERSION = "0.7.1"
"""Too: the command line of MONAI bundles needs it and MONAI does not install it; who exports need not have it."""

_PACKAGES = {"SimpleITK": "SimpleITK", "scipy": "scipy", "safetensors": "safetensors", "pydantic": "pydantic"}
"""What the modules need beside torch and numpy: name in the metadata and of the distribution."""

_OUR_IMPORT = re.compile(r"^(\s*)from pipeline\.(?:export\.)?(\w+) import", re.MULTILINE)

_RUN_NOTE = """
---

This bundle was exported from the model pack `{name}` {version}, sha256 of its description `{sha256}`. It sees one study
alone; comparing with earlier studies, measuring and reporting are the work of dicom-node. The modules in `scripts/` are
under Apache-2.0. To find the lesions of a volume in HU, in this folder:

    pip install monai fire {packages}
    python -m monai.bundle run --config_file configs/inference.json --image in.nii.gz --output mask.nii.gz

The mask holds 1 for ground-glass and 2 for consolidation. Not for diagnostic use.
"""


def export_bundle(pack: ModelPack, folder: Path) -> Path:
    """A bundle in a new folder; gives the folder back.

    Raises:
        ModelPackError: The folder is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        reason = f"{folder} is not empty; name a folder that does not exist"
        raise ModelPackError(reason)
    for part in ("configs", "models", "docs", "scripts"):
        (folder / part).mkdir(parents=True)
    for name in (LUNG_WEIGHTS, SPACE_TIME_WEIGHTS):
        shutil.copyfile(pack.folder / name, folder / name)
    shutil.copyfile(pack.folder / "LICENSE", folder / "LICENSE")
    card = (pack.folder / "docs" / "README.md").read_text(encoding="utf-8")
    packages = " ".join(_PACKAGES.values())
    note = _RUN_NOTE.format(name=pack.name, version=pack.version, sha256=pack.sha256, packages=packages)
    (folder / "docs" / "README.md").write_text(card + note, encoding="utf-8")
    _write_json(folder / "configs" / "metadata.json", _metadata(pack))
    _write_json(folder / "configs" / "inference.json", _inference(pack))
    _write_modules(folder / "scripts")
    return folder


def _write_modules(folder: Path) -> None:
    """The modules that inference needs, each importing its neighbours from `scripts`."""
    (folder / "__init__.py").write_text('"""Inference with the networks of a dicom-node model pack."""\n')
    for module, path in sorted(_needed_modules(bundle_run.__name__).items()):
        text = _OUR_IMPORT.sub(r"\1from scripts.\2 import", path.read_text(encoding="utf-8"))
        (folder / f"{module.rpartition('.')[2]}.py").write_text(text, encoding="utf-8")


def _needed_modules(start: str) -> dict[str, Path]:
    """A module of this package with all that it imports of it, by name."""
    found: dict[str, Path] = {}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        spec = importlib.util.find_spec(module)
        if module in found or spec is None or spec.origin is None:
            continue
        found[module] = Path(spec.origin)
        waiting += _our_imports(found[module].read_text(encoding="utf-8"))
    return found


def _our_imports(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pipeline."):
            yield node.module


def _inference(pack: ModelPack) -> dict[str, object]:
    """MONAI's configuration: `_target_` makes an object, `@` refers to another entry, `$` is an expression."""
    return {
        "bundle_root": ".",
        "image": "$@bundle_root + '/image.nii.gz'",
        "output": "$@bundle_root + '/mask.nii.gz'",
        "device": "cpu",
        "contract": {"_target_": "scripts.model_input.InputContract", **asdict(pack.contract)},
        "thresholds": {"_target_": "scripts.model_pack.Thresholds", **asdict(pack.thresholds)},
        "space_time_config": {"_target_": "scripts.space_time.SpaceTimeConfig", **asdict(pack.space_time)},
        "lung_net": {
            "_target_": "scripts.bundle_run.load_lung_net",
            "widths": list(pack.lung_widths),
            "neighbour_mm": pack.lung_neighbour_mm,
            "weights": f"$@bundle_root + '/{LUNG_WEIGHTS}'",
            "device": "@device",
        },
        "space_time_net": {
            "_target_": "scripts.bundle_run.load_space_time_net",
            "config": "@space_time_config",
            "weights": f"$@bundle_root + '/{SPACE_TIME_WEIGHTS}'",
            "device": "@device",
        },
        "network_def": {"_target_": "scripts.bundle_run.StudyNet", "net": "@space_time_net"},
        "predictor": {
            "_target_": "scripts.bundle_run.Predictor",
            "lung_net": "@lung_net",
            "space_time_net": "@space_time_net",
            "contract": "@contract",
            "thresholds": "@thresholds",
        },
        "run": ["$print(@predictor(@image, @output))"],
    }


def _metadata(pack: ModelPack) -> dict[str, object]:
    return {
        "version": pack.version,
        "changelog": {pack.version: f"exported from the model pack {pack.name} {pack.version}"},
        "monai_version": MONAI_VERSION,
        "pytorch_version": _version("torch"),
        "numpy_version": _version("numpy"),
        "required_packages_version": {
            "fire": FIRE_VERSION,
            **{name: _version(package) for name, package in _PACKAGES.items()},
        },
        "supported_apps": {},
        "python_version": platform.python_version(),
        "name": pack.name,
        "task": "Lungs and COVID-19-like lesions in chest CT",
        "description": pack.intended_use,
        "authors": "The dicom-node authors",
        "copyright": "The dicom-node authors",
        "data_source": "; ".join(f"{data.name} ({data.licence})" for data in pack.training_data),
        "data_type": "CT volume in HU",
        "intended_use": pack.intended_use,
        "model_pack_sha256": pack.sha256,
        "network_data_format": _data_format(pack),
    }


def _data_format(pack: ModelPack) -> dict[str, object]:
    """Of `network_def`."""
    multiple = pack.contract.size_multiple
    shape = [f"{multiple}*n", f"{multiple}*n"]
    channels = {str(number): name for number, name in enumerate(pack.contract.channels)}
    classes = {"0": "background", **{str(label.value): label.name for label in pack.labels}}
    shared = {"type": "image", "modality": "CT", "spatial_shape": shape, "dtype": "float32", "value_range": [0, 1]}
    return {
        "inputs": {
            "image": {**shared, "format": "hounsfield", "num_channels": len(channels), "is_patch_data": False}
            | {"channel_def": channels}
        },
        "outputs": {
            "pred": {**shared, "format": "segmentation", "num_channels": len(classes), "is_patch_data": False}
            | {"channel_def": classes}
        },
    }


def _version(package: str) -> str:
    return importlib.metadata.version(package).split("+")[0]


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
