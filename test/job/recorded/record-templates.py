"""Records what Prefect itself makes of random templates and job variables.

Run with the Python of an environment that holds Prefect: `python record-templates.py > templates-VERSION.json`.
The blocks and the variables of the pretended server stand in the output; `refused` marks cases that Prefect raises on.
Objects with the key "0" are left out: JavaScript does not keep the order of such keys.
"""
import asyncio
import copy
import json
import logging
import os
import random
import sys

os.environ["FOO"] = "foo-env"
logging.disable(logging.CRITICAL)

import prefect  # noqa: E402
from prefect.workers.base import BaseJobConfiguration  # noqa: E402

VERSION = prefect.__version__
CHANCE = random.Random(7)
WANTED = 160
NAMES = (
    "a b c env image cpu a.b a[0] a.b[1] a.0 a[-1] $FOO $NOPE $$FOO größe x-y "
    "prefect.variables.v prefect.variables.none prefect.blocks.secret.s prefect.blocks.json.j "
    "prefect.blocks.json.j.x prefect.blocks.json.j.l[0] prefect.blocks.secret.s.value "
    "prefect.blocks.cfg.c prefect.blocks.cfg.c.token"
).split()
BLOCKS = {
    "secret/s": {"value": 'tok "1"'},
    "json/j": {"value": {"x": 5, "l": ["q", 2], "value": 3}},
    "cfg/c": {"token": "t", "n": None, "f": 1.5, "b": True},
    "id1": {"k": "{{ prefect.variables.v }}", "z": [1]},
}
VARIABLES = {"v": "blue", "num": "9" if VERSION.startswith("2") else 9}


def placeholder():
    name, before, after = CHANCE.choice(NAMES), CHANCE.choice(["", " ", "  ", "\t"]), CHANCE.choice(["", " "])
    return "{{" + before + name + after + "}}"


def text():
    kind = CHANCE.random()
    if kind < 0.45:
        return placeholder()
    if kind < 0.8:
        return CHANCE.choice(["x", "", "it's", '"q"']) + placeholder() + CHANCE.choice(["", "-", placeholder(), "\n"])
    return CHANCE.choice(["plain", "{{", "{{ }}", "{{ a b }}", "true", ""])


SCALARS = [None, True, False, 0, 1, -3, 1.5, 1e-5, 0.1, 12345678901, "it's", 'a"b', "both'\"", "\u00e9\u200b\n"]


def value(depth=0):
    kind = CHANCE.random()
    if depth > 2 or kind < 0.5:
        return CHANCE.choice([text(), text(), text(), *SCALARS])
    if kind < 0.75:
        return [value(depth + 1) for _ in range(CHANCE.randint(0, 3))]
    if kind < 0.8:
        return {"$ref": {"block_document_id": "id1"}}
    return {CHANCE.choice(["a", "b", "env", "k", "x.y"]): value(depth + 1) for _ in range(CHANCE.randint(0, 3))}


def env():
    values = ["1", None, "", 2, True, "{{ image }}", "{{ $FOO }}", "{{ prefect.variables.v }}"]
    return {CHANCE.choice("ABCD"): CHANCE.choice(values) for _ in range(CHANCE.randint(0, 3))}


def variables():
    chosen = {name: value() for name in CHANCE.sample(["a", "b", "c", "image", "cpu"], CHANCE.randint(0, 3))}
    if CHANCE.random() < 0.5:
        chosen["env"] = env()
    if CHANCE.random() < 0.3:
        chosen[CHANCE.choice(["env.A", "env.E", "a.b", "a.b.c", "a[0]", "c.x"])] = value()
    return chosen


def case():
    properties = {}
    for name in ["a", "b", "c", "image", "cpu", "größe"]:
        if CHANCE.random() < 0.5:
            properties[name] = {"default": value()} if CHANCE.random() < 0.8 else {}
    if CHANCE.random() < 0.5:
        properties["env"] = {"default": env()} if CHANCE.random() < 0.7 else {}
    configuration = {key: value() for key in CHANCE.sample("fghi", 3)}
    kind = CHANCE.random()
    if kind < 0.8:
        configuration["env"] = "{{ env }}" if kind < 0.4 else env()
    template = {"job_configuration": configuration, "variables": {"properties": properties}}
    return {"template": template, "deployment": variables(), "run": variables()}


class Captured:
    """Takes the place of the job configuration's class: keeps what it would be made from."""

    _get_base_config_defaults = staticmethod(BaseJobConfiguration._get_base_config_defaults)

    def __init__(self, **fields):
        self.fields = fields


class Served:
    def __init__(self, **fields):
        self.__dict__.update(fields)


class Server:
    async def read_block_document(self, block_id, **_):
        return Served(data=copy.deepcopy(BLOCKS[str(block_id)]))

    async def read_block_document_by_name(self, name, block_type_slug, **_):
        return Served(data=copy.deepcopy(BLOCKS[f"{block_type_slug}/{name}"]))

    async def read_variable_by_name(self, name, **_):
        return Served(value=VARIABLES[name]) if name in VARIABLES else None

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass


async def made(given):
    """As the worker does: the run's variables over the deployment's, then over the template."""
    given = copy.deepcopy(given)
    job_variables, run = given["deployment"], given["run"]
    if isinstance(job_variables.get("env"), dict):
        job_variables["env"].update(run.pop("env", {}))
    job_variables.update(run)
    captured = await BaseJobConfiguration.from_template_and_values.__func__(
        Captured, base_job_template=given["template"], values=job_variables, client=Server()
    )
    return captured.fields


async def main():
    cases = []
    while len(cases) < WANTED:
        given = case()
        try:
            cases.append({"in": given, "out": await made(given)})
        except (ValueError, TypeError):
            cases.append({"in": given, "refused": True})
    about = f"What the worker base class of Prefect {VERSION} made of random templates and variables"
    json.dump(
        {"about": about, "version": VERSION, "blocks": BLOCKS, "variables": VARIABLES, "cases": cases}, sys.stdout
    )


asyncio.run(main())
