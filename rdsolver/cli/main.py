"""The command line: its app, its errors, and the commands that belong to it.

Each command reads its input, calls the library and prints the result. Nothing heavy is imported before it is
needed, so that help and errors appear at once.
"""

from __future__ import annotations

import signal
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ..errors import RdsolverError, RunError
from .app import App
from .info import example, info, params, schema
from .plot import export, movie, plot, report
from .run import check, resume_command, run
from .studies import sensitivity, validate, verify
from .sweep import sweeps


class Commands(TyperGroup):
    """A group of commands that prints rdsolver's own errors as a paragraph on stderr and exits with their
    status.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except RdsolverError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(error.exit_status) from None
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(128 + signal.SIGINT) from None
        except (ValueError, ImportError) as error:
            from ..parallel.device import refused

            if (told := refused(error)) is None:
                raise
            typer.echo(str(told), err=True)
            raise typer.Exit(told.exit_status) from None
        except MemoryError as error:
            typer.echo(
                f"There is not enough memory for this: {error or 'no array named'}. Use a smaller section or"
                " image.",
                err=True,
            )
            raise typer.Exit(RunError.exit_status) from None


app = App(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Simulate how RANKL, OPG and RANK-Fc diffuse and react in bone, how osteoclasts respond, and how bone"
        " is lost or gained. Start with: rdsolver example"
    ),
)


def _version(wanted: bool) -> None:
    if wanted:
        from .._version import __version__

        typer.echo(f"rdsolver {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


app.command()(run)
app.command("resume")(resume_command)
for command in (
    check,
    schema,
    params,
    info,
    plot,
    export,
    movie,
    report,
    verify,
    validate,
    sensitivity,
    example,
):
    app.command()(command)
app.add_typer(sweeps, name="sweep")


def main() -> None:
    app()
