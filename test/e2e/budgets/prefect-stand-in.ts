/**
 * Stands in for a Prefect server where only the number of requests matters: runs in memory, the routes that an agent asks
 * for, and every request counted by what it was for.
 *
 * Invariant: it accepts every proposal and forgets nothing, and is never used to show that a decision is right.
 */
import { createServer } from "node:http"
import { Effect } from "effect"
import { route } from "../../../scripts/local/counting-proxy.ts"

type Json = Record<string, unknown>

export interface StandIn {
  readonly api: string
  /** Requests since the last `reset`, by route; reads of many runs by what they ask for. */
  readonly counts: () => ReadonlyMap<string, number>
  readonly reset: () => void
  readonly runs: Map<string, Json>
  readonly add: (run: Json) => string
  /** An accepted claim, as an agent of this name makes it. */
  readonly claim: (id: string, transition: string, where: string, agent: string) => void
  /** What the engine reports, or a person asks for. */
  readonly set: (id: string, type: string, name?: string) => void
}

/** A cycle of the agent asks for the first page of the open runs once, and for as many further ones as there are. */
export const firstPage = "open runs"
export const laterPage = "open runs, a further page"

export const pool = {
  id: "0f3b6a52-97ea-4ffd-8d44-0cbf3d6e7b10",
  name: "budgets"
}
const flow = { id: "5d1d4f0e-7a43-4a9f-9d0c-1c8b2f6a7e11", name: "etl" }
const deployment = {
  id: "6a0f7f58-5a84-4a33-9d39-0f4b6b2f5c22",
  name: "nightly",
  flow_id: flow.id,
  path: "/opt/flows",
  entrypoint: "flows.py:etl",
  parameters: {},
  tags: [],
  job_variables: {},
  work_pool_name: pool.name
}
const workerNames = new Set<string>()

/** As large as a server's own row: about 2.3 kB. */
const rowOf = (run: Json): Json => ({
  created: now(),
  name: "industrious-goat",
  flow_id: flow.id,
  deployment_id: deployment.id,
  deployment_version: "2f1b6c0d9e8a47d6b5c4a39281706f5e",
  work_queue_id: "7b1e8f69-6b95-4b44-8e40-1a5c7c306d33",
  work_queue_name: "default",
  work_pool_id: pool.id,
  work_pool_name: pool.name,
  flow_version: "2f1b6c0d9e8a47d6b5c4a39281706f5e",
  parameters: { day: "2026-03-01", source: "s3://bucket/of/some/length/with/a/prefix", retries: 3 },
  idempotency_key: crypto.randomUUID(),
  context: {},
  empirical_policy: {
    max_retries: 0,
    retry_delay_seconds: 0,
    retries: 0,
    retry_delay: 0,
    pause_keys: [],
    resuming: false,
    retry_type: null
  },
  tags: [],
  labels: { "prefect.flow.id": flow.id, "prefect.deployment.id": deployment.id },
  parent_task_run_id: null,
  run_count: 0,
  expected_start_time: now(),
  next_scheduled_start_time: null,
  start_time: null,
  end_time: null,
  total_run_time: 0,
  estimated_run_time: 12.5,
  estimated_start_time_delta: 0.4,
  auto_scheduled: false,
  infrastructure_document_id: null,
  infrastructure_pid: null,
  created_by: { id: deployment.id, type: "DEPLOYMENT", display_value: deployment.name },
  job_variables: {},
  ...run
})

const now = () => new Date().toISOString()

const stateOf = (type: string, name: string, details: Json = {}, message: unknown = null): Json => ({
  id: crypto.randomUUID(),
  type,
  name,
  timestamp: now(),
  message,
  data: null,
  state_details: {
    flow_run_id: null,
    task_run_id: null,
    child_flow_run_id: null,
    scheduled_time: null,
    cache_key: null,
    pause_reschedule: false,
    transition_id: null,
    ...details
  }
})

export const prefectStandIn = (template: Json, version: string) =>
  Effect.acquireRelease(
    Effect.callback<StandIn & { readonly close: () => void }>((resume) => {
      const runs = new Map<string, Json>()
      const states = new Map<string, Array<Json>>()
      let counts = new Map<string, number>()

      const enter = (id: string, state: Json) => {
        states.set(id, [...(states.get(id) ?? []), state])
        const run = runs.get(id) ?? {}
        const type = String(state["type"])
        runs.set(id, {
          ...run,
          state,
          state_id: state["id"],
          state_type: type,
          state_name: state["name"],
          updated: now(),
          ...(type === "RUNNING" ? { start_time: now(), run_count: 1 } : {}),
          ...(["COMPLETED", "CRASHED", "CANCELLED", "FAILED"].includes(type) ? { end_time: now() } : {})
        })
      }

      const filtered = (body: Json): ReadonlyArray<Json> => {
        const { id, state } = (body["flow_runs"] ?? {}) as {
          readonly id?: { readonly any_: ReadonlyArray<string> }
          readonly state?: {
            readonly operator?: string
            readonly name?: { readonly any_: ReadonlyArray<string> }
            readonly type?: { readonly any_: ReadonlyArray<string> }
          }
        }
        const rows = [...runs.values()].filter(
          (run) => id === undefined || id.any_.includes(String(run["id"]))
        )
        const fits = (values: { readonly any_: ReadonlyArray<string> } | undefined, value: unknown) =>
          values === undefined || values.any_.includes(String(value))
        const found = rows.filter((row) => {
          const [type, name] = [fits(state?.type, row["state_type"]), fits(state?.name, row["state_name"])]
          return state?.operator === "or_" ? type || name : type && name
        })
        const offset = Number(body["offset"] ?? 0)
        return found.slice(offset, offset + Number(body["limit"] ?? 200))
      }

      const due = (body: Json) =>
        [...runs.values()]
          .filter(
            (run) =>
              run["state_type"] === "SCHEDULED" &&
              String(run["expected_start_time"]) <= String(body["scheduled_before"])
          )
          .slice(0, Number(body["limit"] ?? 200))
          .map((run) => ({
            work_pool_id: pool.id,
            work_queue_id: run["work_queue_id"],
            flow_run: { ...run, state: null }
          }))

      const propose = (id: string, { state }: { readonly state?: Json }) => {
        const asked = state ?? {}
        const type = String(asked["type"])
        const made = stateOf(
          type,
          String(asked["name"] ?? `${type.slice(0, 1)}${type.slice(1).toLowerCase()}`),
          asked["state_details"] as Json,
          asked["message"] ?? null
        )
        enter(id, made)
        return { state: made, status: "ACCEPT", details: { type: "accept_details" } }
      }

      /** What the answer is, and which name the request is counted by. */
      const answer = (method: string, path: string, body: Json): readonly [string, unknown, number?] => {
        const name = route(method, path)
        const id = /\/flow_runs\/([^/?]+)/u.exec(path)?.[1] ?? ""
        if (path.startsWith("/api/admin/version")) return [name, version]
        if (path.startsWith("/api/csrf-token")) return [name, { detail: "off" }, 422]
        if (path.endsWith("/flow_runs/filter")) {
          const asked = JSON.stringify(body["flow_runs"] ?? {})
          const what = asked.includes("RUNNING")
            ? Number(body["offset"] ?? 0) === 0
              ? firstPage
              : laterPage
            : asked.includes('"id"')
              ? "runs by id"
              : "cancelled or waiting"
          return [`${name} (${what})`, filtered(body)]
        }
        if (path.includes("get_scheduled_flow_runs")) return [name, due(body)]
        if (path.endsWith("/set_state")) return [name, propose(id, body), 201]
        if (path.includes("/flow_run_states/"))
          return [name, states.get(/flow_run_id=([^&]+)/u.exec(path)?.[1] ?? "") ?? []]
        if (path.includes("/flow_runs/")) {
          const run = runs.get(id)
          if (run === undefined) return [name, { detail: "not found" }, 404]
          if (method === "PATCH" && !path.endsWith("/labels"))
            runs.set(id, { ...run, ...body, updated: now() })
          return method === "PATCH" ? [name, undefined, 204] : [name, run]
        }
        if (path.includes("/deployments/")) return [name, deployment]
        if (path.includes("/flows/")) return [name, flow]
        if (path.endsWith("/workers/filter"))
          return [
            name,
            [...workerNames].map((each) => ({ name: each, status: "ONLINE", last_heartbeat_time: now() }))
          ]
        if (path.endsWith("/workers/heartbeat")) {
          workerNames.add(String(body["name"]))
          return [name, undefined, 204]
        }
        if (path.endsWith("/queues/filter")) return [name, [{ id: "q", name: "default", priority: 1 }]]
        if (method === "GET" && path.includes("/work_pools/"))
          return [
            name,
            { ...pool, type: "cpln", status: "READY", is_paused: false, base_job_template: template }
          ]
        return [name, undefined, 204]
      }

      const server = createServer((incoming, outgoing) => {
        const parts: Array<Buffer> = []
        incoming.on("data", (part: Buffer) => parts.push(part))
        incoming.on("end", () => {
          const text = Buffer.concat(parts).toString("utf8")
          const parsed: unknown = text === "" ? {} : JSON.parse(text)
          const [name, value, status = 200] = answer(
            incoming.method ?? "GET",
            incoming.url ?? "/",
            Array.isArray(parsed) ? {} : (parsed as Json)
          )
          counts.set(name, (counts.get(name) ?? 0) + 1)
          outgoing.writeHead(status, { "content-type": "application/json", date: new Date().toUTCString() })
          outgoing.end(value === undefined ? undefined : JSON.stringify(value))
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(
          Effect.succeed({
            api: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/api`,
            counts: () => counts,
            reset: () => {
              counts = new Map()
            },
            runs,
            add: (run) => {
              const id = crypto.randomUUID()
              runs.set(id, rowOf({ ...run, id }))
              enter(id, stateOf("SCHEDULED", "Scheduled", { scheduled_time: now() }))
              return id
            },
            claim: (id, transition, where, agent) =>
              enter(
                id,
                stateOf(
                  "PENDING",
                  "Pending",
                  { transition_id: transition },
                  `Claimed by ${agent} | attempt ${transition} | ${where} | try 1`
                )
              ),
            set: (id, type, name = `${type.slice(0, 1)}${type.slice(1).toLowerCase()}`) =>
              enter(id, stateOf(type, name)),
            close: () => {
              server.closeAllConnections()
              server.close()
            }
          })
        )
      })
    }),
    ({ close }) => Effect.sync(close)
  )
