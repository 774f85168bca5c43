"""torchvision, also where its compiled operators do not load.

The wheels of torchvision are built for CUDA: beside a CPU build of torch their operators are missing, and
`import torchvision` ends in "operator torchvision::nms does not exist". Then the operators that its detectors need are
registered from here, in plain torch; a build whose operators load is left as it is.
"""

import functools
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from pipeline.baselines.errors import BaselineError
from pipeline.baselines.roi_align import RegionPooling, roi_align
from pipeline.baselines.suppression import nms

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
)
"""As torchvision 0.28 registers them; its import asks for the first two, `roi_align` is what Faster R-CNN pools with."""


def torchvision_module(name: str) -> ModuleType:
    """`torchvision.<name>`, with operators that work.

    Raises:
        BaselineError: torchvision is not installed.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise BaselineError
    provide_operators(Path(spec.origin).parent)
    return importlib.import_module(f"torchvision.{name}")


@functools.cache
def provide_operators(package: Path) -> torch.library.Library | None:
    """Registers the operators where torchvision's own do not load.

    Args:
        package: The folder of torchvision.

    Returns:
        What holds the registration, None where torchvision brought its own.
    """
    if _compiled_operators_load(package):
        return None
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]  # torch has no type for it
    for schema in SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]  # torch has no type for it
    for device in ("CPU", "CUDA"):
        library.impl("nms", nms, device)  # type: ignore[no-untyped-call]  # torch has no type for it
    library.impl("roi_align", _roi_align_operator, "CompositeImplicitAutograd")  # type: ignore[no-untyped-call]  # torch has no type for it
    _forget_failed_import()
    importlib.import_module("torchvision")
    _believe_in_operators()
    return library


def _roi_align_operator(features: Tensor, regions: Tensor, *pooling: Any) -> Tensor:
    return roi_align(features, regions, RegionPooling(*pooling))


def _compiled_operators_load(package: Path) -> bool:
    for path in sorted((*package.glob("_C*.so"), *package.glob("_C*.pyd"))):
        try:
            torch.ops.load_library(str(path))  # type: ignore[no-untyped-call]  # torch has no type for it
        except OSError:
            continue
    return hasattr(torch.ops.torchvision, "nms")


def _forget_failed_import() -> None:
    """An import that failed leaves submodules behind, with which the next one fails otherwise."""
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]


def _believe_in_operators() -> None:
    """torchvision asks `_has_ops` before it calls an operator; its answer was settled when the library did not load."""
    for name in ("torchvision.extension", "torchvision.ops.roi_align"):
        sys.modules[name]._has_ops = _operators_are_there  # type: ignore[attr-defined]  # of torchvision


def _operators_are_there() -> bool:
    return True
