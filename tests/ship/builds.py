"""Cloud Build's steps as scripts on this machine, with stand-ins for the tools that change a cloud."""

import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import yaml

PROJECT_ROOT = Path(__file__).parents[2]
BUILD: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / "cloudbuild.yaml").read_text())
STEPS: list[dict[str, Any]] = BUILD["steps"]
BUILT_IN = {"PROJECT_ID": "ridecast-dev", "BUILD_ID": "b-2", "LOCATION": "europe-west1"}
"""What Cloud Build itself gives to every build."""
STAND_IN = """#!/bin/bash
# Notes how it was called, then does what the test told this tool to do.
tool=$(basename "$0")
echo "$tool $*" >> "$STAGE/calls"
if [ -f "$STAGE/$tool.sh" ]; then . "$STAGE/$tool.sh"; fi
"""
TOOLS = ("gcloud", "terraform", "docker", "make", "sleep")
USUAL = {
    "python": """case "$*" in
      *archive) echo .cache/ridecast-0123456789abcdef.zip ;;
      *tag) echo fedcba9876543210 ;;
      *smoke*) echo "asked $PREDICT_URL $RIDE_EVENTS_TOPIC $SMOKE_SUBSCRIPTION" >> "$STAGE/calls" ;;
    esac""",
    "docker": """[ "$1" != manifest ]""",  # no image is there yet
    "terraform": """case "$*" in
      *" plan "*) echo planned > .cache/plan ;;
      *" output -raw "*) echo "the-${*: -1}" ;;
    esac""",
    "gcloud": """case "$*" in
      *"builds list"*) echo b-2 ;;
      *"run services list"*--flatten*)
        printf 'ride-duration-predict\\tpredict-00007-abc\\t90\\n'
        printf 'ride-duration-predict\\tpredict-00006-xyz\\t10\\n'
        printf 'ride-duration-predict\\tpredict-00001-tag\\t\\n'
        printf 'ride-duration-predict-event\\tevent-00003-def\\t100\\n' ;;
      *"run services list"*) printf 'ride-duration-predict\\nride-duration-predict-event\\n' ;;
    esac""",
}
"""What the tools do where all is well."""


class Outcome(NamedTuple):
    """How a build went."""

    succeeded: bool
    calls: list[str]
    """Of all tools, in order."""
    ran: list[str]
    """Ids of the steps that were started."""
    said: str


def substituted(text: str, substitutions: dict[str, str]) -> str:
    """As Cloud Build does it everywhere but in scripts."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda name: substitutions[name[1] or name[2]], text)


def run(folder: Path, tools: dict[str, str] | None = None, **substitutions: str) -> Outcome:
    """Runs the steps one after another, as their waitFor has them.

    Args:
        folder: becomes /workspace, and the place of the stand-ins.
        tools: what a tool does other than usually, as a piece of bash.
    """
    workspace, stage = folder / "workspace", folder / "stage"
    (workspace / ".venv" / "bin").mkdir(parents=True)
    stage.mkdir()
    for path in [*(stage / tool for tool in TOOLS), workspace / ".venv" / "bin" / "python"]:
        path.write_text(STAND_IN)
        path.chmod(0o755)
    for tool, does in (USUAL | (tools or {})).items():
        (stage / f"{tool}.sh").write_text(does)
    (stage / "calls").touch()
    values = BUILT_IN | BUILD["substitutions"] | substitutions
    said, ran = "", []
    for step in STEPS:
        script = stage / f"{step['id']}.script"
        script.write_text(step["script"])
        script.chmod(0o755)
        pairs = [*BUILD["options"]["env"], *step.get("env", [])]
        environment = dict(substituted(pair, values).split("=", 1) for pair in pairs)
        environment |= {"PATH": f"{stage}:/usr/bin:/bin", "STAGE": str(stage)}
        done = subprocess.run(
            [str(script)],
            cwd=workspace,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        said += done.stdout
        ran.append(step["id"])
        if done.returncode and not step.get("allowFailure"):
            return Outcome(False, (stage / "calls").read_text().splitlines(), ran, said)
    return Outcome(True, (stage / "calls").read_text().splitlines(), ran, said)
