"""python -m jobs: each command is a module of jobs.commands, imported only when it is called."""

import importlib
import sys

from functions import __version__

NOT_INSTALLED = "The package {} is not installed: run `make install`, then `.venv/bin/python -m jobs`."

try:
    import click
except ModuleNotFoundError as error:
    sys.exit(NOT_INSTALLED.format(error.name))

COMMANDS = {
    "train": "Train a model on trips, evaluate it on held-out rides, and register it as a new version.",
    "promote": "Compare a version with the champion on the same held-out rides, and put it in service.",
    "sync": "Make the functions serve the version with the alias `champion` in the registry.",
    "score": "Predict a month of trips, or each row of any table.",
    "beam": "Predict months on many machines, or a stream of ride events, with Apache Beam.",
    "schedule": "Predict a month on a schedule, and past months on demand, with Prefect.",
    "query": "Query the predictions with SQL (DuckDB).",
    "report": "Compare predictions with rides, and rides with the training data; exit code 3 means drift.",
    "collect": "Join predictions with ride ends, for a report on the stream.",
    "replay": "Publish ride events, made from recorded trips, at a fixed rate.",
    "redrive": "Publish dead letters back to their topic.",
    "capacity": "Simulate the functions on Cloud Run: instances, latency, cost, and first bottleneck.",
    "smoke": "Check a deployment: a ride gets the same prediction as an event and over HTTP.",
    "archive": "Write the functions' source archive, named by its content, and print its path.",
    "tag": "Print the images' tag, a hash of their files and the Dockerfile.",
    "local": "Run Pub/Sub, Cloud Storage, MLflow and both functions on this machine.",
}
"""The first sentence of each command's help: importing all commands to ask for it takes seconds."""


class Commands(click.Group):
    """Imports a command when it is called, so that `--help` and each command import only what they need."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"jobs.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"max_content_width": 100})
@click.version_option(__version__, message="ridecast %(version)s")
def main() -> None:
    """Ridecast's jobs. They read MLFLOW_TRACKING_URI and MODEL_BUCKET (gs://… or a folder)."""


if __name__ == "__main__":
    try:
        main(prog_name="python -m jobs")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(("functions", "jobs")):
            raise
        sys.exit(NOT_INSTALLED.format(error.name))
