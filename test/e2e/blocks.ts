/**
 * Blocks: what `agent blocks` registers and creates on a stock server, and that Python classes of the reference's shape and
 * this program read each other's documents. On a server of its own, which has never seen the block types.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { agentCommand } from "../../scripts/local/agent.ts"
import { type PrefectServer, prefectServer } from "../../scripts/local/prefect-server.ts"
import { ProcessFailed, run } from "../../scripts/local/process.ts"
import type { World } from "../../scripts/local/world.ts"
import { Broken, type Suite, must } from "./suite.ts"

const slugs = [
  "control-plane-configuration",
  "control-plane-credentials",
  "cpln-job",
  "control-plane-infrastructure-config",
  "control-plane-infrastructure"
]

const token = "the-token-of-a-service-account"
const other = "another-service-account-s-token"
const hidden = "********"

interface TypeRow {
  readonly id: string
  readonly updated: string
  readonly code_example: string
}

interface SchemaRow {
  readonly id: string
  readonly checksum: string
  readonly fields: { readonly secret_fields: ReadonlyArray<string> }
}

interface Document {
  readonly id: string
  readonly data: Readonly<Record<string, unknown>>
  readonly block_schema_id: string
}

const manifest = `# As for kubectl.
apiVersion: batch/v1
kind: Job
metadata:
  labels: {}
spec:
  template:
    spec:
      parallelism: 1
      completions: 1
      restartPolicy: Never
      containers:
        - name: prefect-job
          env: []
`

/** The reference's classes, by name, slug and fields; its tokens are plain texts. */
const python = `
import json, sys
from typing import Any, Dict, List, Literal, Optional
from prefect.blocks.core import Block

class CplnInfrastructureConfig(Block):
    _block_type_name = "Control Plane Infrastructure Config"
    _block_type_slug = "control-plane-infrastructure-config"
    token: Optional[str] = None

class CplnInfrastructure(Block):
    _block_type_name = "Control Plane Infrastructure"
    _block_type_slug = "control-plane-infrastructure"
    _block_schema_capabilities = ["run-infrastructure"]
    type: Literal["cpln-infrastructure"] = "cpln-infrastructure"
    env: Dict[str, Optional[str]] = {}
    labels: Dict[str, str] = {}
    name: Optional[str] = None
    command: Optional[List[str]] = None
    config: Optional[CplnInfrastructureConfig] = None
    org: Optional[str] = None
    namespace: Optional[str] = None
    location: Optional[str] = None
    service_account_name: Optional[str] = None
    job_type: Optional[str] = None
    job: Dict[str, Any] = {}
    customizations: List[Dict[str, Any]] = []
    image: Optional[str] = None
    job_watch_timeout_seconds: Optional[int] = None
    pod_watch_timeout_seconds: int = 60
    stream_output: bool = True

class CplnConfig(Block):
    _block_type_name = "Control Plane Configuration"
    _block_type_slug = "control-plane-configuration"
    token: Optional[str] = None

class CplnCredentials(Block):
    _block_type_name = "Control Plane Credentials"
    _block_type_slug = "control-plane-credentials"
    config: Optional[CplnConfig] = None

class CplnJob(Block):
    _block_type_name = "Control Plane Job"
    _block_type_slug = "cpln-job"
    credentials: Optional[CplnCredentials] = None
    org: Optional[str] = None
    namespace: Optional[str] = None
    location: Optional[str] = None
    v1_job: Dict[str, Any]
    delete_after_completion: bool = True
    interval_seconds: int = 5
    timeout_seconds: Optional[int] = None

if sys.argv[1] == "load":
    infra = CplnInfrastructure.load("cpln-infra")
    job = CplnJob.load("my-cpln-job")
    print("LOADED", json.dumps({
        "token": infra.config.token, "env": infra.env, "image": infra.image, "command": infra.command,
        "kind": infra.job["kind"], "labels": infra.job["metadata"]["labels"],
        "jobToken": job.credentials.config.token, "jobKind": job.v1_job["kind"],
        "keep": not job.delete_after_completion, "generic": Block.load("cpln-job/my-cpln-job").org,
    }))
elif sys.argv[1] == "save":
    config = CplnInfrastructureConfig(token=sys.argv[2])
    config.save("from-python")
    CplnInfrastructure(config=config, image="i:2", env={"A": "1"}, job={"kind": "Job"}).save("from-python")
    CplnInfrastructure(config=CplnInfrastructureConfig(token=sys.argv[2]), job={}).save("inline")
elif sys.argv[1] == "reload":
    print("LOADED", json.dumps([
        CplnInfrastructureConfig.load("from-python").token,
        CplnInfrastructure.load("from-python").config.token,
        CplnInfrastructure.load("inline").config.token,
    ]))
`

const readers = (prefect: PrefectServer) => ({
  type: (slug: string) => prefect.get<TypeRow>(`/block_types/slug/${slug}`),
  schemas: (id: string) =>
    prefect.post<ReadonlyArray<SchemaRow>>("/block_schemas/filter", {
      block_schemas: { block_type_id: { any_: [id] } }
    }),
  document: (slug: string, name: string, withSecrets: boolean) =>
    prefect.get<Document>(
      `/block_types/slug/${slug}/block_documents/name/${name}?include_secrets=${withSecrets}`
    )
})

const same = (seen: unknown, wanted: unknown, what: string) =>
  must(
    JSON.stringify(seen) === JSON.stringify(wanted),
    `${what}: ${JSON.stringify(seen)}, wanted ${JSON.stringify(wanted)}`
  )

export const blocksTests = Effect.fnUntraced(function* (
  suite: Suite,
  world: Pick<World, "prefect" | "folder" | "agent">
) {
  const home = join(world.folder, "blocks")
  mkdirSync(home, { recursive: true })
  const prefect = yield* prefectServer(world.prefect.venv, home)
  const read = readers(prefect)
  const jobFile = join(home, "job_template.yaml")
  writeFileSync(jobFile, manifest)
  writeFileSync(join(home, "blocks.py"), python)

  const all: Array<string> = []
  const blocks = (
    args: ReadonlyArray<string>,
    env: Readonly<Record<string, string>> = {},
    agent = world.agent
  ) =>
    agentCommand({
      agent,
      args: ["blocks", ...args],
      // A folder for each, because the output of one is the whole log file.
      home: join(home, `command-${all.push("")}`),
      env: { PREFECT_API_URL: prefect.api, ...env }
    }).pipe(
      Effect.tap((output) => Effect.sync(() => all.push(output))),
      Effect.tapError((error) => Effect.sync(() => all.push(error.output)))
    )
  const refusal = (args: ReadonlyArray<string>, env?: Readonly<Record<string, string>>) =>
    blocks(args, env).pipe(
      Effect.flip,
      Effect.flatMap((error) =>
        error instanceof ProcessFailed && error.code === 1
          ? Effect.succeed(error.output)
          : Effect.fail(new Broken({ text: String(error) }))
      )
    )
  const inPython = (...args: ReadonlyArray<string>) =>
    run({
      name: `python blocks.py ${args[0]}`,
      command: join(prefect.venv.bin, "python"),
      args: [join(home, "blocks.py"), ...args],
      env: prefect.clientEnv,
      logFile: join(home, `python-${args[0]}.log`),
      cwd: home
    }).pipe(Effect.map((output) => JSON.parse(/LOADED (.*)/u.exec(output)?.[1] ?? "null") as unknown))

  yield* suite.test(
    "blocks register: a stock server knows all block types, with tokens as secret fields",
    Effect.gen(function* () {
      yield* blocks(["register"])
      for (const slug of slugs) {
        const [schema, ...others] = yield* read.schemas((yield* read.type(slug)).id)
        yield* must(schema !== undefined && others.length === 0, `${slug} has ${others.length + 1} schemas`)
        const secrets = schema?.fields.secret_fields ?? []
        yield* must(
          secrets.length === 1 && secrets[0]?.endsWith("token") === true,
          `${slug}: ${secrets.join()}`
        )
      }
    })
  )

  yield* suite.test(
    "blocks register: a second run changes nothing and says so",
    Effect.gen(function* () {
      const rows = Effect.forEach(slugs, (slug) =>
        Effect.gen(function* () {
          const type = yield* read.type(slug)
          return [type, yield* read.schemas(type.id)]
        })
      )
      const before = yield* rows
      const output = yield* blocks(["register"])
      yield* must(/nothing was changed/u.test(output), output)
      yield* same(yield* rows, before, "the server's rows")
    })
  )

  yield* suite.test(
    "blocks create: documents of all types, whose tokens the server hides",
    Effect.gen(function* () {
      const withToken = { CPLN_TOKEN: token }
      yield* blocks(["create", "control-plane-infrastructure-config", "cpln-infra-config"], withToken)
      yield* blocks(
        ["create", "control-plane-configuration", "prod", "--token-stdin"],
        { GIVEN: token, CPLN_TOKEN: other },
        ["sh", "-c", 'printf "%s\\n" "$GIVEN" | exec "$0" "$@"', ...world.agent]
      )
      yield* blocks(["create", "control-plane-credentials", "prod", "--config", "prod"])
      const flags = "--config cpln-infra-config --image /org/acme/image/flows:v1 --env A=1 --env B=x=y"
      yield* blocks(
        ["create", "control-plane-infrastructure", "cpln-infra", "--job", jobFile, "--command"].concat(
          "python -m 'prefect.engine'",
          flags.split(" ")
        )
      )
      const jobFlags = "--credentials prod --org acme --keep --timeout 60"
      yield* blocks(["create", "cpln-job", "my-cpln-job", "--job", jobFile].concat(jobFlags.split(" ")))
      const at = (data: unknown, ...keys: ReadonlyArray<string>) =>
        keys.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], data)
      for (const [slug, name, ...path] of [
        ["control-plane-configuration", "prod", "token"],
        ["control-plane-credentials", "prod", "config", "token"],
        ["cpln-job", "my-cpln-job", "credentials", "config", "token"],
        ["control-plane-infrastructure-config", "cpln-infra-config", "token"],
        ["control-plane-infrastructure", "cpln-infra", "config", "token"]
      ] as const) {
        const shown = yield* read.document(slug, name, false)
        yield* same(at(shown.data, ...path), hidden, `${slug} without secrets`)
        const full = yield* read.document(slug, name, true)
        yield* same(at(full.data, ...path), token, `${slug} with secrets`)
      }
    })
  )

  yield* suite.test(
    "blocks create: Python classes load what was created",
    Effect.gen(function* () {
      yield* same(
        yield* inPython("load"),
        {
          token,
          env: { A: "1", B: "x=y" },
          image: "/org/acme/image/flows:v1",
          command: ["python", "-m", "prefect.engine"],
          kind: "Job",
          labels: {},
          jobToken: token,
          jobKind: "Job",
          keep: true,
          generic: "acme"
        },
        "what Python loads"
      )
    })
  )

  yield* suite.test(
    "blocks create: a block of that name is a clear error, and --replace puts the new one in its place",
    Effect.gen(function* () {
      const args = [
        "create",
        "control-plane-infrastructure",
        "cpln-infra",
        "--job",
        jobFile,
        "--image",
        "i:2"
      ]
      const before = yield* read.document("control-plane-infrastructure", "cpln-infra", true)
      const output = yield* refusal(args)
      yield* must(
        /control-plane-infrastructure\/cpln-infra exists already[^]*--replace/u.test(output),
        output
      )
      yield* same(
        yield* read.document("control-plane-infrastructure", "cpln-infra", true),
        before,
        "the block"
      )
      yield* blocks([...args, "--replace"])
      const after = yield* read.document("control-plane-infrastructure", "cpln-infra", true)
      yield* same(
        [after.id, after.data["image"], Object.keys(after.data).sort()],
        [before.id, "i:2", ["image", "job", "type"]],
        "the block"
      )
      yield* same(after.data["job"], before.data["job"], "its job")
    })
  )

  yield* suite.test(
    "blocks create: what cannot work is refused with what, where and what to do",
    Effect.gen(function* () {
      const missing = yield* refusal(["create", "control-plane-credentials", "dev", "--config", "nowhere"])
      yield* must(/control-plane-configuration\/nowhere[^]*agent blocks create/u.test(missing), missing)
      const noToken = yield* refusal(["create", "control-plane-configuration", "dev"])
      yield* must(/CPLN_TOKEN[^]*--token-stdin/u.test(noToken), noToken)
      const several = yield* refusal(["create", "cpln-job", "Not A Name", "--job", join(home, "none.yaml")])
      yield* must(/NAME: .*\n.*none\.yaml/u.test(several), several)
      yield* must((yield* prefect.post<unknown>("/block_documents/count", {})) === 5, "a block was made")
    })
  )

  yield* suite.test(
    "blocks register: Python's own registration and its documents are kept, and --protect hides their tokens",
    Effect.gen(function* () {
      yield* inPython("save", token)
      const slug = "control-plane-infrastructure-config"
      const type = yield* read.type(slug)
      const schemas = (yield* read.schemas(type.id)).length
      yield* must(schemas === 2, `${schemas} schemas`)
      const clear = yield* read.document(slug, "from-python", false)
      yield* same(clear.data["token"], token, "the reference's document without secrets")

      const again = yield* blocks(["register"])
      yield* must(/texts updated/u.test(again) && /--protect/u.test(again), again)
      yield* must(
        /control-plane-infrastructure-config\/from-python/u.test(again) &&
          /control-plane-infrastructure\/inline/u.test(again),
        again
      )
      yield* must(
        /prefect\.blocks\.cpln/u.test((yield* read.type(slug)).code_example),
        "the texts are not those of the reference"
      )

      yield* blocks(["register", "--protect"])
      for (const [kind, name] of [
        [slug, "from-python"],
        ["control-plane-infrastructure", "from-python"],
        ["control-plane-infrastructure", "inline"]
      ] as const) {
        const text = JSON.stringify(yield* read.document(kind, name, false))
        yield* must(!text.includes(token) && text.includes(hidden), `${kind}/${name} shows its token`)
      }
      yield* same(yield* inPython("reload"), [token, token, token], "what Python loads")
      const last = yield* blocks(["register"])
      yield* must(/nothing was changed/u.test(last) && !/--protect/u.test(last), last)
    })
  )

  yield* suite.test(
    "blocks list: names blocks and what stands in them",
    Effect.gen(function* () {
      const output = yield* blocks(["list"])
      yield* must(/^cpln-job\/my-cpln-job +\(credentials: prod\)$/mu.test(output), output)
    })
  )

  yield* suite.test(
    "no output of agent blocks holds a token",
    must(!all.some((output) => output.includes(token) || output.includes(other)), "a token was printed")
  )
})
