/**
 * An emulator of virtual jobs under load: ten thousand live commands over fifty workloads, and what its answers cost.
 *
 * Invariant: the emulator runs in a process of its own, so that its memory and processor time are its own; rates are per
 * second of its processor time, which is what one core gives, whatever else the machine does.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { Agent, request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Schedule, type Scope } from "effect"
import { root } from "./paths.ts"

export const workloads = 50
export const commands = 10_000
const parallel = 32

/** Clock ticks of a second in `/proc`; 100 on every Linux that there is. */
const ticks = 100

export interface Figures {
  /** MB of the emulator with all commands alive, at rest and after the load. */
  readonly memory: number
  readonly memoryAfter: number
  /** Seconds of processor time to start all commands. */
  readonly starting: number
  /** Requests for each second of the emulator's processor time. */
  readonly rates: Readonly<Record<Kind, number>>
}

export const kinds = ["command", "workload", "live page", "by tag", "deployment", "start and end"] as const
export type Kind = (typeof kinds)[number]

interface Running {
  readonly url: string
  readonly token: string
  readonly pid: number
}

const started = (file: string, args: ReadonlyArray<string>): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.gen(function* () {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "emulator-load-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
    )
    const ready = join(folder, "ready.json")
    const options = ["--mode", "virtual", "--org", "acme", "--port", "0", "--ready-file", ready]
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => spawn(file, [...args, "emulator", ...options], { cwd: root, stdio: "ignore" })),
      (running) => Effect.sync(() => running.kill("SIGKILL"))
    )
    const found = yield* Effect.try(
      () => JSON.parse(readFileSync(ready, "utf8")) as Omit<Running, "pid">
    ).pipe(Effect.retry({ times: 600, schedule: Schedule.spaced("50 millis") }), Effect.orDie)
    return { ...found, pid: child.pid ?? 0 }
  })

interface Answer {
  readonly status: number
  readonly location: string
  readonly text: string
}

const caller = ({ url, token }: Running) => {
  const agent = new Agent({ keepAlive: true, maxSockets: parallel })
  return (method: string, path: string, body?: unknown) =>
    Effect.callback<Answer>((resume) => {
      const sent = request(`${url}${path}`, { method, agent, headers: { authorization: `Bearer ${token}` } })
      sent.on("response", (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("end", () =>
          resume(
            Effect.succeed({
              status: response.statusCode ?? 0,
              location: response.headers.location ?? "",
              text: Buffer.concat(chunks).toString()
            })
          )
        )
      })
      sent.on("error", (error) => resume(Effect.die(error)))
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })
}

/** Seconds of processor time that a process has had. */
const processorTime = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return (Number(fields[11]) + Number(fields[12])) / ticks
}

const megabytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/u.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024

/** After the while that a runtime takes to give back what it no longer needs. */
const atRest = (pid: number) => Effect.map(Effect.sleep("5 seconds"), () => megabytes(pid))

const gvc = "/org/acme/gvc/load"
const location = "aws-us-west-2"
const pathOf = (index: number) => `${gvc}/workload/w-${index % workloads}`
const over = ["completed", "failed", "cancelled"]
const live = [
  { op: "=", property: "type", value: "runCronWorkload" },
  ...over.map((value) => ({ op: "!=", property: "lifecycleStage", value }))
]

/** As the agent sends it: its tags, and the environment of a flow run. */
const command = (index: number) => ({
  type: "runCronWorkload",
  tags: {
    "prefect.io/flow-run-id": `0f3b6a52-97ea-4ffd-8d44-${String(index).padStart(12, "0")}`,
    "prefect.io/flow-name": "a-flow",
    "prefect.io/attempt": `2026-03-01T00:00:00.000000Z_${index}`,
    "cpln/prefectAgent": "cpln-host"
  },
  spec: {
    location,
    containerOverrides: [
      {
        name: "main",
        image: "prefecthq/prefect:3-latest",
        command: "prefect",
        args: ["flow-run", "execute"],
        cpu: "500m",
        memory: "512Mi",
        env: [
          {
            name: "PREFECT__FLOW_RUN_ID",
            value: `0f3b6a52-97ea-4ffd-8d44-${String(index).padStart(12, "0")}`
          },
          { name: "PREFECT_API_URL", value: "http://127.0.0.1:4200/api" },
          { name: "PREFECT_LOGGING_LEVEL", value: "INFO" }
        ]
      }
    ]
  }
})

/** `amount` requests of each kind are measured. */
export const measured = Effect.fnUntraced(function* (
  file: string,
  args: ReadonlyArray<string>,
  amount: number
): Effect.fn.Return<Figures, never, Scope.Scope> {
  const running = yield* started(file, args)
  const call = caller(running)
  const times = (count: number, one: (index: number) => Effect.Effect<unknown>) =>
    Effect.forEach(
      Array.from({ length: count }, (_, index) => index),
      one,
      { concurrency: parallel, discard: true }
    )
  const wanted = (status: number, answer: Effect.Effect<Answer>) =>
    Effect.map(answer, (got) => {
      if (got.status !== status) throw new Error(`${got.status} ${got.text.slice(0, 300)}`)
      return got
    })
  const spec = { staticPlacement: { locationLinks: [`//location/${location}`] } }
  yield* wanted(201, call("POST", "/org/acme/gvc", { name: "load", spec }))
  yield* times(workloads, (index) =>
    wanted(
      201,
      call("POST", `${gvc}/workload`, {
        name: `w-${index}`,
        spec: {
          type: "cron",
          containers: [{ name: "main", image: "ubuntu" }],
          job: { schedule: "* * * * *" },
          defaultOptions: { suspend: true }
        }
      })
    )
  )
  const paths: Array<string> = []
  const before = processorTime(running.pid)
  yield* times(commands, (index) =>
    Effect.map(wanted(201, call("POST", `${pathOf(index)}/-command`, command(index))), (answer) => {
      paths.push(answer.location)
    })
  )
  const jobs = Effect.map(
    call("GET", "/emulator/jobs?running"),
    ({ text }) => text.split('"lifecycleStage"').length - 1
  )
  yield* Effect.repeat(jobs, {
    until: (count) => count === commands,
    schedule: Schedule.spaced("250 millis")
  })
  const starting = processorTime(running.pid) - before
  const memory = yield* atRest(running.pid)

  const ask: Readonly<Record<Kind, (index: number) => Effect.Effect<unknown>>> = {
    command: (index) => wanted(200, call("GET", paths[(index * 7) % paths.length]!)),
    workload: (index) => wanted(200, call("GET", pathOf(index))),
    "live page": (index) =>
      wanted(200, call("POST", `${pathOf(index)}/-command/-query`, { spec: { match: "all", terms: live } })),
    "by tag": (index) =>
      wanted(
        200,
        call("POST", `${pathOf(index)}/-command/-query`, {
          spec: {
            match: "all",
            terms: [
              { op: "=", tag: "prefect.io/flow-run-id", value: command(index).tags["prefect.io/flow-run-id"] }
            ]
          }
        })
      ),
    deployment: (index) => wanted(200, call("GET", `${pathOf(index)}/deployment/${location}`)),
    "start and end": (index) =>
      Effect.gen(function* () {
        const { location: path } = yield* wanted(
          201,
          call("POST", `${pathOf(index)}/-command`, command(index))
        )
        const id = path.slice(path.lastIndexOf("/") + 1)
        const end = call("POST", `/emulator/jobs/${id}/end`, { exitCode: 0 })
        yield* Effect.repeat(end, {
          until: ({ status }) => status === 200,
          schedule: Schedule.spaced("100 millis")
        })
      })
  }
  const rates = new Map<Kind, number>()
  for (const kind of kinds) {
    yield* times(Math.min(200, amount), ask[kind])
    const from = processorTime(running.pid)
    yield* times(amount, ask[kind])
    rates.set(kind, amount / (processorTime(running.pid) - from))
  }
  return {
    memory,
    memoryAfter: yield* atRest(running.pid),
    starting,
    rates: Object.fromEntries(rates) as Record<Kind, number>
  }
})
