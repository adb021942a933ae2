/**
 * A real Prefect server on a free port of this machine, with a database of its own, and the reads and requests of an
 * operator against it.
 *
 * Invariant: stock. No patch, no setting but where it listens, where it keeps its files, and no telemetry.
 */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { Effect, Schedule } from "effect"
import { BadAnswer, ask, freePort, json } from "./http.ts"
import { type Running, start, tail } from "./process.ts"
import type { Venv } from "./prefect-venv.ts"

export interface State {
  readonly id: string
  readonly type: string
  readonly name: string
  readonly timestamp: string
  readonly message: string | null
  readonly state_details: { readonly transition_id?: string | null }
}

export interface FlowRun {
  readonly id: string
  readonly name: string
  readonly flow_id: string
  readonly deployment_id: string | null
  readonly state_type: string
  readonly state_name: string
  readonly state: State
  readonly expected_start_time: string
  readonly start_time: string | null
  readonly end_time: string | null
  readonly infrastructure_pid: string | null
  readonly tags: ReadonlyArray<string>
  readonly run_count: number
  readonly labels?: Readonly<Record<string, unknown>>
}

export interface LogRecord {
  readonly message: string
  readonly level: number
  readonly name: string
  readonly timestamp: string
}

export interface WorkerEvent {
  readonly event: string
  readonly related: ReadonlyArray<Readonly<Record<string, string>>>
}

export interface WorkPool {
  readonly id: string
  readonly name: string
  readonly type: string
  readonly status: string
  readonly base_job_template: Record<string, unknown>
}

export interface Worker {
  readonly name: string
  readonly status: string
  readonly last_heartbeat_time: string
}

export const isFinal = (run: FlowRun) =>
  ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"].includes(run.state_type) && run.state_name !== "Cancelling"

/** What an operator does and sees, with `api` as PREFECT_API_URL. */
export const operator = (api: string, headers: Record<string, string> = {}) => {
  const post = <A>(path: string, body: unknown) => json<A>("POST", `${api}${path}`, body, headers)
  const get = <A>(path: string) => json<A>("GET", `${api}${path}`, undefined, headers)
  return {
    api,
    get,
    post,
    patch: (path: string, body: unknown) => json<void>("PATCH", `${api}${path}`, body, headers),
    remove: (path: string) => json<void>("DELETE", `${api}${path}`, undefined, headers),
    run: (deployment: string, body: Record<string, unknown> = {}) =>
      post<FlowRun>(`/deployments/${deployment}/create_flow_run`, {
        state: { type: "SCHEDULED", message: null },
        // A busy server may have made the run all the same.
        idempotency_key: crypto.randomUUID(),
        ...body
      }),
    flowRun: (id: string) => get<FlowRun>(`/flow_runs/${id}`),
    /** All states of a run, oldest first. */
    states: (id: string) =>
      get<ReadonlyArray<State>>(`/flow_run_states/?flow_run_id=${id}`).pipe(
        Effect.map((states) => [...states].sort((a, b) => a.timestamp.localeCompare(b.timestamp)))
      ),
    logs: (id: string) =>
      post<ReadonlyArray<LogRecord>>("/logs/filter", {
        logs: { flow_run_id: { any_: [id] } },
        sort: "TIMESTAMP_ASC",
        limit: 200
      }),
    /** What workers told of a run, on servers that keep events: 3.x. */
    workerEvents: (id: string) =>
      post<{ readonly events: ReadonlyArray<WorkerEvent> }>("/events/filter", {
        filter: { event: { prefix: ["prefect.worker."] }, related: { id: [`prefect.flow-run.${id}`] } }
      }).pipe(Effect.map(({ events }) => events)),
    /** As the command line does; by force as the user interface does, over whatever the run is. */
    cancel: (id: string, force = false) =>
      post<{ status: string }>(`/flow_runs/${id}/set_state`, { state: { type: "CANCELLING" }, force }),
    pool: (name: string) => get<WorkPool>(`/work_pools/${encodeURIComponent(name)}`),
    createPool: (name: string, type: string, template: unknown = {}) =>
      post<WorkPool>("/work_pools/", { name, type, base_job_template: template }),
    workers: (pool: string) =>
      post<ReadonlyArray<Worker>>(`/work_pools/${encodeURIComponent(pool)}/workers/filter`, {}),
    queues: (pool: string) =>
      post<ReadonlyArray<{ readonly name: string }>>(
        `/work_pools/${encodeURIComponent(pool)}/queues/filter`,
        {}
      ),
    /** All flow runs of a pool, over all pages. */
    flowRuns: Effect.fnUntraced(function* (pool: string) {
      const found: Array<FlowRun> = []
      for (;;) {
        const page = yield* post<ReadonlyArray<FlowRun>>("/flow_runs/filter", {
          work_pools: { name: { any_: [pool] } },
          sort: "ID_DESC",
          limit: 200,
          offset: found.length
        })
        found.push(...page)
        if (page.length < 200) return found as ReadonlyArray<FlowRun>
      }
    }),
    /** Reads a run every quarter second until `done` holds; the run as last seen when `seconds` are over. */
    waitFor: (id: string, done: (run: FlowRun) => boolean, seconds: number) =>
      get<FlowRun>(`/flow_runs/${id}`).pipe(
        Effect.repeat({ until: done, schedule: Schedule.spaced("250 millis") }),
        Effect.timeoutOrElse({
          duration: `${seconds} seconds`,
          orElse: () => get<FlowRun>(`/flow_runs/${id}`)
        })
      )
  }
}

export type Operator = ReturnType<typeof operator>

export interface PrefectServer extends Operator {
  readonly ui: string
  readonly venv: Venv
  readonly home: string
  readonly process: Running
  /** The environment of a Prefect client in Python that talks to this server. */
  readonly clientEnv: Readonly<Record<string, string>>
}

/** Settings of the caller's own Prefect and Control Plane would change what is tested; they never reach a child. */
export const cleanEnvironment = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined && !/^(PREFECT_|CPLN_|DO_NOT_TRACK$)/.test(entry[0])
    )
  )

/** Starts a server in the current scope and returns when it answers; `home` is an empty folder for its files. */
export const prefectServer = Effect.fnUntraced(function* (
  venv: Venv,
  home: string,
  extra: Readonly<Record<string, string>> = {}
) {
  mkdirSync(home, { recursive: true })
  const port = yield* freePort
  const api = `http://127.0.0.1:${port}/api`
  const inherited = cleanEnvironment()
  const clientEnv = {
    ...inherited,
    PATH: `${venv.bin}:${inherited["PATH"] ?? "/usr/bin:/bin"}`,
    PREFECT_HOME: home,
    PREFECT_API_URL: api,
    PREFECT_SERVER_ANALYTICS_ENABLED: "false",
    DO_NOT_TRACK: "1"
  }
  const server = yield* start({
    name: `prefect server ${venv.version}`,
    command: join(venv.bin, "prefect"),
    args: ["server", "start", "--host", "127.0.0.1", "--port", String(port)],
    env: { ...clientEnv, PREFECT_LOGGING_SERVER_LEVEL: "WARNING", ...extra },
    logFile: join(home, "server.log"),
    cwd: home
  })
  const healthy = ask("GET", `${api}/health`).pipe(
    Effect.flatMap((answer) =>
      answer.status === 200
        ? Effect.void
        : Effect.fail(new BadAnswer({ request: "GET /health", status: answer.status, body: answer.text }))
    ),
    Effect.retry(Schedule.spaced("200 millis")),
    Effect.timeout("120 seconds")
  )
  const died = server.ended.pipe(
    Effect.flatMap(({ code }) =>
      Effect.fail(
        new BadAnswer({
          request: "start of the Prefect server",
          status: code,
          body: tail(server.output(), 20)
        })
      )
    )
  )
  yield* Effect.raceFirst(healthy, died)
  const started: PrefectServer = {
    ...operator(api),
    ui: `http://127.0.0.1:${port}`,
    venv,
    home,
    process: server,
    clientEnv
  }
  return started
})
