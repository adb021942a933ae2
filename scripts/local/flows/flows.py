"""The flows of the demo and of the end-to-end tests: one for each way a run can end."""

import os
import signal
import time

from prefect import flow, get_run_logger


@flow
def completes(name: str = "world", seconds: float = 1.0):
    get_run_logger().info("Hello, %s", name)
    print(f"printed by the flow process for {name}", flush=True)
    time.sleep(seconds)
    return name


@flow
def fails(reason: str = "the input file is empty"):
    get_run_logger().info("about to fail")
    raise ValueError(reason)


@flow
def vanishes(seconds: float = 1.0):
    """Kills the process that would report for it, then itself: nobody is left to tell the server anything."""
    get_run_logger().info("about to vanish")
    # The logger writes to the other output: what follows at once may be read before it.
    time.sleep(seconds)
    print("last words of the flow process", flush=True)
    time.sleep(seconds)
    os.kill(os.getppid(), signal.SIGKILL)
    os._exit(7)


def clean_up(flow, flow_run, state):
    print("hook ran", flush=True)


@flow(on_cancellation=[clean_up])
def waits(seconds: float = 600.0):
    get_run_logger().info("waiting %s s", seconds)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.2)
