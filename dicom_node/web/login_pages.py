"""Logging in and out."""

from dataclasses import replace
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from dicom_node.web.audit_hook import Deed
from dicom_node.web.door import record, require_own_form, sha256_of_token, visitor_of
from dicom_node.web.rendering import put_cookie, render
from dicom_node.web.site import site_of
from dicom_node.web.words import span

router = APIRouter()

_REFUSED = "Name or password is wrong."


@router.get("/login")
def login_page(request: Request, then: str = "/") -> HTMLResponse:
    """The form."""
    return render(request, visitor_of(request), "login.html", then=_own_path(then), problem="")


@router.post("/login")
def log_in(
    request: Request,
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    form_token: Annotated[str, Form()] = "",
    then: Annotated[str, Form()] = "/",
) -> Response:
    """Let in who knows the password; the browser gets a token that nobody knew before."""
    visitor, site = visitor_of(request), site_of(request)
    require_own_form(visitor, form_token)
    wait = site.gate.wait(name, visitor.address)
    if wait:
        problem = f"Too many wrong passwords: try again in {span(wait)}."
    elif site.gate.lets_in(name, password, visitor.address):
        return _logged_in(request, name, _own_path(then))
    else:
        problem = _REFUSED
    record(request, visitor, Deed.LOGIN_REFUSED, is_success=False)
    status = 429 if wait else 200
    return render(request, visitor, "login.html", status_code=status, then=_own_path(then), problem=problem)


@router.post("/logout")
def log_out(request: Request, form_token: Annotated[str, Form()] = "") -> Response:
    """End the session."""
    visitor, site = visitor_of(request), site_of(request)
    require_own_form(visitor, form_token)
    site.accounts.end_session(sha256_of_token(visitor.token))
    record(request, visitor, Deed.LOGGED_OUT)
    answer = RedirectResponse("/", status_code=303)
    put_cookie(site, answer, site.new_token())
    return answer


def _logged_in(request: Request, name: str, then: str) -> Response:
    site = site_of(request)
    token = site.new_token()
    site.accounts.end_session(sha256_of_token(visitor_of(request).token))
    site.accounts.open_session(name, token_sha256=sha256_of_token(token))
    answer = RedirectResponse(then, status_code=303)
    put_cookie(site, answer, token)
    # By the cookie of the request nobody is logged in yet.
    record(request, replace(visitor_of(request), name=name), Deed.LOGGED_IN)
    return answer


def _own_path(then: str) -> str:
    """A path of these pages, never another site; that of the first page where it is none."""
    try:
        parts = urlsplit(then)
    except ValueError:
        return "/"
    is_own = then.startswith("/") and not then.startswith(("//", "/\\")) and not (parts.scheme or parts.netloc)
    return then if is_own and "\\" not in then else "/"
