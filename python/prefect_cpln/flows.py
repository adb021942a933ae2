"""`run_namespaced_job`: the job of a block as a flow."""

from typing import Any, Dict

from prefect import flow, get_run_logger

from prefect_cpln._agent import run_job
from prefect_cpln.jobs import CplnJob


# The block and the function are taken as they are: validation would copy them. A function has no type that Prefect could
# describe to the server, so it has none here either.
@flow(name="run-namespaced-job", validate_parameters=False)
def run_namespaced_job(cpln_job: CplnJob, print_func: Any = None) -> Dict[str, Any]:
    """
    Runs the job to its end, and gives each line that it prints to `print_func`.

    A job that does not complete raises `CplnJobError`. Cancelling the flow run, or the one that it is part of, stops the
    job. A block that was not saved is saved without a name first.
    """
    block_id = cpln_job._block_document_id or cpln_job._save(is_anonymous=True)
    return run_job(str(block_id), print_func, get_run_logger())
