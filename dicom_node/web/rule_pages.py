"""Rules: what holds, what others would do to a received study, saving them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse

from config.errors import ConfigError
from config.load import document_from_text, read_text
from config.rules import RuleSettings
from dicom_node.audit.deliveries import study_from
from dicom_node.configuring import Configuration
from dicom_node.configuring.blocks import text_of_blocks
from dicom_node.configuring.errors import ConfiguringError
from dicom_node.configuring.file import sha256_of_text
from dicom_node.rules_candidate import TABLE, settings_with_rules
from dicom_node.rules_report import RulesTest, misfit_in_words, rule_in_words, tested
from dicom_node.web.audit_hook import Deed
from dicom_node.web.door import Changing, Looking, Visitor, record, require_own_form
from dicom_node.web.rendering import render
from dicom_node.web.site import Site, site_of
from storage.errors import UnknownStudyError

router = APIRouter()

_LONGEST_TEXT = 100_000
_NAME = "the rules"
_LOGIN_TO_TRY = (
    "Not tried: log in to try rules that ask for body part, descriptions or kernel, as long as they are not in force. Their "
    "answers say what the images of a patient say."
)

RulesText = Annotated[str, Form(max_length=_LONGEST_TEXT)]
StudyUid = Annotated[str, Form(max_length=64)]
Digest = Annotated[str, Form(max_length=64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Rules as they stand in the form, and what came of them."""

    text: str
    study: str = ""
    sha256: str = ""
    """Of the file that the text was made from."""
    problems: tuple[str, ...] = ()
    outcome: RulesTest | None = None
    said: str = ""
    """What was done, in words."""


@router.get("/rules")
def show_rules(request: Request, visitor: Looking, study: str = "") -> HTMLResponse:
    """The rules that hold; with a study, what they say about it."""
    record(request, visitor, Deed.RULES_SEEN)
    text, sha256 = _text_of(site_of(request))
    draft = Draft(text=text, sha256=sha256, study=study.strip()[:64])
    return _page(request, visitor, _tried(request, visitor, draft) if draft.study else draft)


@router.post("/rules/try")
def try_rules(
    request: Request,
    visitor: Looking,
    study: StudyUid = "",
    text: RulesText = "",
    sha256: Digest = "",
    form_token: Annotated[str, Form()] = "",
) -> HTMLResponse:
    """What other rules would do to a study; nothing is changed."""
    require_own_form(visitor, form_token)
    draft = Draft(text=text, sha256=sha256, study=study.strip())
    return _page(request, visitor, _tried(request, visitor, draft))


@router.post("/rules/save")
def save_rules(
    request: Request, visitor: Changing, study: StudyUid = "", text: RulesText = "", sha256: Digest = ""
) -> HTMLResponse:
    """Put the rules into the configuration file."""
    site = site_of(request)
    draft = Draft(text=text, sha256=sha256, study=study.strip())
    try:
        settings_with_rules(_document(site), text, name=_NAME)
        edit = Configuration(site.file.path, clock=site.clock).replace_blocks(
            TABLE, text, by=visitor.name or "visitor", expected_sha256=sha256
        )
    except ConfigError as error:
        problems = tuple(str(problem) for problem in error.problems)
    except ConfiguringError as error:
        problems = (str(error),)
    else:
        record(request, visitor, Deed.RULES_CHANGED, words=f"version {edit.version}" if edit.version else "")
        return _page(request, visitor, _saved(site, study=draft.study, version=edit.version))
    record(request, visitor, Deed.RULES_CHANGED, words="not saved", is_success=False)
    return _page(request, visitor, Draft(text=text, sha256=sha256, study=draft.study, problems=problems))


def _saved(site: Site, *, study: str, version: int) -> Draft:
    said = "Nothing changed: the file says so already."
    if version:
        said = f"Saved. To undo it: dicom-node config restore {version - 1}"
    text, sha256 = _text_of(site)
    return Draft(text=text, sha256=sha256, study=study, said=said)


def _tried(request: Request, visitor: Visitor, draft: Draft) -> Draft:
    """The draft with what its rules would do to its study, or why that cannot be said."""
    site = site_of(request)
    values: dict[str, Any] = {"text": draft.text, "sha256": draft.sha256, "study": draft.study}
    try:
        settings = settings_with_rules(_document(site), draft.text, name=_NAME)
        if not draft.study:
            return Draft(**values, said="The rules have no mistake. Name a study to see what they do to it.")
        # The images are those of this node, whatever a file says that changed meanwhile.
        if not visitor.is_known and _asks_for_other_text(settings.rule, site.settings.rule):
            return Draft(**values, problems=(_LOGIN_TO_TRY,))
        outcome = tested(settings.model_copy(update={"node": site.settings.node}), site.index, draft.study)
    except ConfigError as error:
        return Draft(**values, problems=tuple(str(problem) for problem in error.problems))
    except UnknownStudyError as error:
        return Draft(**values, problems=(str(error),))
    view = site.index.study(draft.study)
    record(request, visitor, Deed.STUDY_SEEN, study=study_from(view, draft.study), words="rules tried on it")
    return Draft(**values, outcome=outcome)


def _asks_for_other_text(typed: Sequence[RuleSettings], in_force: Sequence[RuleSettings]) -> bool:
    """Whether one could guess with these rules, letter by letter, what is hidden from who is not logged in."""
    known = [rule.match for rule in in_force]
    return any(rule.match.reads_text and rule.match not in known for rule in typed)


def _document(site: Site) -> dict[str, Any]:
    """The configuration as it is, as tables."""
    if site.file.path is None:
        return {}
    return document_from_text(read_text(site.file.path), name=str(site.file.path))


def _text_of(site: Site) -> tuple[str, str]:
    """The rules of the file with their comments, and the SHA-256 of the file."""
    if site.file.path is None:
        return "", ""
    try:
        text = read_text(site.file.path)
    except ConfigError:
        return "", ""
    return text_of_blocks(text, TABLE), sha256_of_text(text)


def _page(request: Request, visitor: Visitor, draft: Draft) -> HTMLResponse:
    site = site_of(request)
    return render(
        request,
        visitor,
        "rules.html",
        rules=site.settings.rule,
        in_words=rule_in_words,
        misfit=lambda one: misfit_in_words(one, with_text=visitor.is_known),
        draft=draft,
        has_file=site.file.path is not None,
        may_save=visitor.may_change and site.file.path is not None,
    )
