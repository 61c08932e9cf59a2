import importlib
import subprocess
import sys

import pytest

from jobs.__main__ import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    assert importlib.import_module(f"jobs.commands.{name}").command.get_short_help_str(100) == COMMANDS[name]


def test_help_imports_no_command() -> None:
    asked = "import sys; from jobs.__main__ import main\ntry: main(['--help'])\nfinally: print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout
    assert all(name in printed for name in COMMANDS)
    heavy = ("google.api_core", "mlflow", "pandas", "jobs.re")
    assert not [name for name in printed.split() if name.startswith(heavy)]
