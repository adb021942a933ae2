"""`CplnInfrastructure`: how the flow runs of a deployment of Prefect 2.20 run, served by an agent pool.

The blocks are written here and read by the agent, which does the rest.
"""

from typing import Any, Dict, List, Optional

import yaml
from prefect.blocks.core import Block

from prefect_cpln._line import DOCUMENTATION_URL, IS_2, LOGO_URL, Field, SecretStr

if IS_2:
    from prefect.infrastructure.base import Infrastructure as _Base
else:

    class _Base(Block):
        """Prefect 3 has no infrastructure blocks; a document of one can be written and read all the same."""

        _block_schema_capabilities = ["run-infrastructure"]

        env: Dict[str, Optional[str]] = {}
        labels: Dict[str, str] = {}
        name: Optional[str] = None
        command: Optional[List[str]] = None


class CplnInfrastructureConfig(Block):
    """Stores infrastructure configuration for interaction with the Control Plane platform."""

    _block_type_name = "Control Plane Infrastructure Config"
    _block_type_slug = "control-plane-infrastructure-config"
    _logo_url = LOGO_URL
    _documentation_url = DOCUMENTATION_URL
    _description = "Stores infrastructure configuration for interaction with the Control Plane platform."
    _code_example = (
        "Load a saved Control Plane config:\n"
        "```python\n"
        "from prefect.blocks.cpln import CplnInfrastructureConfig\n\n"
        'cpln_infra_config_block = CplnInfrastructureConfig.load("BLOCK_NAME")\n'
        "```"
    )

    token: Optional[SecretStr] = None


def _base_job_manifest() -> Dict[str, Any]:
    container = {"name": "prefect-job", "env": []}
    pod = {"parallelism": 1, "completions": 1, "restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"labels": {}},
        "spec": {"template": {"spec": pod}},
    }


class CplnInfrastructure(_Base):
    """Runs a command as a Control Plane Job."""

    _block_type_name = "Control Plane Infrastructure"
    _block_type_slug = "control-plane-infrastructure"
    _logo_url = LOGO_URL
    _documentation_url = DOCUMENTATION_URL
    _description = "Runs a command as a Control Plane Job."
    _code_example = (
        "```python\n"
        "from prefect.infrastructure.cpln import CplnInfrastructure\n\n"
        'control_plane_infrastructure_block = CplnInfrastructure.load("BLOCK_NAME")\n'
        "```"
    )

    type: str = "cpln-infrastructure"
    config: Optional[CplnInfrastructureConfig] = None
    org: Optional[str] = None
    namespace: Optional[str] = None
    location: Optional[str] = None
    service_account_name: Optional[str] = None
    job_type: Optional[str] = None
    job: Dict[str, Any] = Field(default_factory=_base_job_manifest)
    customizations: List[Dict[str, Any]] = []
    image: Optional[str] = None
    job_watch_timeout_seconds: Optional[int] = None
    pod_watch_timeout_seconds: int = 60
    stream_output: bool = True

    @classmethod
    def base_job_manifest(cls) -> Dict[str, Any]:
        """The least that a job manifest may be; a block without `job` has it."""
        return _base_job_manifest()

    @classmethod
    def customize_from_file(cls, filename: str) -> List[Dict[str, Any]]:
        """JSON Patch operations from a YAML or JSON file, for `customizations`."""
        with open(filename, encoding="utf-8") as file:
            return yaml.safe_load(file)

    @classmethod
    def job_from_file(cls, filename: str) -> Dict[str, Any]:
        """A Kubernetes Job manifest from a YAML or JSON file."""
        with open(filename, encoding="utf-8") as file:
            return yaml.safe_load(file)

    def preview(self) -> str:
        """The job manifest; `agent plan DEPLOYMENT` shows what is sent for a run."""
        return yaml.safe_dump(self.job, sort_keys=False)

    async def run(self, task_status: Any = None) -> Any:
        """Not from Python: flow runs of this infrastructure are run by `agent --pool NAME`."""
        raise NotImplementedError("Flow runs of this infrastructure are run by the agent: agent --pool NAME")
