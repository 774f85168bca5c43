"""Studies: the list, one study, what an operator does to it."""

import hashlib
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from dicom_node.audit.deliveries import study_from
from dicom_node.destinations import destination_of
from dicom_node.retrieve.waiting import fetches_in_lines
from dicom_node.rules_decision import destinations_of_study
from dicom_node.web.audit_hook import Deed
from dicom_node.web.door import Changing, Looking, Visitor, record, record_search
from dicom_node.web.findings import file_of_kind, findings_of
from dicom_node.web.limits import TooLargeError
from dicom_node.web.rendering import is_for_part, render
from dicom_node.web.site import Site, site_of
from dicom_node.web.slices import WINDOWS_HU, Slice
from dicom_node.web.trend import trend_of
from dicom_node.web.words import (
    STANDING_WORDS,
    STATE_WORDS,
    colour_of,
    colour_of_view,
    operator_in_words,
    shown_patient,
    shown_text,
    steps_of,
)
from pipeline.errors import PipelineError
from storage.errors import IllegalTransitionError, NothingToSendError
from storage.lifecycle import TRANSITIONS, Event, State
from storage.records import ResultSet, StudyView
from storage.study_lists import StudyQuery, place_from_text

router = APIRouter()

_LONGEST_SEARCH = 64
_DEEDS = {
    "complete": Event.COMPLETED_BY_OPERATOR,
    "retry": Event.RETRIED,
    "discard": Event.DISCARDED,
    "resend": Event.RESENT,
}


@router.get("/studies")
def list_studies(request: Request, visitor: Looking, text: str = "", state: str = "", after: str = "") -> HTMLResponse:
    """The list, or with htmx the part of it that changes."""
    site = site_of(request)
    wanted = (State(state),) if state in set(State) else ()
    text = text.strip()[:_LONGEST_SEARCH]
    query = StudyQuery(
        states=wanted, text=text, searches_patients=visitor.is_known, after=place_from_text(after), limit=50
    )
    page = site.lists.page(query)
    now = site.clock.now()
    rows = [
        {
            "line": line,
            "patient": shown_patient(visitor, line.patient, line.demographics),
            "description": shown_text(visitor, line.description),
            "accession_number": shown_text(visitor, line.accession_number),
            "steps": steps_of(line),
            "colour": colour_of(line),
            "standing": STANDING_WORDS[line.standing],
            "for": now - line.state_since,
        }
        for line in page.lines
    ]
    kept = {"text": text, "state": state if wanted else ""}
    following = urlencode(kept | {"after": str(page.next_place)}) if page.next_place else ""
    record_search(request, visitor, text)
    return render(
        request,
        visitor,
        "studies_part.html" if is_for_part(request) else "studies.html",
        rows=rows,
        counts=site.index.counts_by_state(),
        states=STATE_WORDS,
        query=kept,
        is_first=not after,
        following=following,
    )


@router.get("/studies/{uid}")
def show_study(request: Request, visitor: Looking, uid: str) -> HTMLResponse:
    """Everything about one study."""
    return _page(request, visitor, uid)


def _page(request: Request, visitor: Visitor, uid: str, *, problem: str = "") -> HTMLResponse:
    """The page of a study, with why the last thing that was asked for was not done."""
    view, site = _study(site_of(request), uid), site_of(request)
    findings = findings_of(view.result)
    record(request, visitor, Deed.STUDY_SEEN, study=study_from(view, uid))
    return render(
        request,
        visitor,
        "study.html",
        view=view,
        colour=colour_of_view(view),
        problem=problem,
        patient=shown_patient(visitor, view.patient, view.demographics),
        description=shown_text(visitor, view.description),
        accession_number=shown_text(visitor, view.accession_number),
        findings=findings,
        trend=trend_of(site, view, findings) if findings else None,
        fetches=fetches_in_lines(view.prior_fetches),
        may={name: _may(site, view, name) for name in _DEEDS},
    )


@router.post("/studies/{uid}/{deed}")
def change_study(
    request: Request, visitor: Changing, uid: str, deed: str, reason: Annotated[str, Form()] = ""
) -> Response:
    """What an operator asks for; the same as the commands of `dicom-node study`."""
    site = site_of(request)
    view = _study(site, uid)
    if deed not in _DEEDS:
        raise HTTPException(404)
    reason = " ".join(reason.split())[:200]
    if deed == "discard" and not reason:
        return _page(request, visitor, uid, problem="Not discarded: say why the study is discarded.")
    try:
        _do(site, uid, deed, why=operator_in_words(visitor, reason))
    except (IllegalTransitionError, NothingToSendError) as error:
        record(request, visitor, Deed.STUDY_CHANGED, study=study_from(view, uid), words=deed, is_success=False)
        return _page(request, visitor, uid, problem=_why_not(error))
    record(request, visitor, Deed.STUDY_CHANGED, study=study_from(view, uid), words=deed)
    return RedirectResponse(f"/studies/{uid}", status_code=303)


@router.get("/studies/{uid}/revisions/{revision}/contours.json")
def show_contours(request: Request, visitor: Looking, uid: str, revision: int) -> Response:
    """Where the lesions are."""
    view = _study(site_of(request), uid)
    path = file_of_kind(_result(view, revision), "masks")
    if path is None:
        raise HTTPException(404)
    record(request, visitor, Deed.IMAGE_SEEN, study=study_from(view, uid))
    try:
        return Response(site_of(request).slices.contours(path), media_type="application/json")
    except (OSError, TooLargeError) as error:
        raise HTTPException(404) from error


@router.get("/studies/{uid}/revisions/{revision}/slices/{number}.jpg")
def show_slice(
    request: Request, visitor: Looking, uid: str, revision: int, number: int, window: str = "lung"
) -> Response:
    """One slice, from 0, as the result counts them."""
    site = site_of(request)
    view = _study(site, uid)
    findings = findings_of(_result(view, revision))
    if findings is None or window not in WINDOWS_HU or not 0 <= number < len(findings.sop_instance_uids):
        raise HTTPException(404)
    paths = site.lists.paths_of_series(uid, findings.series.series_instance_uid)
    path = paths.get(findings.sop_instance_uids[number])
    if path is None:
        raise HTTPException(404)
    record(request, visitor, Deed.IMAGE_SEEN, study=study_from(view, uid))
    frame = findings.frame_numbers[number] if findings.frame_numbers else None
    try:
        picture = site.slices.picture(Slice(site.settings.data_dir / path, frame, window))
    except (OSError, TooLargeError, PipelineError) as error:
        raise HTTPException(404) from error
    return _picture(request, picture)


def _result(view: StudyView, revision: int) -> ResultSet:
    """The newest result; a page of another one must not be filled up with its slices and contours."""
    if view.result is None or view.result.revision != revision:
        raise HTTPException(409, "The study has another result by now, or none: load its page again.")
    return view.result


def _picture(request: Request, content: bytes) -> Response:
    """A picture that the browser may keep and must ask about each time, so that it shows none to who may not look."""
    tag = f'"{hashlib.sha256(content).hexdigest()}"'
    headers = {"Cache-Control": "private, no-cache", "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="image/jpeg", headers=headers)


def _study(site: Site, uid: str) -> StudyView:
    view = site.index.study(uid)
    if view is None:
        raise HTTPException(404, "The node has no study with this UID.")
    return view


def _may(site: Site, view: StudyView, deed: str) -> bool:
    """Whether a deed is offered; it may be refused all the same."""
    if (view.state, _DEEDS[deed]) not in TRANSITIONS:
        return False
    if deed != "resend":
        return True
    return view.result is not None and bool(destinations_of_study(site.settings, site.index, view.study_instance_uid))


def _why_not(error: IllegalTransitionError | NothingToSendError) -> str:
    """Why a deed was not done, and what helps."""
    if isinstance(error, IllegalTransitionError):
        return f"Not done: the study went on meanwhile, it is now {STATE_WORDS[State(error.state)]}."
    return f"Not done. {error}"


def _do(site: Site, uid: str, deed: str, *, why: str) -> None:
    if deed == "resend":
        peers = destinations_of_study(site.settings, site.index, uid)
        site.index.resend(uid, destinations=[destination_of(peer) for peer in peers])
    else:
        site.index.apply(uid, _DEEDS[deed], why=why)
