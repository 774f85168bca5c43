"""Studies whose results strangers are shown."""

from builders.analysis import FEET_FIRST, StudyPlan, used_prior
from pipeline.findings import DroppedPrior, GoneLesion, LesionKind, Side

NO_FINDING = StudyPlan(with_lesions=False)
WITH_PRIORS = StudyPlan(
    priors_used=(used_prior(1), used_prior(2)),
    priors_dropped=(DroppedPrior(study_instance_uid="2.25.9", reason="The lungs did not overlap."),),
    gone_lesions=(
        GoneLesion(
            tracking_uid="2.25.77",
            tracking_id="Lesion 0077",
            kind=LesionKind.CONSOLIDATION,
            side=Side.LEFT,
            prior_volume_ml=3.2,
        ),
    ),
)
STUDIES = {
    "first study": StudyPlan(),
    "no finding": NO_FINDING,
    "feet first": StudyPlan(layout=FEET_FIRST),
    "follow-up": WITH_PRIORS,
}
