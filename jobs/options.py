"""Options that several commands have."""

import click

model_option = click.option(
    "--model",
    metavar="URI",
    default="",
    help="A release pointer, an MLflow model's folder, models:/NAME@ALIAS or models:/NAME/7; the champion's "
    "release if not given.",
)
