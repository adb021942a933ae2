"""Runs the `agent` program, which does all the work.

The program is a session of its own that ends its job when it is told to, or when this process is gone: a flow that is
cancelled, crashes or is killed leaves no job behind.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from typing import Any, Callable, Dict, List, Optional

from prefect.settings import get_current_settings

# How long a flow that is being cancelled waits for the end of its job, in seconds. The program goes on without it.
_PATIENCE = 20


class CplnJobError(RuntimeError):
    """The job did not complete; the message says why."""


def find_agent() -> str:
    """The path of the program, from PREFECT_CPLN_AGENT or the PATH."""
    named = os.environ.get("PREFECT_CPLN_AGENT")
    found = shutil.which(named or "agent")
    if found is None:
        where = (
            f"PREFECT_CPLN_AGENT is {named!r}, which is no program."
            if named
            else "There is no program `agent` on the PATH."
        )
        raise FileNotFoundError(f"{where} Put it there, or set PREFECT_CPLN_AGENT to its path.")
    return found


def _environment() -> Dict[str, str]:
    """The program reads the same settings as this process has, whatever profile they are from."""
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    return {**os.environ, **{name: str(value) for name, value in settings.items()}}


def run_job(
    block_id: str,
    on_line: Optional[Callable[[str], Any]],
    logger: Any,
    timeout: Optional[int] = None,
) -> Dict[str, Any]:
    """Runs the job of a saved block to its end and returns what the program says of it; raises unless it completed."""
    command = [find_agent(), "job", "run", block_id, "--output", "json", "--stop-with-stdin"]
    if timeout is not None:
        command += ["--timeout", str(timeout)]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=_environment(),
            start_new_session=True,
        ) as process:
            try:
                end = _follow(process, on_line, logger)
                process.wait()
            except BaseException:
                _stop(process, on_line, logger)
                raise
        if end.get("state") == "completed":
            return end
        raise CplnJobError(end.get("message") or _last_of(errors) or f"{command[0]} ended without a word")


def _follow(process: "subprocess.Popen[bytes]", on_line: Optional[Callable[[str], Any]], logger: Any) -> Dict[str, Any]:
    end: Dict[str, Any] = {}
    assert process.stdout is not None
    for raw in process.stdout:
        event = _event(raw)
        name = event.get("event")
        if name == "output":
            if on_line is not None:
                on_line(event.get("line", ""))
        elif name == "warning":
            logger.warning(event.get("message"))
        elif name == "progress":
            logger.info(event.get("message"))
        elif name == "started":
            logger.info("Job %s started.", event.get("pid"))
        elif name == "ended":
            end = event
    return end


def _event(raw: bytes) -> Dict[str, Any]:
    try:
        event = json.loads(raw)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _stop(process: "subprocess.Popen[bytes]", on_line: Optional[Callable[[str], Any]], logger: Any) -> None:
    """Has the program stop the job, and waits a while. What the job still says is shown."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)

    def no_longer(*_: Any) -> None:
        raise TimeoutError

    # The output is read here, in the thread that shows it; an alarm is what ends that where signals can be had.
    try:
        before = signal.signal(signal.SIGALRM, no_longer)
    except (AttributeError, ValueError):
        _wait(process)
        return
    signal.alarm(_PATIENCE)
    try:
        _follow(process, on_line, logger)
        process.wait()
    except TimeoutError:
        _let_go(process)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _wait(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        _let_go(process)


def _let_go(process: "subprocess.Popen[bytes]") -> None:
    """The program goes on stopping the job; leaving the context of the process must not wait for it."""
    process.returncode = 0


def _last_of(errors: Any) -> str:
    errors.seek(0)
    lines: List[str] = errors.read()[-4000:].strip().splitlines()
    return "\n".join(lines[-10:])
