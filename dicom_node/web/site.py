"""What every page needs: settings, index, accounts, templates."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request
from jinja2 import Environment
from sqlalchemy import Engine

from config.settings import Settings
from dicom_node.clock import Clock
from dicom_node.settings_file import SettingsFile
from dicom_node.web.audit_hook import Recorder
from dicom_node.web.login_rules import Gate
from dicom_node.web.slices import SliceShelf
from storage.accounts import AccountBook
from storage.index import Index
from storage.study_lists import StudyLists


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The pages of one node."""

    file: SettingsFile
    started_with: Settings
    """Address and rules of login hold until the process is started anew."""
    engine: Engine
    index: Index
    lists: StudyLists
    accounts: AccountBook
    gate: Gate
    clock: Clock
    record: Recorder
    templates: Environment
    slices: SliceShelf
    new_token: Callable[[], str]

    @property
    def settings(self) -> Settings:
        """As the file has them now."""
        return self.file.current()

    @property
    def is_secure(self) -> bool:
        """Whether the pages are served by TLS."""
        return self.started_with.web.certificate is not None


def site_of(request: Request) -> Site:
    """The site that a request came to."""
    site: Site = request.app.state.site
    return site
