"""How the lungs of a patient were over time, as a plot."""

from dataclasses import dataclass
from datetime import datetime

from dicom_node.priors import contradiction
from dicom_node.web.findings import ShownFindings, findings_of
from dicom_node.web.site import Site
from storage.records import StudyView

WIDTH, HEIGHT = 640, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 24, 20, 32
_MOST = 12
_FARTHEST_DAYS = 3650.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendPoint:
    """One study of the patient."""

    study_instance_uid: str
    acquired_at: datetime
    involvement_percent: float
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Involvement of the lungs in percent over time, oldest first."""

    points: tuple[TrendPoint, ...]
    top_percent: float
    line: str
    """Of an SVG polyline."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    base: int = HEIGHT - _BOTTOM


def trend_of(site: Site, view: StudyView, findings: ShownFindings) -> Trend | None:
    """The studies up to this one that have findings; None where there is nothing to compare."""
    if view.acquired_at is None:
        return None
    seen = {view.study_instance_uid: (view.acquired_at, findings.involvement_percent)}
    for prior in findings.priors_used:
        if prior.involvement_percent is not None:
            seen[prior.study_instance_uid] = (prior.acquired_at, prior.involvement_percent)
    for candidate in site.index.prior_candidates(view.study_instance_uid, maximum_age_days=_FARTHEST_DAYS)[:_MOST]:
        is_other = not candidate.is_confirmed and contradiction(view.demographics, candidate.demographics)
        uid = candidate.study_instance_uid
        earlier = None if is_other or uid in seen else findings_of(site.index.latest_result(uid))
        if earlier is not None:
            seen[uid] = (candidate.acquired_at, earlier.involvement_percent)
    return _plotted(seen) if len(seen) > 1 else None


def _plotted(seen: dict[str, tuple[datetime, float]]) -> Trend:
    ordered = sorted(seen.items(), key=lambda item: item[1][0])
    first, last = ordered[0][1][0], ordered[-1][1][0]
    span_s = max((last - first).total_seconds(), 1.0)
    top = _top(max(percent for _, percent in seen.values()))
    points = tuple(
        TrendPoint(
            study_instance_uid=uid,
            acquired_at=at,
            involvement_percent=percent,
            x=round(_LEFT + (WIDTH - _LEFT - _RIGHT) * (at - first).total_seconds() / span_s, 1),
            y=round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * percent / top, 1),
        )
        for uid, (at, percent) in ordered
    )
    return Trend(points=points, top_percent=top, line=" ".join(f"{point.x},{point.y}" for point in points))


def _top(percent: float) -> float:
    """The next round number above."""
    return next((top for top in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0) if percent <= top), 100.0)
