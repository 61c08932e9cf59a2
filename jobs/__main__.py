"""python -m jobs: each command is a module of jobs.commands, imported only when it is called."""

import importlib
import sys

if not __package__:
    sys.exit("jobs is a package: run `python -m jobs` in the folder that contains it")

from functions import __version__
from jobs.ui.startup import missing_package, unsupported_reason

if reason := unsupported_reason():
    sys.exit(reason)
try:
    import click
except ImportError as error:
    sys.exit(missing_package(error))

GROUPS = {
    "Start here": {
        "local": "Run Pub/Sub, Cloud Storage, MLflow and both functions on this machine.",
        "download": "Download months of trips from TLC, or generate them without a network.",
    },
    "Train and release": {
        "train": "Train a model on trips, evaluate it on held-out rides, and register it as a new version.",
        "promote": "Compare a version with the champion on the same held-out rides, and put it in service.",
        "sync": "Make the functions serve the version with the alias `champion` in the registry.",
    },
    "Predict in batches": {
        "score": "Predict a month of trips, or each row of any table.",
        "query": "Query the predictions with SQL (DuckDB).",
        "schedule": "Predict a month on a schedule, and past months on demand, with Prefect.",
        "beam": "Predict months on many machines, or a stream of ride events, with Apache Beam.",
    },
    "Predict a stream": {
        "replay": "Publish ride events, made from recorded trips, at a fixed rate.",
        "redrive": "Publish dead letters back to their topic.",
        "smoke": "Check a deployment: a ride gets the same prediction as an event and over HTTP.",
    },
    "Monitor": {
        "report": "Compare predictions with rides, and rides with the training data; exit code 3 means "
        "drift.",
        "collect": "Join predictions with ride ends, for a report on the stream.",
    },
    "Plan and deploy": {
        "capacity": "Simulate the functions on Cloud Run: instances, latency, cost, and first bottleneck.",
        "archive": "Write the functions' source archive, named by its content, and print its path.",
        "tag": "Print the images' tag, a hash of their files and the Dockerfile.",
    },
}
"""The first sentence of each command's help: importing all commands to ask for it takes seconds."""
COMMANDS = {name: text for group in GROUPS.values() for name, text in group.items()}


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
        width = max(map(len, COMMANDS))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                # Padded, so that the columns of all sections are aligned.
                formatter.write_dl([(f"{name:<{width}}", text) for name, text in commands.items()])


@click.group(cls=Commands, context_settings={"max_content_width": 110})
@click.version_option(__version__, message="ridecast %(version)s")
def main() -> None:
    """Ridecast's jobs: train a model, put it in service, predict, and monitor it.

    `make run` shows all of it on this machine in a few minutes. COMMAND --help describes a command.

    Most commands read MLFLOW_TRACKING_URI (an MLflow server, or sqlite:///FILE) and MODEL_BUCKET (gs://BUCKET
    or a folder).
    """


if __name__ == "__main__":
    from jobs.ui.hints import job_command

    try:
        main(prog_name=job_command())
    except ImportError as error:
        if (error.name or "").startswith(("functions", "jobs")):
            raise
        sys.exit(missing_package(error))
