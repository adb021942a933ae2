/**
 * The local Control Plane, `agent emulator`, on a free port, and the reads of an operator against it.
 *
 * Invariant: everything is read over the service's own REST routes, never from the agent or from the emulator's memory.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Effect, Schedule } from "effect"
import { BadAnswer, ask, json } from "./http.ts"
import { cleanEnvironment } from "./prefect-server.ts"
import { type Running, start, tail } from "./process.ts"

export interface Place {
  readonly org: string
  readonly gvc: string
  readonly location: string
}

export interface Link {
  readonly rel: string
  readonly href: string
}

export interface Command {
  readonly id: string
  readonly type: string
  readonly lifecycleStage: string
  readonly created: string
  readonly lastModified: string
  readonly tags?: Readonly<Record<string, string>>
  readonly spec: {
    readonly location: string
    /** Of a stopReplica command. */
    readonly replica?: string
    readonly containerOverrides?: ReadonlyArray<{
      readonly name: string
      readonly image?: string
      readonly args?: ReadonlyArray<string>
      readonly env?: ReadonlyArray<{ readonly name: string; readonly value: string }>
    }>
  }
  readonly status?: { readonly replica?: string }
}

export interface Workload {
  readonly name: string
  readonly tags?: Readonly<Record<string, string>>
  readonly spec: Record<string, unknown>
}

export interface JobExecution {
  readonly name: string
  readonly status: string
  readonly startTime?: string
  readonly completionTime?: string
  readonly replica?: string
  readonly message?: string
  readonly containers?: Readonly<
    Record<
      string,
      {
        readonly message?: string
        readonly restarts?: { readonly exitCode?: number; readonly reason?: string }
      }
    >
  >
}

interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly links?: ReadonlyArray<Link>
}

/** What an operator sees of one org; `url` as CPLN_ENDPOINT. */
export const controlPlane = (url: string, token: string) => {
  const headers = { authorization: `Bearer ${token}` }
  const get = <A>(path: string) => json<A>("GET", `${url}${path}`, undefined, headers)
  const all = Effect.fnUntraced(function* <A>(first: string) {
    const found: Array<A> = []
    let path: string | undefined = first
    while (path !== undefined) {
      const page: Page<A> = yield* get<Page<A>>(path)
      found.push(...page.items)
      const next: string | undefined = page.links?.find(({ rel }) => rel === "next")?.href
      path = next?.startsWith("http") === true ? next.slice(url.length) : next
    }
    return found as ReadonlyArray<A>
  })
  const workload = (place: Place, name: string) => `/org/${place.org}/gvc/${place.gvc}/workload/${name}`
  return {
    url,
    token,
    get,
    all,
    post: (path: string, body: unknown) => ask("POST", `${url}${path}`, body, headers),
    workloads: (place: Place) => all<Workload>(`/org/${place.org}/gvc/${place.gvc}/workload`),
    command: (place: Place, name: string, id: string) =>
      get<Command>(`${workload(place, name)}/-command/${id}`),
    commands: (place: Place, name: string) => all<Command>(`${workload(place, name)}/-command`),
    executions: (place: Place, name: string) =>
      get<
        Page<{
          readonly name: string
          readonly status?: { readonly jobExecutions?: ReadonlyArray<JobExecution> }
        }>
      >(`${workload(place, name)}/deployment`).pipe(
        Effect.map((page) => page.items.flatMap((deployment) => deployment.status?.jobExecutions ?? []))
      )
  }
}

export type ControlPlane = ReturnType<typeof controlPlane>

/** All start commands of a GVC with the workload that each belongs to, over all workloads and pages. */
export const startCommands = Effect.fnUntraced(function* (cpln: ControlPlane, place: Place) {
  const workloads = yield* cpln.workloads(place)
  const found = yield* Effect.forEach(workloads, (workload) =>
    cpln
      .commands(place, workload.name)
      .pipe(
        Effect.map((commands) =>
          commands
            .filter(({ type }) => type === "runCronWorkload")
            .map((command) => ({ workload: workload.name, command }))
        )
      )
  )
  return found.flat()
})

export interface Emulator extends ControlPlane {
  readonly process: Running
}

interface EmulatorOptions {
  /** How to start the agent: the binary, or a runtime and the entry. */
  readonly agent: ReadonlyArray<string>
  readonly home: string
  /** Put before PATH, so that the jobs find `prefect`. */
  readonly path?: string
  readonly args?: ReadonlyArray<string>
  /** A free one unless given. */
  readonly port?: number
}

/** Starts the emulator in the current scope and returns when it is ready. */
export const emulator = Effect.fnUntraced(function* (options: EmulatorOptions) {
  const { agent, home, path, args = [], port = 0 } = options
  mkdirSync(home, { recursive: true })
  const readyFile = join(home, "ready.json")
  // An earlier one may have left its own.
  rmSync(readyFile, { force: true })
  const inherited = cleanEnvironment()
  const [command = "", ...first] = agent
  const running = yield* start({
    name: "agent emulator",
    command,
    args: [...first, "emulator", "--port", String(port), "--ready-file", readyFile, ...args],
    env: {
      ...inherited,
      HOME: home,
      ...(path === undefined ? {} : { PATH: `${path}:${inherited["PATH"] ?? "/usr/bin:/bin"}` })
    },
    logFile: join(home, "emulator.log"),
    cwd: home
  })
  const ready = Effect.suspend(() => {
    if (!existsSync(readyFile)) return Effect.fail("not yet")
    return Effect.try({
      try: () => JSON.parse(readFileSync(readyFile, "utf8")) as { url: string; token: string },
      catch: () => "not yet"
    })
  }).pipe(Effect.retry(Schedule.spaced("50 millis")), Effect.timeout("30 seconds"))
  const died = running.ended.pipe(
    Effect.flatMap(({ code }) =>
      Effect.fail(
        new BadAnswer({ request: "start of the emulator", status: code, body: tail(running.output(), 20) })
      )
    )
  )
  const { url, token } = yield* Effect.raceFirst(ready, died)
  const started: Emulator = { ...controlPlane(url.replace(/\/$/, ""), token), process: running }
  return started
})

/** Makes sure that the GVC exists with its one location. */
export const ensureGvc = Effect.fnUntraced(function* (cpln: ControlPlane, place: Place) {
  const answer = yield* cpln.post(`/org/${place.org}/gvc`, {
    name: place.gvc,
    spec: { staticPlacement: { locationLinks: [`/org/${place.org}/location/${place.location}`] } }
  })
  if (answer.status !== 201 && answer.status !== 409) {
    return yield* new BadAnswer({
      request: `POST /org/${place.org}/gvc`,
      status: answer.status,
      body: answer.text
    })
  }
})
