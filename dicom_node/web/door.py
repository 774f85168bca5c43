"""Who looks at a page, and whether they may: sessions, roles, forged requests."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Form, Header, Request

from dicom_node.audit.events import AuditedStudy
from dicom_node.web.audit_hook import Deed, WebEvent
from dicom_node.web.site import Site, site_of
from storage.account_records import AccountRole


class NotLoggedInError(Exception):
    """Nobody is logged in; the login page follows."""


class NotAllowedError(Exception):
    """Your account may look, and change nothing; an administrator may."""


class ForgedRequestError(Exception):
    """The form was not one of these pages, or it is too old: load the page again, then repeat what you did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who looks."""

    name: str
    """Of the account; empty for somebody at this machine who is not logged in."""
    role: AccountRole
    token: str
    """In the cookie of the browser."""
    is_new: bool
    """Whether the browser has no cookie yet."""
    address: str

    @property
    def is_known(self) -> bool:
        """Whether they are logged in; only then patients are shown."""
        return bool(self.name)

    @property
    def may_change(self) -> bool:
        """Whether they may do more than look."""
        return self.role is AccountRole.ADMINISTRATOR

    @property
    def form_token(self) -> str:
        """What every form must carry: only a page of ours can know it, since no script reads the cookie."""
        return hmac.new(self.token.encode(), b"form", hashlib.sha256).hexdigest()


def cookie_name(site: Site) -> str:
    """With TLS one that no other host can set (RFC 6265bis 4.1.3.2)."""
    return "__Host-dicom-node" if site.is_secure else "dicom-node"


def sha256_of_token(token: str) -> str:
    """What the index keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def address_of(request: Request) -> str:
    """Where the browser is."""
    return request.client.host if request.client else ""


def visitor_of(request: Request) -> Visitor:
    """Who sent a request, logged in or not; nobody is turned away here."""
    site = site_of(request)
    token = request.cookies.get(cookie_name(site), "")
    web = site.started_with.web
    session = None
    if token:
        idle, lifetime = timedelta(seconds=web.session_idle_s), timedelta(seconds=web.session_lifetime_s)
        session = site.accounts.session(sha256_of_token(token), idle=idle, lifetime=lifetime)
    return Visitor(
        name=session.name if session else "",
        role=session.role if session else _role_of_strangers(site),
        token=token or site.new_token(),
        is_new=not token,
        address=address_of(request),
    )


def _role_of_strangers(site: Site) -> AccountRole:
    """Where no login is asked for, whoever sits at this machine administers it."""
    return AccountRole.VIEWER if site.started_with.web.login else AccountRole.ADMINISTRATOR


def let_look(request: Request) -> Visitor:
    """The visitor of a page.

    Raises:
        NotLoggedInError: Login is asked for, and they are not logged in.
    """
    visitor = visitor_of(request)
    if site_of(request).started_with.web.login and not visitor.is_known:
        raise NotLoggedInError
    return visitor


def let_change(
    request: Request, form_token: Annotated[str, Form()] = "", x_form_token: Annotated[str, Header()] = ""
) -> Visitor:
    """The visitor who sent a form that changes something.

    Raises:
        NotLoggedInError: Login is asked for, and they are not logged in.
        ForgedRequestError: Another site made their browser send it.
        NotAllowedError: They may only look.
    """
    visitor = let_look(request)
    require_own_form(visitor, form_token or x_form_token)
    if not visitor.may_change:
        record(request, visitor, Deed.REFUSED, words=request.url.path, is_success=False)
        raise NotAllowedError
    return visitor


def require_own_form(visitor: Visitor, form_token: str) -> None:
    """Return if a page of ours sent the form.

    Raises:
        ForgedRequestError: It did not.
    """
    if visitor.is_new or not hmac.compare_digest(form_token.encode(), visitor.form_token.encode()):
        raise ForgedRequestError


def record(
    request: Request,
    visitor: Visitor,
    deed: Deed,
    *,
    study: AuditedStudy | None = None,
    words: str = "",
    is_success: bool = True,
) -> None:
    """Tell the audit trail what a visitor saw or did."""
    event = WebEvent(
        deed=deed,
        by=visitor.name,
        address=visitor.address,
        study=study,
        words=words,
        is_success=is_success,
    )
    site_of(request).record(event)


def record_search(request: Request, visitor: Visitor, query: str) -> None:
    """Tell the audit trail what a visitor looked for."""
    event = WebEvent(deed=Deed.STUDIES_SEEN, by=visitor.name, address=visitor.address, query=query)
    site_of(request).record(event)


Looking = Annotated[Visitor, Depends(let_look)]
Changing = Annotated[Visitor, Depends(let_change)]
