"""Turns the errors that a command expects into one sentence and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from functions.errors import RidecastError, SettingsError


class JobCommand(click.Command):
    """A command whose expected errors end it with a message instead of a traceback.

    A missing or wrong setting exits with 2, as a wrong option does; any other RidecastError, and missing
    Google Cloud credentials, exit with 1. Anything else is a bug and keeps its traceback.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise click.UsageError(str(error), ctx) from error
        except RidecastError as error:
            raise click.ClickException(str(error)) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if message := _authentication_failure(error):
                raise click.ClickException(message) from error
            raise


@contextmanager
def blame_option(option: str) -> Iterator[None]:
    """Reports a RidecastError of the body as a wrong value of an option, with exit code 2."""
    try:
        yield
    except RidecastError as error:
        raise click.BadParameter(str(error), param_hint=option) from error


def _authentication_failure(error: Exception) -> str:
    """The message for an error of google-auth; empty for any other.

    Importing google-auth takes a quarter of a second, so it is only imported when something has failed.
    """
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

    if isinstance(error, DefaultCredentialsError):
        return f"no Google Cloud credentials found: {error}"
    return f"Google Cloud authentication failed: {error}" if isinstance(error, GoogleAuthError) else ""
