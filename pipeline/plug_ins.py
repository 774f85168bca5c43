"""Lung segmenters and lesion detectors that other packages bring, found by entry point."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points

import torch

from pipeline.checked import CheckedDetector, CheckedSegmenter
from pipeline.errors import PipelineError, PlugInError


class PlugPoint(StrEnum):
    """Entry point groups."""

    LUNG_SEGMENTER = "dicom_node.lung_segmenters"
    LESION_DETECTOR = "dicom_node.lesion_detectors"


_WORDS = {PlugPoint.LUNG_SEGMENTER: "lung segmenter", PlugPoint.LESION_DETECTOR: "lesion detector"}
_SETTINGS = {PlugPoint.LUNG_SEGMENTER: "lung_segmenter", PlugPoint.LESION_DETECTOR: "lesion_detector"}
_METHODS = {PlugPoint.LUNG_SEGMENTER: "segment", PlugPoint.LESION_DETECTOR: "detect"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlugIn:
    """A plug-in that a package brings."""

    name: str
    """Of the entry point; what the configuration says."""
    package: str
    version: str
    """Of the package."""
    entry_point: EntryPoint

    @property
    def title(self) -> str:
        """For people: `acme-lungs (acme-ct 2.1)`."""
        return f"{self.name} ({self.package} {self.version})"


def installed_plug_ins(point: PlugPoint) -> tuple[PlugIn, ...]:
    """What is installed for a plug-point, by name; nothing of it is imported."""
    found = [
        PlugIn(name=entry.name, package=entry.dist.name, version=entry.dist.version, entry_point=entry)
        for entry in entry_points(group=point.value)
        if entry.dist is not None
    ]
    return tuple(sorted(found, key=lambda plug_in: (plug_in.name, plug_in.package)))


def find_plug_in(point: PlugPoint, name: str) -> PlugIn:
    """The plug-in of this name.

    Raises:
        PlugInError: None is called so, with what there is; or two packages bring one.
    """
    installed = installed_plug_ins(point)
    found = [plug_in for plug_in in installed if plug_in.name == name]
    if len(found) == 1:
        return found[0]
    word, setting = _WORDS[point], f"[pipeline].{_SETTINGS[point]}"
    listed = ", ".join(plug_in.title for plug_in in found or installed) or "none"
    if found:
        reason = f'more than one package brings a {word} "{name}": {listed}; uninstall all but one'
    else:
        reason = f'no {word} "{name}" is installed (installed: {listed}); set {setting} to one of them or to ""'
    raise PlugInError(reason)


def load_lung_segmenter(plug_in: PlugIn, device: torch.device) -> CheckedSegmenter:
    """The plug-in, made for a device, with everything it returns checked.

    Raises:
        PlugInError: It cannot be loaded.
    """
    return CheckedSegmenter(_made(PlugPoint.LUNG_SEGMENTER, plug_in, device), plug_in.title)


def load_lesion_detector(plug_in: PlugIn, device: torch.device) -> CheckedDetector:
    """The plug-in, made for a device, with everything it returns checked.

    Raises:
        PlugInError: It cannot be loaded.
    """
    return CheckedDetector(_made(PlugPoint.LESION_DETECTOR, plug_in, device), plug_in.title)


def _made(point: PlugPoint, plug_in: PlugIn, device: torch.device) -> object:
    """What the entry point makes: it names something that is called with the name of the device."""
    try:
        factory: Callable[[str], object] = plug_in.entry_point.load()
        made = factory(str(device))
    except (PipelineError, MemoryError):
        raise
    except Exception as exc:
        reason = f"the {_WORDS[point]} {plug_in.title} cannot be loaded: {type(exc).__name__}: {exc}"
        raise PlugInError(reason) from exc
    if not callable(getattr(made, _METHODS[point], None)):
        reason = f"the {_WORDS[point]} {plug_in.title} has no method {_METHODS[point]}"
        raise PlugInError(reason)
    return made
