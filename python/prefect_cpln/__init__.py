"""Control Plane blocks and jobs for flows written in Python.

A thin face: blocks are saved and loaded by Prefect itself, and jobs are run by the `agent` program, which is found by
PREFECT_CPLN_AGENT or on the PATH. Works with stock Prefect 2.20 and 3.x.
"""

from prefect_cpln.credentials import CplnConfig, CplnCredentials
from prefect_cpln.flows import run_namespaced_job
from prefect_cpln.infrastructure import CplnInfrastructure, CplnInfrastructureConfig
from prefect_cpln.jobs import CplnJob, CplnJobError

__all__ = [
    "CplnConfig",
    "CplnCredentials",
    "CplnInfrastructure",
    "CplnInfrastructureConfig",
    "CplnJob",
    "CplnJobError",
    "run_namespaced_job",
]
