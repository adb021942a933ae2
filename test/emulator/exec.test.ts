/** Jobs as processes, from the command over HTTP to the lines in the log service. */
import { expect, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { describe } from "vitest"
import { WebSocket } from "ws"
import { type Client, client, idOf, location, runner, token, withRunner } from "./harness.ts"

const isOver = ({ json }: { readonly json: { readonly lifecycleStage: string } }) =>
  ["completed", "failed", "cancelled"].includes(json.lifecycleStage)

const shell = (script: string, env: Readonly<Record<string, string>> = {}) => ({
  containerOverrides: [
    {
      name: "main",
      command: "sh",
      args: ["-c", script],
      env: Object.entries(env).map(([name, value]) => ({ name, value }))
    }
  ]
})

const query = `{gvc="dev", workload="runner"}`
const logs = "/logs/org/acme/loki/api/v1"
const range = (cpln: Client) =>
  Effect.map(
    cpln.get(`${logs}/query_range?direction=forward&limit=100&query=${encodeURIComponent(query)}`),
    ({ json }) =>
      json.data.result.flatMap(({ values }: { values: ReadonlyArray<readonly [string, string]> }) =>
        values.map(([, line]) => line)
      )
  )

/** All lines that a tail sent until `enough` of them were there. */
const tailed = (url: string, authorization: string, enough: number) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const done = yield* Deferred.make<ReadonlyArray<string>>()
    const opened = yield* Deferred.make<void>()
    const path = `${logs}/tail?delay_for=0&limit=100&start=0&query=${encodeURIComponent(query)}`
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => new WebSocket(`${url.replace("http", "ws")}${path}`, { headers: { authorization } })),
      (each) => Effect.sync(() => each.close())
    )
    socket.on("open", () => Deferred.doneUnsafe(opened, Effect.void))
    socket.on("message", (data: Buffer) => {
      const { streams } = JSON.parse(data.toString()) as {
        readonly streams: ReadonlyArray<{ readonly values: ReadonlyArray<readonly [string, string]> }>
      }
      lines.push(...streams.flatMap(({ values }) => values.map(([, line]) => line)))
      if (lines.length >= enough) Deferred.doneUnsafe(done, Effect.succeed(lines))
    })
    yield* Deferred.await(opened)
    return done
  })

/** The status that an upgrade was refused with. */
const refusal = (url: string, path: string, authorization: string | undefined) =>
  Effect.callback<number | undefined>((resume) => {
    const socket = new WebSocket(`${url.replace("http", "ws")}${path}`, {
      headers: authorization === undefined ? {} : { authorization }
    })
    socket.on("unexpected-response", (_, answer) => {
      resume(Effect.succeed(answer.statusCode))
      socket.terminate()
    })
    socket.on("error", () => {})
    socket.on("open", () => {
      resume(Effect.undefined)
      socket.close()
    })
  })

describe("a job as a process", () => {
  it.live("runs the command with its environment, and its output is in the logs", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ mode: "exec" })
      const script = `echo "$GREETING from $CPLN_WORKLOAD"; echo oops >&2; exit 3`
      const path = yield* cpln.start("runner", shell(script, { GREETING: "hello" }))
      const { json } = yield* cpln.until(path, isOver)
      expect(json.lifecycleStage).toBe("failed")
      const deployment = yield* cpln.get(`${runner}/deployment/${location}`)
      expect(deployment.json.status.jobExecutions[0]).toMatchObject({
        name: `command-${idOf(path)}`,
        status: "failed",
        containers: { main: { restarts: { exitCode: 3 } } }
      })
      expect((yield* range(cpln)).toSorted()).toEqual([`hello from ${runner}`, "oops"])
    })
  )

  it.live("can call the API with the token in its environment, but not the logs", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ mode: "exec" })
      const path = yield* cpln.start("runner", shell(`echo "$CPLN_ENDPOINT $CPLN_TOKEN"`))
      yield* cpln.until(path, isOver)
      const [endpoint, podToken] = (yield* range(cpln))[0].split(" ")
      expect(endpoint).toBe(cpln.url)
      const pod = client(cpln.url, podToken)
      expect((yield* pod.get("/org/acme")).status).toBe(200)
      expect((yield* client(cpln.url, `${podToken}x`).get("/org/acme")).status).toBe(401)
      const refused = yield* pod.get(`${logs}/query_range?query=${encodeURIComponent(query)}`)
      expect([refused.status, refused.json.message]).toEqual([403, expect.stringContaining("readLogs")])
      expect(yield* refusal(cpln.url, `${logs}/tail?query=${encodeURIComponent(query)}`, podToken)).toBe(403)
      expect((yield* pod.get("/emulator/jobs")).status).toBe(403)
    })
  )

  it.live("hears SIGTERM after the pause, and what it prints then is in the logs", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ mode: "exec", grace: 3000 })
      const script = `trap 'echo stopped; exit 0' TERM; echo ready; while :; do sleep 0.05; done`
      const path = yield* cpln.start("runner", shell(script))
      yield* Effect.repeat(range(cpln), { until: (lines) => lines.length > 0 })
      const { json } = yield* cpln.get(path)
      yield* cpln.post(`${runner}/-command`, {
        type: "stopReplica",
        spec: { replica: json.status.replica, location }
      })
      const over = yield* cpln.until(path, isOver)
      expect(over.json.lifecycleStage).toBe("failed")
      expect(yield* range(cpln)).toEqual(expect.arrayContaining(["ready", "stopped"]))
    })
  )

  it.live("that is deaf is killed when the grace is over", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ mode: "exec", grace: 300 })
      const path = yield* cpln.start(
        "runner",
        shell(`trap '' TERM; echo ready; while :; do sleep 0.05; done`)
      )
      yield* Effect.repeat(range(cpln), { until: (lines) => lines.length > 0 })
      const { json } = yield* cpln.get(path)
      yield* cpln.post(`${runner}/-command`, {
        type: "stopReplica",
        spec: { replica: json.status.replica, location }
      })
      yield* cpln.until(path, isOver)
      const deployment = yield* cpln.get(`${runner}/deployment/${location}`)
      expect(deployment.json.status.jobExecutions[0].containers.main.restarts.exitCode).toBe(137)
    })
  )

  it.live("is not there any more when the emulator has ended, nor when its workload was deleted", () =>
    Effect.gen(function* () {
      const pids: Array<number> = []
      const lives = (pid: number) => {
        try {
          process.kill(pid, 0)
          return true
        } catch {
          return false
        }
      }
      yield* Effect.scoped(
        Effect.gen(function* () {
          const cpln = yield* withRunner({ mode: "exec", grace: 100 })
          for (let run = 0; run < 2; run++) yield* cpln.start("runner", shell(`echo $$; exec sleep 600`))
          pids.push(
            ...(yield* Effect.repeat(range(cpln), { until: (lines) => lines.length === 2 })).map(Number)
          )
          expect(pids.map(lives)).toEqual([true, true])
          yield* cpln.post("/org/acme/gvc/dev/workload", {
            name: "gone",
            spec: { type: "cron", containers: [{ name: "main", image: "x" }], job: { schedule: "* * * * *" } }
          })
          yield* cpln.start("gone", shell(`echo $$; trap '' TERM; while :; do sleep 0.05; done`))
          const printed = `{gvc="dev", workload="gone"}`
          const read = Effect.map(
            cpln.get(`${logs}/query_range?query=${encodeURIComponent(printed)}`),
            ({ json }) => Number(json.data.result[0]?.values[0]?.[1] ?? 0)
          )
          const gone = yield* Effect.repeat(read, { until: (pid) => pid > 0 })
          yield* cpln.remove("/org/acme/gvc/dev/workload/gone")
          yield* Effect.sleep("10 millis").pipe(
            Effect.repeat({ until: () => !lives(gone) }),
            Effect.timeout("3 seconds")
          )
        })
      )
      expect(pids.map(lives)).toEqual([false, false])
    })
  )

  it.live("cannot be ended by request", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ mode: "exec" })
      const path = yield* cpln.start("runner", shell("sleep 5"))
      expect((yield* cpln.post(`/emulator/jobs/${idOf(path)}/end`, { exitCode: 0 })).status).toBe(409)
    })
  )
})

describe("tailing the logs", () => {
  it.live("a WebSocket gets the lines as they come, with the raw token and with Bearer", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ mode: "exec" })
      const raw = yield* tailed(cpln.url, token, 2)
      const bearer = yield* tailed(cpln.url, `Bearer ${token}`, 2)
      yield* cpln.start("runner", shell("echo one; echo two"))
      expect(yield* Deferred.await(raw)).toEqual(["one", "two"])
      expect(yield* Deferred.await(bearer)).toEqual(["one", "two"])
    })
  )

  it.live("who may not is refused at the upgrade", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const path = `${logs}/tail?query=${encodeURIComponent(query)}`
      expect(yield* refusal(cpln.url, path, undefined)).toBe(401)
      expect(yield* refusal(cpln.url, path, "wrong")).toBe(401)
      expect(yield* refusal(cpln.url, path.replace("acme", "nobody"), token)).toBe(404)
      expect(yield* refusal(cpln.url, "/elsewhere", token)).toBe(404)
      expect(yield* refusal(cpln.url, `${logs}/tail?query=nonsense`, token)).toBe(400)
      expect(yield* refusal(cpln.url, path, token)).toBeUndefined()
    })
  )
})
