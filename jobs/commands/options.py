"""Options that several commands have."""

import re

import click

from jobs.commands.error_boundary import JobCommand

TOPIC, SUBSCRIPTION = "projects/PROJECT/topics/TOPIC", "projects/PROJECT/subscriptions/SUBSCRIPTION"


def require_resource_name(name: str, form: str) -> None:
    """Raises BadParameter unless the name has the form of TOPIC or SUBSCRIPTION."""
    if not re.fullmatch(re.sub("[A-Z]+", "[^/]+", form), name):
        raise click.BadParameter(f"{name!r} must look like {form}")


model_option = click.option(
    "--model",
    metavar="URI",
    default="",
    help="A release pointer, an MLflow model's folder, models:/NAME@ALIAS or models:/NAME/VERSION.  "
    "[default: the champion's release]",
)

taxi_option = click.option(
    "--taxi",
    type=click.Choice(["green", "yellow", "fhvhv", "fhv"]),
    help="The kind of taxi; fhvhv and fhv are for-hire vehicles.  [default: as the file's columns say]",
)
year_option = click.option(
    "--year", type=click.IntRange(1, 9999), help="The year of the month.  [default: as the file's name says]"
)
pickle_option = click.option(
    "--allow-pickle",
    envvar="ALLOW_PICKLE",
    is_flag=True,
    help="Also load pickled models, which can run any code.",
)


class MultiValueCommand(JobCommand):
    """Takes `--trips A B` for `--trips A --trips B`, so that `--trips *.parquet` works in a shell."""

    multi_value = ("--trips", "--validate", "--reference", "--held-out")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        expanded: list[str] = []
        current = ""
        for arg in args:
            option, _, value = arg.partition("=")
            if arg.startswith("-"):
                current = option if option in self.multi_value else ""
                if not current:
                    expanded.append(arg)
                elif value:
                    expanded += [current, value]
            else:
                expanded += [current, arg] if current else [arg]
        return super().parse_args(ctx, expanded)
