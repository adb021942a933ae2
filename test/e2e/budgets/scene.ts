/**
 * An agent at its default settings in front of any number of live runs, with every request counted on both sides.
 *
 * Invariant: the jobs are real commands of the emulator and the requests real ones of the compiled agent; only Prefect's
 * server is stood in for, because it would need minutes to make a thousand runs.
 */
import { join } from "node:path"
import { Effect, Schedule } from "effect"
import { access, startAgent } from "../../../scripts/local/agent.ts"
import { emulator, ensureGvc, type Place } from "../../../scripts/local/control-plane.ts"
import { countingProxy } from "../../../scripts/local/counting-proxy.ts"
import { ask, BadAnswer } from "../../../scripts/local/http.ts"
import { agentBinary } from "../../../scripts/local/paths.ts"
import { officialTemplate } from "../../../src/job/template.ts"
import { pool, prefectStandIn, type StandIn } from "./prefect-stand-in.ts"

export const place: Place = { org: "demo", gvc: "flows", location: "aws-us-west-2" }
const version = "3.8.8"
const agentName = "budgets"

export interface SceneOptions {
  readonly folder: string
  readonly name: string
  readonly runs: number
  readonly workloads: number
  /** Workloads of the pool without any live job. */
  readonly idleWorkloads?: number
  /** Nothing in the jobs can act on a cancel. */
  readonly deaf?: boolean
  /** How to start the agent, and more of its environment; the binary as it is unless given. */
  readonly agent?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
}

export const workloadName = (index: number) =>
  `p${pool.id.slice(0, 8)}-job-${String(index).padStart(12, "0")}`

export const scene = Effect.fnUntraced(function* (options: SceneOptions) {
  const home = join(options.folder, options.name)
  const cpln = yield* emulator({
    agent: [agentBinary],
    home: join(home, "emulator"),
    args: ["--mode", "virtual"]
  })
  yield* ensureGvc(cpln, place)
  const prefect = yield* prefectStandIn(
    officialTemplate({ version, org: place.org, gvc: place.gvc, location: place.location }),
    version
  )
  const toCpln = yield* countingProxy(cpln.url)
  const gvcPath = `/org/${place.org}/gvc/${place.gvc}`
  const made = Effect.fnUntraced(function* (path: string, body: unknown) {
    const answer = yield* ask("POST", `${cpln.url}${path}`, body, {
      authorization: `Bearer ${cpln.token}`,
      connection: "keep-alive"
    })
    if (answer.status !== 201)
      return yield* new BadAnswer({ request: `POST ${path}`, status: answer.status, body: answer.text })
    return answer.headers.get("location")?.split("/").at(-1) ?? ""
  })
  const workload = (name: string) =>
    made(`${gvcPath}/workload`, {
      name,
      tags: { "prefect.io/work-pool-id": pool.id, "cpln/createdByPrefect": "true" },
      spec: {
        type: "cron",
        containers: [{ name: "prefect-job", image: "flows:1", cpu: "50m", memory: "128Mi" }],
        job: { schedule: "* * * * *", restartPolicy: "Never" },
        defaultOptions: { suspend: true }
      }
    })
  const numbered = (count: number) => Array.from({ length: count }, (_, index) => index)
  yield* Effect.forEach(
    numbered(options.workloads + (options.idleWorkloads ?? 0)),
    (index) => workload(workloadName(index)),
    { concurrency: 16, discard: true }
  )
  yield* Effect.forEach(
    numbered(options.runs),
    (index) =>
      Effect.gen(function* () {
        const name = workloadName(index % options.workloads)
        const id = prefect.add({ expected_start_time: new Date().toISOString() })
        const transition = crypto.randomUUID()
        const command = yield* made(`${gvcPath}/workload/${name}/-command`, {
          type: "runCronWorkload",
          spec: {
            location: place.location,
            containerOverrides: [
              {
                name: "prefect-job",
                args: options.deaf === true ? ["work"] : ["prefect", "flow-run", "execute"]
              }
            ]
          },
          tags: {
            "prefect.io/flow-run-id": id,
            "prefect.io/flow-name": "etl",
            "prefect.io/work-pool-id": pool.id,
            "prefect.io/attempt": `${new Date().toISOString()}_${transition}`,
            "cpln/prefectAgent": agentName
          }
        })
        prefect.claim(id, transition, `${place.org}:${place.gvc}:${name}`, agentName)
        prefect.set(id, "RUNNING")
        const where = `${place.org}:${place.gvc}:${name}`
        prefect.runs.set(id, {
          ...prefect.runs.get(id),
          infrastructure_pid: `${where}:${command}`,
          tags: [
            `cpln:org:${place.org}`,
            `cpln:gvc:${place.gvc}`,
            `cpln:workload:${name}`,
            `cpln:command:${command}`
          ]
        })
      }),
    { concurrency: 16, discard: true }
  )
  prefect.reset()
  toCpln.reset()
  const begun = performance.now()
  const running = yield* startAgent({
    agent: options.agent ?? [agentBinary],
    args: ["--pool", pool.name, "--name", agentName],
    home: join(home, "agent"),
    // The credential comes with the place: the runs have no deployment that was looked at yet.
    env: {
      ...access(prefect, { url: toCpln.url, token: cpln.token }),
      CPLN_ORG: place.org,
      CPLN_GVC: place.gvc,
      ...options.env
    }
  })
  return {
    cpln,
    prefect,
    toCpln,
    agent: running,
    begun,
    /** Counts both sides for so many seconds from now on. */
    during: Effect.fnUntraced(function* (seconds: number) {
      prefect.reset()
      toCpln.reset()
      yield* Effect.sleep(seconds * 1000)
      return { prefect: prefect.counts(), cpln: toCpln.counts(), seconds } satisfies Counted
    })
  }
})

export type Scene = Effect.Success<ReturnType<typeof scene>>

export interface Counted {
  readonly prefect: ReadonlyMap<string, number>
  readonly cpln: ReadonlyMap<string, number>
  readonly seconds: number
}

export const total = (counts: ReadonlyMap<string, number>, part = "") =>
  [...counts].reduce((sum, [name, count]) => sum + (name.includes(part) ? count : 0), 0)

/** Plays the engine for jobs that the agent starts: RUNNING, a moment, then `end`; and the job is over. */
export const playEngine = (
  { cpln, prefect }: Pick<Scene, "cpln"> & { readonly prefect: StandIn },
  end: { readonly type: string | undefined; readonly exitCode: number }
) =>
  Effect.gen(function* () {
    const seen = new Set<string>()
    const headers = { authorization: `Bearer ${cpln.token}` }
    const look = Effect.gen(function* () {
      const { text } = yield* ask(
        "GET",
        `${cpln.url}/emulator/jobs?running&tag=prefect.io%2Fflow-run-id`,
        undefined,
        headers
      )
      const { items } = JSON.parse(text) as {
        readonly items: ReadonlyArray<{ readonly id: string; readonly tags: Record<string, string> }>
      }
      for (const { id, tags } of items) {
        const run = tags["prefect.io/flow-run-id"] ?? ""
        if (seen.has(id)) continue
        seen.add(id)
        prefect.set(run, "RUNNING")
        yield* Effect.sleep("300 millis")
        if (end.type !== undefined) prefect.set(run, end.type)
        yield* ask("POST", `${cpln.url}/emulator/jobs/${id}/end`, { exitCode: end.exitCode }, headers)
      }
    })
    yield* look.pipe(Effect.repeat(Schedule.spaced("200 millis")))
  })
