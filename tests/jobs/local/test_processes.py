import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from jobs.concurrency import in_background
from jobs.local.processes import PartFailed, Programs, answers, free_port
from jobs.local.shutdown import Stopped, stoppable, undisturbed

PYTHON = sys.executable


@pytest.fixture
def programs(tmp_path):
    programs = Programs(tmp_path)
    yield programs
    programs.close()


def is_alive(pid):
    """Whether the process runs; a dead child that nobody has asked about does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.strip() not in ("", "Z", "Zs")


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def read_pid(path):
    wait_for(lambda: path.exists() and path.read_text().strip())
    return int(path.read_text())


def test_a_program_ends_with_all_its_children(programs, tmp_path):
    note = tmp_path / "grandchild"
    programs.start("tree", ["sh", "-c", f"sleep 300 & echo $! > {note}; sleep 300"], os.environ)
    grandchild = read_pid(note)
    assert is_alive(grandchild)

    programs.close()

    wait_for(lambda: not is_alive(grandchild), seconds=1)


def test_children_end_even_if_their_parent_ended_before(programs, tmp_path):
    note = tmp_path / "orphan"
    program = programs.start("parent", ["sh", "-c", f"sleep 300 & echo $! > {note}"], os.environ)
    orphan = read_pid(note)
    wait_for(lambda: not program.running)

    programs.close()

    wait_for(lambda: not is_alive(orphan), seconds=1)


def test_a_program_that_does_not_listen_to_sigterm_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("jobs.local.processes.PATIENCE_SECONDS", 0.3)
    programs = Programs(tmp_path)
    program = programs.start("deaf", ["sh", "-c", "trap '' TERM; echo ready; sleep 300"], os.environ)
    wait_for(program.log.read_text)

    programs.close()

    assert not program.running


def test_nothing_starts_while_all_is_being_ended(programs):
    programs.close()

    with pytest.raises(PartFailed, match="we are stopping"):
        programs.start("late", ["sleep", "1"], os.environ)


def test_an_early_end_is_a_failure_that_names_the_part_and_its_log(programs):
    with pytest.raises(PartFailed, match="baker ended with exit code 3") as failure:
        programs.start_on_free_port(
            "baker", lambda _: ["sh", "-c", "echo no flour; exit 3"], os.environ, lambda _: False, 10
        )

    assert failure.value.log.read_text() == "no flour\n"


def test_a_program_that_never_answers_is_a_failure(programs):
    with pytest.raises(PartFailed, match=r"mute did not answer within 0.2 seconds"):
        programs.start_on_free_port("mute", lambda _: ["sleep", "300"], os.environ, lambda _: False, 0.2)


def test_a_command_that_does_not_exist_is_a_failure(programs):
    with pytest.raises(PartFailed, match="ghost cannot be started"):
        programs.start("ghost", ["/nowhere/ghost"], os.environ)


def test_a_port_that_was_taken_meanwhile_is_exchanged(programs):
    ports = []

    def command(port):
        ports.append(port)
        if len(ports) == 1:
            return ["sh", "-c", "echo OSError: Address already in use; exit 1"]
        return [PYTHON, "-m", "http.server", "--bind=127.0.0.1", str(port)]

    port = programs.start_on_free_port(
        "server", command, os.environ, lambda port: answers(f"http://127.0.0.1:{port}"), 20
    )

    assert ports == [ports[0], port]


def test_a_stranger_on_the_port_is_not_taken_for_ours(programs):
    with pytest.raises(PartFailed, match="ended with exit code 1"):
        programs.start_on_free_port(
            "server", lambda _: ["sh", "-c", "exit 1"], os.environ, lambda _: time.sleep(0.3) or True, 5
        )


def test_check_tells_of_a_part_that_has_ended(programs):
    programs.start_on_free_port("server", lambda _: ["sleep", "300"], os.environ, lambda _: True, seconds=20)
    programs.check()

    server = programs._serving[0]
    server.signal(signal.SIGKILL)
    wait_for(lambda: not server.running)

    with pytest.raises(PartFailed, match="server ended with SIGKILL"):
        programs.check()


def test_run_keeps_errors_for_the_log_and_shows_the_rest(programs, tmp_path, capfd):
    with pytest.raises(PartFailed, match="exit code 2"):
        programs.run("talker", ["sh", "-c", "echo result; echo trouble >&2; exit 2"], os.environ)

    assert capfd.readouterr().out == "result\n"
    assert (tmp_path / "talker.log").read_text() == "trouble\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_stops_us_and_the_second_does_not_disturb(number):
    handler = signal.getsignal(number)

    def work():
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        finally:
            os.kill(os.getpid(), number)

    with pytest.raises(Stopped) as stopped, stoppable():
        work()

    assert stopped.value.exit_code == 128 + number
    assert signal.getsignal(number) is handler


def test_cleaning_up_is_not_disturbed():
    with stoppable(), undisturbed():
        os.kill(os.getpid(), signal.SIGTERM)


def test_work_in_the_background_gives_its_result_or_its_error():
    assert in_background(lambda: 42).result() == 42
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 // 0).result()


def test_a_free_port_can_be_listened_on():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))


def test_a_log_is_named_after_its_part(tmp_path):
    assert Programs(tmp_path).log("Pub/Sub emulator") == tmp_path / "PubSub-emulator.log"
