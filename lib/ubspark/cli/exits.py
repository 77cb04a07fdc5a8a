"""How a command ends: an exit code and, where it failed, one sentence on stderr."""

import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from ubspark.cli.output import STOPPED, print_error
from ubspark.errors import TransientError, UbsparkError

__all__ = ["run_command"]

_USAGE = 2


def run_command(command: Callable[[], int | None]) -> NoReturn:
    """Call a command and leave the process with its exit code."""
    warnings.showwarning = _print_warning
    # Without a handler the root logger makes one that prints py4j's stack traces.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        code = command()
        sys.stdout.flush()
    except UbsparkError as error:
        print_error(str(error))
        code = error.exit_code
    except typer.Exit as error:
        code = error.exit_code
    except typer.TyperException as error:
        print_error(_describe_usage(error))
        code = _USAGE
    except (KeyboardInterrupt, typer.Abort) as error:
        print_error(str(error) or "Stopped.")
        code = STOPPED
    except BrokenPipeError:
        code = _leave_pipe()
    # Whatever else it is, a stack trace helps nobody who did not ask for it.
    except Exception as error:
        if os.environ.get("UBSPARK_TRACEBACK"):
            traceback.print_exception(error)
        first = str(error).strip().partition("\n")[0].rstrip(".") or "no message"
        print_error(
            f"The command failed ({type(error).__name__}: {first}). "
            f"Set UBSPARK_TRACEBACK=1 to see where."
        )
        code = (TransientError if isinstance(error, OSError) else UbsparkError).exit_code
    sys.exit(code or 0)


def _leave_pipe() -> int:
    """Return the code of a command whose reader, such as `head`, has enough; it ends silently.

    SIGPIPE itself stays ignored: it would also end a run whose connection to Java breaks, and leave
    its record open.
    """
    # The interpreter flushes what is left when it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def _describe_usage(error: typer.TyperException) -> str:
    message = error.format_message().strip().partition("\n")[0]
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "ubspark"
    stop = "" if message.endswith((".", "?")) else "."
    return f"{message}{stop} `{path} --help` shows what there is."


def _print_warning(message: Any, *_: Any, **__: Any) -> None:
    sys.stderr.write(f"ubspark: warning: {message}\n")
