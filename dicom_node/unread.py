"""Says in plain words why a study holds nothing that the pipeline reads."""

from collections import Counter
from collections.abc import Sequence

from storage.records import StoredInstance
from storage.starts_work import STARTS_WORK


def without_ct_images(instances: Sequence[StoredInstance]) -> str:
    """Why there is nothing to analyse in a study; empty where there is a CT image."""
    if any(instance.sop_class_uid in STARTS_WORK for instance in instances):
        return ""
    if not instances:
        return "nothing to analyse: the study holds only results of a dicom-node, no CT images"
    counted = Counter(instance.modality or "unnamed" for instance in instances)
    held = ", ".join(f"{count} {modality}" for modality, count in sorted(counted.items()))
    return f"nothing to analyse: the study holds no CT images, only objects of modality {held}"
