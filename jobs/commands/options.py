"""Options that several commands have."""

import click

from jobs.commands.error_boundary import JobCommand

model_option = click.option(
    "--model",
    metavar="URI",
    default="",
    help="A release pointer, an MLflow model's folder, models:/NAME@ALIAS or models:/NAME/7; the champion's "
    "release if not given.",
)

taxi_option = click.option(
    "--taxi", type=click.Choice(["green", "yellow"]), help="What a file's columns say if not given."
)
year_option = click.option(
    "--year", type=click.IntRange(1, 9999), help="Of the month; what a file's name says if not given."
)
pickle_option = click.option(
    "--allow-pickle", envvar="ALLOW_PICKLE", is_flag=True, help="A pickled model may run its code here."
)


class ListsCommand(JobCommand):
    """Takes `--trips A B` for `--trips A --trips B`: so a shell writes out `--trips *.parquet`."""

    lists = ("--trips", "--validate", "--reference")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words: list[str] = []
        current = ""
        for word in args:
            option, _, value = word.partition("=")
            if word.startswith("-"):
                current = option if option in self.lists else ""
                if not current:
                    words.append(word)
                elif value:
                    words += [current, value]
            else:
                words += [current, word] if current else [word]
        return super().parse_args(ctx, words)
