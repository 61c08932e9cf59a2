"""python -m jobs: the commands, each in the file of its name, imported when it is called."""

import importlib

import click

COMMANDS = {
    "train": "jobs.train",
    "promote": "jobs.promote",
    "sync": "jobs.sync",
    "replay": "jobs.replay",
    "redrive": "jobs.redrive",
    "local": "jobs.local",
}


class Commands(click.Group):
    """Finds a command in its file, so that `--help` and each command import only what they need."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name]).command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Commands, context_settings={"max_content_width": 100})
def main() -> None:
    """Ridecast's jobs. They read MLFLOW_TRACKING_URI and MODEL_BUCKET (gs://… or a folder)."""


if __name__ == "__main__":
    main(prog_name="python -m jobs")
