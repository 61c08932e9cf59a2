import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from jobs.concurrency import run_in_background
from jobs.local.processes import ProcessGroup, ServiceFailed, free_port, responds
from jobs.local.shutdown import SignalReceived, ignore_signals, raise_on_signal

PYTHON = sys.executable


def is_alive(pid):
    """Whether the process runs; a zombie does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.strip() not in ("", "Z", "Zs")


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def read_pid(path):
    wait_for(lambda: path.exists() and path.read_text().strip())
    return int(path.read_text())


def test_a_process_ends_with_all_its_children(processes, tmp_path):
    pid_file = tmp_path / "grandchild"
    processes.start("tree", ["sh", "-c", f"sleep 300 & echo $! > {pid_file}; sleep 300"], os.environ)
    grandchild = read_pid(pid_file)
    assert is_alive(grandchild)

    processes.close()

    wait_for(lambda: not is_alive(grandchild), seconds=1)


def test_children_end_even_if_their_parent_ended_before(processes, tmp_path):
    pid_file = tmp_path / "orphan"
    process = processes.start("parent", ["sh", "-c", f"sleep 300 & echo $! > {pid_file}"], os.environ)
    orphan = read_pid(pid_file)
    wait_for(lambda: not process.running)

    processes.close()

    wait_for(lambda: not is_alive(orphan), seconds=1)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("jobs.local.process_groups.GRACE_SECONDS", 0.3)
    processes = ProcessGroup(tmp_path)
    process = processes.start("deaf", ["sh", "-c", "trap '' TERM; echo ready; sleep 300"], os.environ)
    wait_for(process.log.read_text)

    processes.close()

    assert not process.running


def test_nothing_starts_during_shutdown(processes):
    processes.close()

    with pytest.raises(ServiceFailed, match="the local cloud is shutting down"):
        processes.start("late", ["sleep", "1"], os.environ)


def test_an_early_exit_is_a_failure_that_names_the_service_and_its_log(processes):
    with pytest.raises(ServiceFailed, match="baker ended with exit code 3") as failure:
        processes.start_on_free_port(
            "baker", lambda _: ["sh", "-c", "echo no flour; exit 3"], os.environ, lambda _: False, 10
        )

    assert failure.value.log.read_text() == "no flour\n"


def test_a_process_that_never_responds_is_a_failure(processes):
    with pytest.raises(ServiceFailed, match=r"mute did not respond within 0.2 seconds"):
        processes.start_on_free_port("mute", lambda _: ["sleep", "300"], os.environ, lambda _: False, 0.2)


def test_a_command_that_does_not_exist_is_a_failure(processes):
    with pytest.raises(ServiceFailed, match="ghost cannot be started"):
        processes.start("ghost", ["/nowhere/ghost"], os.environ)


def test_another_port_is_tried_if_the_first_was_taken(processes):
    ports = []

    def command(port):
        ports.append(port)
        if len(ports) == 1:
            return ["sh", "-c", "echo OSError: Address already in use; exit 1"]
        return [PYTHON, "-m", "http.server", "--bind=127.0.0.1", str(port)]

    port = processes.start_on_free_port(
        "server", command, os.environ, lambda port: responds(f"http://127.0.0.1:{port}"), 20
    )

    assert ports == [ports[0], port]


def test_another_server_on_the_port_does_not_count(processes):
    with pytest.raises(ServiceFailed, match="ended with exit code 1"):
        processes.start_on_free_port(
            "server", lambda _: ["sh", "-c", "exit 1"], os.environ, lambda _: time.sleep(0.3) or True, 5
        )


def test_check_reports_a_server_that_has_ended(processes):
    processes.start_on_free_port("server", lambda _: ["sleep", "300"], os.environ, lambda _: True, seconds=20)
    processes.check()

    server = processes._serving[0]
    server.signal(signal.SIGKILL)
    wait_for(lambda: not server.running)

    with pytest.raises(ServiceFailed, match="server ended with SIGKILL"):
        processes.check()


def test_run_logs_stderr_and_shows_stdout(processes, tmp_path, capfd):
    with pytest.raises(ServiceFailed, match="exit code 2"):
        processes.run("talker", ["sh", "-c", "echo result; echo trouble >&2; exit 2"], os.environ)

    assert capfd.readouterr().out == "result\n"
    assert (tmp_path / "talker.log").read_text() == "trouble\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_stops_the_work_and_later_ones_are_ignored(number):
    handler = signal.getsignal(number)

    def work():
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        finally:
            os.kill(os.getpid(), number)

    with pytest.raises(SignalReceived) as stopped, raise_on_signal():
        work()

    assert stopped.value.exit_code == 128 + number
    assert signal.getsignal(number) is handler


def test_signals_are_ignored_during_cleanup():
    with raise_on_signal(), ignore_signals():
        os.kill(os.getpid(), signal.SIGTERM)


def test_background_work_returns_its_result_or_raises_its_error():
    assert run_in_background(lambda: 42).result() == 42
    with pytest.raises(ZeroDivisionError):
        run_in_background(lambda: 1 // 0).result()


def test_a_free_port_can_be_listened_on():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))


def test_a_log_is_named_after_its_process(tmp_path):
    assert ProcessGroup(tmp_path).log("Pub/Sub emulator") == tmp_path / "PubSub-emulator.log"
