"""Pages from templates.

A form that was filled in wrongly comes back by status 200, with what is wrong in an element of the role `alert` beside what
was typed: people read it there, while a status from 400 on is an error in the console of their browser. Those are for what
no form of ours leads to, for who may not, for what is not there, and for who guesses passwords.
"""

from datetime import datetime
from functools import partial
from importlib.metadata import version

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from dicom_node.commitment.words import commitment_in_words
from dicom_node.destinations import class_name, role_in_words
from dicom_node.web import words
from dicom_node.web.door import Visitor, cookie_name
from dicom_node.web.site import Site, site_of
from dicom_node.wording import lungs_in_words, missing_in_words, percent_in_words, readable_size


def build_templates() -> Environment:
    """The templates of the package; every value is escaped, a missing one is an error."""
    made = Environment(
        loader=PackageLoader("dicom_node.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "instant": words.instant,
        "acquired": words.acquired,
        "span": words.span,
        "where": words.where,
        "size": readable_size,
        "class_name": class_name,
        "role": role_in_words,
        "state": lambda state: words.STATE_WORDS[state],
        "colour": lambda state: words.COLOUR_OF_STATE[state],
        "percent": percent_in_words,
        "lungs": lungs_in_words,
        "missing": missing_in_words,
        "spaced": lambda word: str(word).replace("_", " "),
    }
    made.globals |= {"commitment_in_words": commitment_in_words, "version": version("dicom-node")}
    return made


def render(
    request: Request, visitor: Visitor, template: str, *, status_code: int = 200, **content: object
) -> HTMLResponse:
    """A page for a visitor; their browser gets its cookie with it."""
    site = site_of(request)
    text = site.templates.get_template(template).render(
        visitor=visitor,
        why=partial(words.shown_why, visitor),
        node=site.settings.node,
        asks_login=site.started_with.web.login,
        path=request.url.path,
        zone=datetime.now().astimezone().tzname(),
        **content,
    )
    answer = HTMLResponse(text, status_code=status_code)
    if visitor.is_new:
        put_cookie(site, answer, visitor.token)
    return answer


def put_cookie(site: Site, answer: Response, token: str) -> None:
    """Give a browser its token; no script and no other site can use it."""
    answer.set_cookie(cookie_name(site), token, httponly=True, samesite="strict", secure=site.is_secure, path="/")


def is_for_part(request: Request) -> bool:
    """Whether htmx puts the answer into a page.

    A step back to a page that it has no copy of becomes the whole page (htmx.org/docs/#history).
    """
    return "hx-request" in request.headers and "hx-history-restore-request" not in request.headers
