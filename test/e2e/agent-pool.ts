/**
 * A pool for agents of 2.20: deployments that bring a Control Plane infrastructure block, made with Prefect's own Python
 * as any user of agents makes them, run as jobs; infrastructure of other kinds is left alone.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { access, agentCommand, startAgent } from "../../scripts/local/agent.ts"
import { flowFolder } from "../../scripts/local/deployments.ts"
import { isFinal } from "../../scripts/local/prefect-server.ts"
import { type Running, run } from "../../scripts/local/process.ts"
import { promises, readRecord, settled } from "../../scripts/local/run-record.ts"
import type { World } from "../../scripts/local/world.ts"
import { type Suite, keeps, must } from "./suite.ts"

// Not the name of the manual: the test of its scripts has that pool on the same server.
const poolName = "pool-of-agents"

const manifest = {
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: { labels: { team: "data" } },
  spec: {
    template: {
      spec: {
        parallelism: 1,
        completions: 1,
        restartPolicy: "Never",
        containers: [{ name: "prefect-job", env: [{ name: "FROM_MANIFEST", value: "1" }] }]
      }
    }
  }
}

/** The reference's classes by slug and fields; all else is Prefect's own. */
const python = `
import json, sys
from typing import Any, Dict, List, Literal, Optional
from prefect.blocks.core import Block
from prefect.deployments import Deployment
from prefect.infrastructure import Infrastructure, Process

class CplnInfrastructureConfig(Block):
    _block_type_name = "Control Plane Infrastructure Config"
    _block_type_slug = "control-plane-infrastructure-config"
    token: Optional[str] = None

class CplnInfrastructure(Infrastructure):
    _block_type_name = "Control Plane Infrastructure"
    _block_type_slug = "control-plane-infrastructure"
    type: Literal["cpln-infrastructure"] = "cpln-infrastructure"
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

    async def run(self, task_status=None):
        raise NotImplementedError("the agent does it")

    def preview(self):
        return ""

path, pool = sys.argv[1], sys.argv[2]
ids = {}
for name, infrastructure, overrides in [
    ("plain", CplnInfrastructure.load("cpln-infra"), {}),
    ("overridden", CplnInfrastructure.load("cpln-infra"), {"env.STAGE": "production", "image": "flows:2"}),
    ("wrong", CplnInfrastructure.load("cpln-infra"), {"job_type": "Not A Type"}),
    ("process", Process(), {}),
]:
    deployment = Deployment(
        name=name,
        flow_name="completes",
        path=path,
        entrypoint="flows.py:completes",
        infrastructure=infrastructure,
        infra_overrides=overrides,
        work_pool_name=pool,
    )
    ids[name] = str(deployment.apply())
print("IDS", json.dumps(ids))
`

interface Row {
  readonly id: string
}

/** Waits for words in the agent's output; a pool for agents lists no workers. */
const says = (agent: Running, words: string) =>
  Effect.gen(function* () {
    while (!agent.output().includes(words)) yield* Effect.sleep("100 millis")
  }).pipe(Effect.timeout("30 seconds"))

export const agentPoolTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const { agent, cpln, folder, place, prefect } = world
  const home = join(folder, "agent-pool")
  mkdirSync(home, { recursive: true })
  const env = access(prefect, cpln)

  yield* agentCommand({ agent, args: ["blocks", "register"], home: join(home, "register"), env })
  const document = Effect.fnUntraced(function* (
    slug: string,
    name: string,
    data: Readonly<Record<string, unknown>>
  ) {
    const type = yield* prefect.get<Row>(`/block_types/slug/${slug}`)
    const [schema] = yield* prefect.post<ReadonlyArray<Row>>("/block_schemas/filter", {
      block_schemas: { block_type_id: { any_: [type.id] } }
    })
    const made = yield* prefect.post<Row>("/block_documents/", {
      name,
      block_type_id: type.id,
      block_schema_id: schema?.id,
      data,
      is_anonymous: false
    })
    return made.id
  })
  const config = yield* document("control-plane-infrastructure-config", "cpln-infra-config", {
    token: cpln.token
  })
  yield* document("control-plane-infrastructure", "cpln-infra", {
    config: { $ref: { block_document_id: config } },
    org: place.org,
    namespace: place.gvc,
    location: place.location,
    env: { STAGE: "test" },
    image: "flows:1",
    job: manifest,
    customizations: [
      { op: "add", path: "/spec/template/spec/containers/0/workingDir", value: "/" },
      {
        op: "add",
        path: "/spec/template/spec/containers/0/resources",
        value: { limits: { cpu: "250m", memory: "512Mi" } }
      }
    ]
  })
  yield* prefect.createPool(poolName, "prefect-agent")
  const pool = yield* prefect.pool(poolName)
  writeFileSync(join(home, "deployments.py"), python)
  const output = yield* run({
    name: "python deployments.py",
    command: join(prefect.venv.bin, "python"),
    args: [join(home, "deployments.py"), flowFolder(home), poolName],
    env: prefect.clientEnv,
    logFile: join(home, "deployments.log"),
    cwd: home
  })
  const ids = JSON.parse(/IDS (.*)/u.exec(output)?.[1] ?? "{}") as Readonly<Record<string, string>>

  // Without a credential of its own: the block's config has to do.
  const { CPLN_TOKEN: _ofTheBlock, ...withoutToken } = env
  const running = yield* startAgent({
    agent,
    args: ["--pool", poolName, "--interval", "5", "--query-interval", "0.5", "--name", "agent-pool-1"],
    home: join(home, "agent"),
    env: withoutToken
  })
  yield* says(running, `serves work pool "${poolName}"`)

  const finished = (id: string) =>
    settled(readRecord(prefect, cpln, place, id), (seen) =>
      promises(
        seen,
        { state: "COMPLETED", stages: ["completed"], output: "printed by the flow process" },
        { place, pool, agentOutput: running.output(), agentName: "agent-pool-1" }
      )
    )

  yield* suite.test(
    "agent pool: a deployment with a Control Plane infrastructure block runs to its end",
    Effect.gen(function* () {
      const { id } = yield* prefect.run(ids["plain"] ?? "")
      yield* prefect.waitFor(id, isFinal, 120)
      const { checks, record } = yield* finished(id)
      yield* keeps(checks)
      const [container] = record.commands[0]?.command.spec.containerOverrides ?? []
      const values = Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value]))
      yield* must(
        container?.image === "flows:1" && values["STAGE"] === "test" && values["FROM_MANIFEST"] === "1",
        JSON.stringify(container)
      )
      yield* must(
        record.commands[0]?.command.tags?.["team"] === "data",
        JSON.stringify(record.commands[0]?.command.tags)
      )
      yield* must(!JSON.stringify(record).includes(cpln.token), "the block's token is in the records")
    }),
    "4 minutes"
  )

  yield* suite.test(
    "agent pool: infra_overrides and customizations reach the job",
    Effect.gen(function* () {
      const { id } = yield* prefect.run(ids["overridden"] ?? "")
      yield* prefect.waitFor(id, isFinal, 120)
      const { checks, record } = yield* finished(id)
      yield* keeps(checks)
      const [container] = record.commands[0]?.command.spec.containerOverrides ?? []
      const values = Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value]))
      const sizes = container as { readonly cpu?: string } | undefined
      yield* must(
        container?.image === "flows:2" && values["STAGE"] === "production" && sizes?.cpu === "250m",
        JSON.stringify(container)
      )
    }),
    "4 minutes"
  )

  yield* suite.test(
    "agent pool: a block that cannot be a job is refused with the reason, and nothing is started",
    Effect.gen(function* () {
      const { id } = yield* prefect.run(ids["wrong"] ?? "")
      const over = yield* prefect.waitFor(id, isFinal, 60)
      yield* must(
        over.state_type === "CRASHED" && /job_type/u.test(over.state.message ?? ""),
        `${over.state_name}: ${over.state.message}`
      )
      const { commands } = yield* readRecord(prefect, cpln, place, id)
      yield* must(commands.length === 0, `${commands.length} commands`)
    })
  )

  yield* suite.test(
    "agent pool: infrastructure of another kind is left alone, and that is said once",
    Effect.gen(function* () {
      const first = yield* prefect.run(ids["process"] ?? "")
      const second = yield* prefect.run(ids["process"] ?? "")
      yield* says(running, "left to other agents of the pool")
      // A dozen polls, every one of which offers both runs.
      yield* Effect.sleep("6 seconds")
      for (const { id } of [first, second]) {
        const seen = yield* prefect.flowRun(id)
        const states = yield* prefect.states(id)
        yield* must(
          seen.state_type === "SCHEDULED" && states.every(({ type }) => type === "SCHEDULED"),
          `${seen.state_name}: ${seen.state.message}`
        )
        yield* must((yield* prefect.logs(id)).length === 0, "something was written into its log")
      }
      const said = running.output().split("left to other agents of the pool").length - 1
      yield* must(said === 1, `said ${said} times`)
    })
  )

  yield* suite.test(
    "agent pool: there is no worker of ours, and the pool's template stays as it was",
    Effect.gen(function* () {
      yield* must((yield* prefect.workers(poolName)).length === 0, "the pool lists a worker")
      const now = yield* prefect.pool(poolName)
      yield* must(
        JSON.stringify(now.base_job_template) === JSON.stringify(pool.base_job_template),
        JSON.stringify(now.base_job_template)
      )
    })
  )
})
