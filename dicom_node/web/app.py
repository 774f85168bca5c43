"""The pages as one application."""

import logging
import secrets
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy import Engine
from starlette.exceptions import HTTPException as StarletteHTTPException

from config.settings import Settings
from dicom_node.clock import Clock
from dicom_node.settings_file import SettingsFile
from dicom_node.watching.endpoints import router_of
from dicom_node.web import login_pages, node_pages, peer_edits, peer_pages, rule_pages, study_pages
from dicom_node.web.audit_hook import Recorder, log_event
from dicom_node.web.door import ForgedRequestError, NotAllowedError, NotLoggedInError, visitor_of
from dicom_node.web.headers import Guard
from dicom_node.web.login_rules import Gate
from dicom_node.web.rendering import build_templates, is_for_part, render
from dicom_node.web.site import Site
from dicom_node.web.slices import SliceShelf, TooManyWaitError
from storage.accounts import AccountBook
from storage.errors import StorageError
from storage.index import Index
from storage.study_lists import StudyLists

logger = logging.getLogger(__name__)

_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


def build_site(file: SettingsFile, engine: Engine, *, clock: Clock, record: Recorder = log_event) -> Site:
    """Everything that the pages of a node need."""
    accounts = AccountBook(engine, now=clock.now)
    return Site(
        file=file,
        started_with=file.current(),
        engine=engine,
        index=Index(engine, now=clock.now),
        lists=StudyLists(engine),
        accounts=accounts,
        gate=Gate(accounts, now=clock.now),
        clock=clock,
        record=record,
        templates=build_templates(),
        slices=SliceShelf(),
        new_token=lambda: secrets.token_urlsafe(32),
    )


def build_app(site: Site) -> FastAPI:
    """The application."""
    app = FastAPI(title="dicom-node", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.site = site
    app.add_middleware(Guard, hosts=_hosts(site.started_with), is_secure=site.is_secure)
    for pages in (login_pages, node_pages, study_pages, peer_pages, peer_edits, rule_pages):
        app.include_router(pages.router)
    app.include_router(router_of(lambda: site.settings, site.engine, clock=site.clock))
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    _add_refusals(app)
    return app


def _hosts(settings: Settings) -> tuple[str, ...]:
    """Names that the pages go by. A page of another site that is resolved to this machine uses another one."""
    web = settings.web
    if web.is_local:
        return (*_LOCAL_NAMES, web.host, *web.names)
    return (*_LOCAL_NAMES, web.host, *web.names) if web.names else ()


def _add_refusals(app: FastAPI) -> None:
    app.add_exception_handler(NotLoggedInError, _to_login)
    app.add_exception_handler(NotAllowedError, _refusal(HTTPStatus.FORBIDDEN))
    app.add_exception_handler(ForgedRequestError, _refusal(HTTPStatus.FORBIDDEN))
    app.add_exception_handler(RequestValidationError, _refusal(HTTPStatus.BAD_REQUEST))
    app.add_exception_handler(StarletteHTTPException, _http_refusal)
    app.add_exception_handler(StorageError, _no_index)
    app.add_exception_handler(TooManyWaitError, _too_many_wait)


def _to_login(request: Request, _: Exception) -> Response:
    then = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    target = f"/login?{urlencode({'then': then if request.method == 'GET' else '/'})}"
    if is_for_part(request):
        return Response(status_code=401, headers={"HX-Redirect": target})
    return RedirectResponse(target, status_code=303)


def _refusal(status: HTTPStatus) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        words = (type(error).__doc__ or "") if isinstance(error, NotAllowedError | ForgedRequestError) else ""
        return _error_page(request, status, words)

    return answer


def _http_refusal(request: Request, error: Exception) -> Response:
    status = HTTPStatus(error.status_code) if isinstance(error, StarletteHTTPException) else HTTPStatus.BAD_REQUEST
    words = str(error.detail) if isinstance(error, HTTPException) else ""
    if status is HTTPStatus.NOT_FOUND and words in {"", status.phrase}:
        words = "There is no such page."
    return _error_page(request, status, words)


def _no_index(_: Request, error: Exception) -> Response:
    """In plain text: to know who asks, and so what to show them, takes the index."""
    logger.error("a page could not be made", exc_info=error)
    return PlainTextResponse(f"The node cannot answer now. {error}\n", status_code=503, headers={"Retry-After": "10"})


def _too_many_wait(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{type(error).__doc__}\n", status_code=503, headers={"Retry-After": "1"})


def _error_page(request: Request, status: HTTPStatus, words: str) -> HTMLResponse:
    return render(request, visitor_of(request), "refusal.html", status_code=status, title=status.phrase, words=words)
