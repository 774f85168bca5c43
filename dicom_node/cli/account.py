"""The commands of the group `account`: who may log in to the pages."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dicom_node.cli.auditing import Attempt, attempt_to_change, note_change
from dicom_node.cli.context import settings_of
from dicom_node.cli.output import console, print_table, table_of
from storage.account_records import AccountRole

if TYPE_CHECKING:
    from storage.accounts import AccountBook

app = typer.Typer(help="Say who may log in to the pages.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="What the person types to log in.")]


@app.command("list")
def list_accounts(context: typer.Context) -> None:
    """List the accounts."""
    table = table_of("name", "role", "made", "last login")
    for account in _book(context).accounts():
        last = f"{account.logged_in_at:%Y-%m-%d %H:%M} UTC" if account.logged_in_at else "never"
        table.add_row(escape(account.name), account.role, f"{account.created_at:%Y-%m-%d %H:%M} UTC", last)
    print_table(table)


@app.command()
def add(
    context: typer.Context,
    name: _Name,
    role: Annotated[AccountRole, typer.Option(help="What it may do.")] = AccountRole.VIEWER,
) -> None:
    """Make an account.

    Asks for its password; from a pipe it is the first line.
    """
    if not name.strip() or len(name) > 64 or not name.isprintable():
        message = "must have 1 to 64 printable characters"
        raise typer.BadParameter(message, param_hint="NAME")
    with _attempt(context, f"account {name} as {role}"):
        _book(context).add(name, role, password_hash=_asked_hash(context))
    _note(context, f"account {name} added as {role}")
    console().print(f"{name} may log in as {role}", markup=False)


@app.command()
def password(context: typer.Context, name: _Name) -> None:
    """Give an account another password; where it is logged in, it no longer is."""
    with _attempt(context, f"password of account {name}"):
        _book(context).set_password(name, password_hash=_asked_hash(context))
    _note(context, f"password of account {name} changed")
    console().print(f"the password of {name} is changed", markup=False)


@app.command()
def remove(context: typer.Context, name: _Name) -> None:
    """Remove an account; where it is logged in, it no longer is."""
    with _attempt(context, f"account {name}"):
        _book(context).remove(name)
    _note(context, f"account {name} removed")
    console().print(f"{name} may no longer log in", markup=False)


def _attempt(context: typer.Context, subject: str) -> Attempt:
    from dicom_node.audit.events import AlertKind

    return attempt_to_change(context, AlertKind.USER_SECURITY, subject)


def _note(context: typer.Context, subject: str) -> None:
    from dicom_node.audit.events import AlertKind

    note_change(context, AlertKind.USER_SECURITY, subject)


def _asked_hash(context: typer.Context) -> str:
    """The hash of a password that is typed twice, or comes from a pipe."""
    from dicom_node.clock import SystemClock
    from dicom_node.web.login_rules import Gate, password_problem

    if sys.stdin.isatty():
        typed = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        typed = sys.stdin.readline().rstrip("\n")
    problem = password_problem(typed)
    if problem:
        raise typer.BadParameter(problem, param_hint="password")
    return Gate(_book(context), now=SystemClock().now).hash(typed)


def _book(context: typer.Context) -> "AccountBook":
    """The accounts of the node that the configuration names."""
    from dicom_node.clock import SystemClock
    from dicom_node.index import open_index_engine
    from storage.accounts import AccountBook

    return AccountBook(open_index_engine(settings_of(context)), now=SystemClock().now)
