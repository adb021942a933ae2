"""The blocks with a Control Plane token: `CplnConfig`, and `CplnCredentials` around it for jobs."""

from typing import Optional

from prefect.blocks.core import Block

from prefect_cpln._line import DOCUMENTATION_URL, LOGO_URL, SecretStr


class CplnConfig(Block):
    """Stores configuration for interaction with the Control Plane platform."""

    _block_type_name = "Control Plane Configuration"
    _block_type_slug = "control-plane-configuration"
    _logo_url = LOGO_URL
    _documentation_url = DOCUMENTATION_URL
    _description = "Stores configuration for interaction with the Control Plane platform."
    _code_example = (
        "Load a saved Control Plane config:\n"
        "```python\n"
        "from prefect_cpln.credentials import CplnConfig\n\n"
        'cpln_config_block = CplnConfig.load("BLOCK_NAME")\n'
        "```"
    )

    token: Optional[SecretStr] = None


class CplnCredentials(Block):
    """Credentials block for generating configured Control Plane API client."""

    _block_type_name = "Control Plane Credentials"
    _block_type_slug = "control-plane-credentials"
    _logo_url = LOGO_URL
    _documentation_url = DOCUMENTATION_URL
    _description = "Credentials block for generating configured Control Plane API client."
    _code_example = (
        "Load a saved Control Plane credentials:\n"
        "```python\n"
        "from prefect_cpln.credentials import CplnCredentials\n\n"
        'cpln_credentials = CplnCredentials.load("BLOCK_NAME")\n'
        "```"
    )

    config: Optional[CplnConfig] = None
