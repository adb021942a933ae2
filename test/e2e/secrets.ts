/**
 * Jobs that read secrets of Control Plane: single keys, whole dictionaries, and the Prefect credential itself; with an
 * identity and a policy that the agent makes, or that a person applies as a refusal says.
 */
import { createHash } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { parseAllDocuments } from "yaml"
import { access, agentCommand, online, startAgent } from "../../scripts/local/agent.ts"
import { deploy } from "../../scripts/local/deployments.ts"
import { ask } from "../../scripts/local/http.ts"
import { isFinal } from "../../scripts/local/prefect-server.ts"
import { readRecord } from "../../scripts/local/run-record.ts"
import type { World } from "../../scripts/local/world.ts"
import { type Suite, must } from "./suite.ts"

const values = {
  DB_PASSWORD: "the-password-of-the-database",
  APP_MODE: "the-mode-of-the-app",
  APP_REGION: "the-region-of-the-app",
  PREFECT_API_KEY: "the-key-of-the-server"
}

const digest = (text: string) => createHash("sha256").update(text).digest("hex")

/** Compares by digest, so that no log ever holds a value. */
const flows = `
import hashlib, os
from prefect import flow

@flow
def reads(wanted: dict):
    seen = {name: hashlib.sha256(os.environ.get(name, "").encode()).hexdigest() for name in wanted}
    wrong = sorted(name for name in wanted if seen[name] != wanted[name])
    if wrong:
        raise ValueError(f"not as they should be: {wrong}")
`

interface Policy {
  readonly targetLinks: ReadonlyArray<string>
  readonly bindings: ReadonlyArray<{ readonly principalLinks: ReadonlyArray<string> }>
}

export const secretTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const { agent, cpln, folder, place, prefect } = world
  const home = join(folder, "secrets")
  mkdirSync(join(home, "flows"), { recursive: true })
  writeFileSync(join(home, "flows", "flows.py"), flows)
  const orgPath = `/org/${place.org}`
  for (const [name, data] of Object.entries({
    "e2e-db": { password: values.DB_PASSWORD },
    "e2e-app": { MODE: values.APP_MODE, REGION: values.APP_REGION },
    "e2e-prefect": { KEY: values.PREFECT_API_KEY }
  })) {
    yield* cpln.post(`${orgPath}/secret`, { name, type: "dictionary", data })
  }

  const env = { ...access(prefect, cpln), PREFECT_API_KEY: values.PREFECT_API_KEY }
  const places = ["--org", place.org, "--gvc", place.gvc, "--location", place.location]
  const outputs: Array<() => string> = []
  /** A pool whose jobs take the whole of one dictionary, an agent for it, and a deployment in it. */
  const serve = Effect.fnUntraced(function* (pool: string, ...args: ReadonlyArray<string>) {
    yield* agentCommand({ agent, args: ["pool", "create", pool, ...places], home: join(home, pool), env })
    const made = yield* prefect.pool(pool)
    const template = structuredClone(made.base_job_template) as {
      readonly job_configuration: {
        readonly job_manifest: {
          readonly spec: {
            readonly template: { readonly spec: { readonly containers: Array<Record<string, unknown>> } }
          }
        }
      }
    }
    const [container] = template.job_configuration.job_manifest.spec.template.spec.containers
    if (container !== undefined) {
      container["envFrom"] = [{ prefix: "APP_", secretRef: { name: "e2e-app" } }]
    }
    yield* prefect.patch(`/work_pools/${pool}`, { base_job_template: template })
    const ids = yield* deploy(prefect, [
      {
        name: pool,
        pool,
        source: join(home, "flows"),
        entrypoint: "flows.py:reads",
        parameters: {
          wanted: Object.fromEntries(Object.entries(values).map(([name, value]) => [name, digest(value)]))
        },
        job_variables: { env: { DB_PASSWORD: "cpln://secret/e2e-db.password" } }
      }
    ])
    return yield* startOne(pool, ids[pool] ?? "", args)
  })
  const startOne = Effect.fnUntraced(function* (
    pool: string,
    deployment: string,
    args: ReadonlyArray<string>
  ) {
    const name = `${pool}-${outputs.length}`
    const running = yield* startAgent({
      agent,
      args: ["--pool", pool, "--name", name, "--interval", "5", ...args],
      home: join(home, name),
      env
    })
    outputs.push(running.output)
    yield* online(running, prefect, pool)
    const once = Effect.gen(function* () {
      const { id } = yield* prefect.run(deployment)
      yield* prefect.waitFor(id, isFinal, 120)
      return yield* readRecord(prefect, cpln, place, id)
    })
    return { pool, deployment, running, once }
  })
  const keySecret = ["--job-api-key-secret", "e2e-prefect.KEY"]

  yield* Effect.scoped(
    Effect.gen(function* () {
      const managed = yield* serve("secrets-managed", ...keySecret)
      const { id: poolId } = yield* prefect.pool(managed.pool)
      yield* suite.test(
        "secrets: a job reads single keys, whole dictionaries and its Prefect credential; identity and policy are made for it",
        Effect.gen(function* () {
          const record = yield* managed.once
          yield* must(
            record.run.state_type === "COMPLETED",
            `${record.run.state_name}: ${record.run.state.message}`
          )
          const workload = record.commands[0]?.workload ?? "none"
          const text = JSON.stringify([record.commands, yield* cpln.workloads(place)])
          yield* must(
            Object.values(values).every((value) => !text.includes(value)),
            "a value stands in a command or a workload"
          )
          const policy = yield* cpln.get<Policy>(`${orgPath}/policy/${workload}-reveal-policy`)
          yield* must(
            JSON.stringify([...policy.targetLinks].sort()) ===
              JSON.stringify(["e2e-app", "e2e-db", "e2e-prefect"].map((name) => `${orgPath}/secret/${name}`)),
            JSON.stringify(policy)
          )
          const identity = `${orgPath}/gvc/${place.gvc}/identity/${workload}-identity`
          yield* must(policy.bindings[0]?.principalLinks[0] === identity, JSON.stringify(policy))
          yield* cpln.get(identity)
        }),
        "4 minutes"
      )
      yield* suite.test(
        "secrets: a workload that somebody edited is put right by the next agent that uses it",
        Effect.gen(function* () {
          const [before] = (yield* cpln.workloads(place)).filter(
            ({ tags }) => tags?.["prefect.io/work-pool-id"] === poolId
          )
          const path = `${orgPath}/gvc/${place.gvc}/workload/${before?.name}`
          yield* ask(
            "PATCH",
            `${cpln.url}${path}`,
            { spec: { job: { restartPolicy: "OnFailure" } } },
            { authorization: `Bearer ${cpln.token}` }
          )
          const next = yield* startOne(managed.pool, managed.deployment, keySecret)
          // Either agent may launch it, and the older one looks again only after a minute.
          yield* managed.running.stop()
          const record = yield* next.once
          yield* must(
            record.run.state_type === "COMPLETED",
            `${record.run.state_name}: ${record.run.state.message}`
          )
          const after = yield* cpln.get<{
            readonly spec: { readonly job: { readonly restartPolicy: string } }
          }>(path)
          yield* must(after.spec.job.restartPolicy === "Never", JSON.stringify(after.spec.job))
          yield* must(
            /spec\.job\.restartPolicy\): put right/u.test(next.running.output()),
            "the agent did not say so"
          )
        }),
        "4 minutes"
      )
    })
  )

  yield* Effect.scoped(
    Effect.gen(function* () {
      const given = yield* serve("secrets-given", "--identities", "given", ...keySecret)
      yield* suite.test(
        "secrets: without the right to make identities a job is refused with what to apply; applied, it runs",
        Effect.gen(function* () {
          const refused = yield* given.once
          const message = refused.run.state.message ?? ""
          yield* must(
            refused.run.state_type === "CRASHED" && refused.commands.length === 0,
            `${refused.run.state_name}: ${message}`
          )
          for (const each of parseAllDocuments(message.slice(message.indexOf("\nkind:") + 1))) {
            const body = each.toJS() as Readonly<Record<string, unknown>>
            const path =
              body["kind"] === "identity" ? `/gvc/${place.gvc}/identity` : `/${String(body["kind"])}`
            const answer = yield* cpln.post(`${orgPath}${path}`, body)
            yield* must(answer.status === 201, `${answer.status} ${answer.text}`)
          }
          const { run } = yield* given.once
          yield* must(run.state_type === "COMPLETED", `${run.state_name}: ${run.state.message}`)
        }),
        "5 minutes"
      )
    })
  )

  yield* suite.test(
    "secrets: no output of the agents holds a value, and none warns of plain credentials",
    Effect.suspend(() => {
      const all = outputs.map((output) => output()).join("\n")
      const shown = Object.entries(values).filter(([, value]) => all.includes(value))
      return must(
        shown.length === 0 && !all.includes("as plain text"),
        `shown: ${shown.map(([name]) => name).join(", ")}`
      )
    })
  )
})
