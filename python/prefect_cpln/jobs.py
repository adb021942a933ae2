"""`CplnJob`: a job on Control Plane that is run by itself or from within a flow."""

from typing import Any, Dict, Optional

import yaml
from prefect.blocks.core import Block

from prefect_cpln._agent import CplnJobError
from prefect_cpln._line import DOCUMENTATION_URL, LOGO_URL
from prefect_cpln.credentials import CplnCredentials

__all__ = ["CplnJob", "CplnJobError"]


class CplnJob(Block):
    """A block representing a Control Plane job configuration."""

    _block_type_name = "Control Plane Job"
    _block_type_slug = "cpln-job"
    _logo_url = LOGO_URL
    _documentation_url = DOCUMENTATION_URL
    _description = "A block representing a Control Plane job configuration."
    _code_example = (
        "```python\n"
        "from prefect_cpln.jobs import CplnJob\n\n"
        'cpln_job_block = CplnJob.load("BLOCK_NAME")\n'
        "```"
    )

    credentials: Optional[CplnCredentials] = None
    org: Optional[str] = None
    namespace: Optional[str] = None
    location: Optional[str] = None
    v1_job: Dict[str, Any]
    delete_after_completion: bool = True
    interval_seconds: int = 5
    timeout_seconds: Optional[int] = None

    @classmethod
    def job_from_file(cls, filename: str) -> Dict[str, Any]:
        """A Kubernetes Job manifest from a YAML or JSON file."""
        with open(filename, encoding="utf-8") as file:
            return yaml.safe_load(file)

    @classmethod
    def from_yaml_file(cls, manifest_path: str, **fields: Any) -> "CplnJob":
        """A block of the manifest in this file."""
        return cls(v1_job=cls.job_from_file(manifest_path), **fields)
