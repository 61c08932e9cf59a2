"""python -m jobs: the commands, each in the file of its name, imported when it is called."""

import importlib

import click

COMMANDS = {
    "train": "Train on trips, judge on held-out rides, register as a new version.",
    "promote": "Judge a version beside the champion on the same held-out rides, and put it in service.",
    "sync": "Make the functions serve the version that has the alias `champion` in the registry.",
    "score": "Predict a month of trips, or each row of any table.",
    "beam": "Predict months on many machines, or a stream of ride events, with Apache Beam.",
    "schedule": "Predict a month by the clock, and past months when asked to, with Prefect.",
    "query": "Ask the database of predictions, in DuckDB's SQL.",
    "report": "Compare predictions with rides, and these with the training's; exit code 3 tells drift.",
    "collect": "Join predictions with the ends of their rides, for a report on the stream.",
    "replay": "Publish ride events, made from recorded trips, at a set rate.",
    "redrive": "Publish dead letters back to their topic.",
    "capacity": "Simulate the functions on Cloud Run: instances, waits, cost, and what breaks first.",
    "smoke": "Publish a ride, wait for its prediction, ask over HTTP, and compare.",
    "archive": "Write the functions' source archive, named by its content, and print its path.",
    "tag": "Print the images' tag, the hash of what Dockerfile can copy and of itself.",
    "local": "Pub/Sub, Cloud Storage, MLflow and both functions on this machine, trained and connected.",
}
"""With the first sentence of each: importing them all, to ask, takes seconds."""


class Commands(click.Group):
    """Finds a command in its file, so that `--help` and each command import only what they need."""

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
def main() -> None:
    """Ridecast's jobs. They read MLFLOW_TRACKING_URI and MODEL_BUCKET (gs://… or a folder)."""


if __name__ == "__main__":
    main(prog_name="python -m jobs")
