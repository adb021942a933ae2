"""What differs between the lines 2.20 and 3.x of Prefect, and nothing else.

Blocks of 2.20 are models of pydantic 1, those of 3.x of pydantic 2; a secret and a field must be of the same one.
"""

import prefect

IS_2 = prefect.__version__.startswith("2.")

if IS_2:
    try:
        from pydantic.v1 import Field, SecretStr
    except ImportError:
        from pydantic import Field, SecretStr
else:
    from pydantic import Field, SecretStr

LOGO_URL = "https://console.cpln.io/resources/logos/controlPlaneLogoOnly.svg"
DOCUMENTATION_URL = "https://docs.controlplane.com"

__all__ = ["DOCUMENTATION_URL", "Field", "IS_2", "LOGO_URL", "SecretStr"]
