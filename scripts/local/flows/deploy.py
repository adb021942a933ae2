"""Deploys flows as any user of Prefect does: flow.from_source(...).deploy(...).

Reads a list of deployments as JSON from the file named first, writes {"flow name/deployment name": id} to the second.
"""

import json
import sys

from prefect import flow

with open(sys.argv[1]) as file:
    wanted = json.load(file)

ids = {}
for deployment in wanted:
    found = flow.from_source(source=deployment["source"], entrypoint=deployment["entrypoint"])
    extra = {key: deployment[key] for key in ("parameters", "job_variables", "tags", "work_queue_name") if key in deployment}
    ids[deployment["name"]] = str(
        found.deploy(
            name=deployment["name"],
            work_pool_name=deployment["pool"],
            print_next_steps=False,
            **extra,
        )
    )

with open(sys.argv[2], "w") as file:
    json.dump(ids, file)
