"""The command `init`."""

import inspect
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from config.errors import ConfigError, Problem
from config.load import DEFAULT_PATH, configuration_file, settings_from_text
from config.names import port_from
from dicom_node.cli.configuring import print_lines
from dicom_node.cli.context import configuration_path

_ANY_ADDRESS = ("127.0.0.1", 11112)


@dataclass(frozen=True, slots=True, kw_only=True)
class InitAnswers:
    """The questions and their answers."""

    context: typer.Context
    ae_title: Annotated[str, typer.Option(prompt="AE title of this node")] = "DICOMNODE"
    data_dir: Annotated[str, typer.Option(prompt="Folder for images, index and results")] = "/var/lib/dicom-node"
    listen: Annotated[str, typer.Option(prompt="Address and port to listen on")] = "0.0.0.0:11112"
    pacs: Annotated[str, typer.Option(prompt="AE title of the PACS that sends studies and gets the results")] = "PACS"
    pacs_address: Annotated[str, typer.Option(prompt="Its address and port, HOST:PORT")] = ""
    pages: Annotated[
        bool, typer.Option("--pages/--no-pages", prompt="Serve pages, with a login, to browsers on this machine")
    ] = True


class AskingCommand(TyperCommand):
    """A command that asks for the options that are not given."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As ever; where nobody is there to answer it says so.

        Raises:
            BadParameter: What is piped in ended before the questions did.
        """
        try:
            return super().parse_args(ctx, args)
        except typer.Abort:
            if sys.stdin.isatty():
                raise
            reason = f"an answer is missing and there is no terminal to ask at: give it as an option, see `{ctx.command_path} --help`"
            raise typer.BadParameter(reason, ctx) from None


def init(**answers: Any) -> None:
    """Write a configuration file that works: six questions, or the same as options.

    Every problem is reported, and nothing is written then; a file that is there is never overwritten.
    """
    from dicom_node.configuring.file import replace_text

    given = InitAnswers(**answers)
    path = configuration_file(configuration_path(given.context)) or DEFAULT_PATH
    if path.exists():
        problem = f"{path} is there already: `dicom-node ae add` and an editor change it"
        raise typer.BadParameter(problem, param_hint="--config")
    text = _checked_text(given, name=str(path))
    replace_text(path, text)
    web = settings_from_text(text, name=str(path)).web
    print_lines([f"{path} written; next: dicom-node check, then start the node", _to_type(given)])
    if web.enabled:
        add = "dicom-node account add NAME --role administrator"
        print_lines([f"for the pages, at http://{web.host}:{web.port}/ once it runs: {add}"])


# Typer reads the options from here: they are one record, because they are more than a function has room for.
init.__signature__ = inspect.signature(InitAnswers)  # type: ignore[attr-defined]


def _checked_text(given: InitAnswers, *, name: str) -> str:
    """The configuration.

    Raises:
        ConfigError: With every problem of the answers.
    """
    text = _text(given)
    answers = {"--listen": given.listen, "--pacs-address": given.pacs_address}
    problems = [
        Problem(key=option, problem="write HOST:PORT", value=answer)
        for option, answer in answers.items()
        if _split(answer) is None
    ]
    try:
        settings_from_text(text, name=name)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return text


def _text(given: InitAnswers) -> str:
    """The configuration; in the place of an address that is none stands one without a problem."""
    from dicom_node.configuring.blocks import block_from

    host, port = _split(given.listen) or _ANY_ADDRESS
    pacs_host, pacs_port = _split(given.pacs_address) or _ANY_ADDRESS
    peer = {"name": "pacs", "ae_title": given.pacs, "host": pacs_host, "port": pacs_port}
    tables = [
        "# Every key is explained in docs/configuration.md; what is not written keeps its default.\n",
        _table("node", {"ae_title": given.ae_title, "data_dir": given.data_dir}),
        _table("listen", {"host": host, "port": port}),
        *([_table("web", {"enabled": True, "login": True})] if given.pages else []),
        block_from("peers", peer | {"may_send": True, "receives_results": True}),
    ]
    return "\n".join(tables)


def _to_type(given: InitAnswers) -> str:
    port = given.listen.rpartition(":")[2]
    return f"type into the PACS: AE title {given.ae_title}, port {port}, the address of this machine"


def _split(address: str) -> tuple[str, int] | None:
    """Host and port; None where it is not written so."""
    host, _, text = address.rpartition(":")
    port = port_from(text)
    return (host.removeprefix("[").removesuffix("]"), port) if host and port is not None else None


def _table(name: str, values: dict[str, str | int]) -> str:
    import tomlkit

    return f"[{name}]\n{tomlkit.dumps(values)}"
