"""What `findings.json` of a result says, in the form in which a batch keeps it."""

import json
import logging
from typing import Any

from storage.batch_records import BatchFindings
from storage.records import ResultSet

logger = logging.getLogger(__name__)


def findings_of(result: ResultSet | None) -> BatchFindings | None:
    """What was found; None where there is no result, or its file is gone or damaged."""
    if result is None:
        return None
    try:
        found = json.loads((result.folder / "findings.json").read_bytes())
        return _from_document(found, revision=result.revision)
    except (OSError, ValueError, LookupError, TypeError) as exc:
        logger.warning("the findings of a result of a batch cannot be read: %s", type(exc).__name__)
        return None


def _from_document(found: Any, *, revision: int) -> BatchFindings:
    return BatchFindings(
        revision=revision,
        images=len(found["series"]["sop_instance_uids"]),
        lesions=len(found["lesions"]),
        priors_used=len(found["priors_used"]),
        patient_score=float(found["patient_score"]),
        involvement_percent=float(found["involvement_percent"]),
        lesion_volume_ml=float(sum(lesion["volume_ml"] for lesion in found["lesions"])),
        stage=str(found["stage"]),
        algorithm=str(found["algorithm"]["name"]),
        algorithm_version=str(found["algorithm"]["version"]),
        weights_sha256=str(found["algorithm"]["weights_sha256"]),
        qualifications=" ".join(found["qualifications"]),
    )
