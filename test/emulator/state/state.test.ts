/** A state folder: what is there after a restart, what is not, and what is said of a folder that cannot be used. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Schedule } from "effect"
import { describe } from "vitest"
import type { EmulatorSettings } from "../../../src/emulator/settings.ts"
import {
  type Answer,
  type Client,
  client,
  cron,
  emulator,
  gvc,
  location,
  org,
  runner,
  withRunner
} from "../harness.ts"
import { commands, end, isOver, running, stage } from "../faults/asked.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "emulator-state-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Runs to its end: the emulator in it ends too. */
const first = (state: string, given: Partial<EmulatorSettings> = {}) =>
  withRunner({ startDelay: 0, ...given, state })
const again = (state: string, given: Partial<EmulatorSettings> = {}) =>
  emulator({ startDelay: 0, ...given, state })

const logs = `/logs/org/acme/loki/api/v1/query_range?query=${encodeURIComponent(`{gvc="dev"}`)}&direction=forward`

/** Why it does not start. */
const failure = (state: string) =>
  Effect.map(Effect.exit(Effect.scoped(emulator({ state }))), (exit) =>
    Exit.isFailure(exit) ? String(exit.cause) : "started"
  )

describe("after a restart", () => {
  it.live("objects, finished commands, their history and secrets are as they were", () =>
    Effect.gen(function* () {
      const state = yield* folder
      const before = yield* Effect.scoped(
        Effect.gen(function* () {
          const cpln = yield* first(state)
          yield* cpln.patch(runner, { tags: { team: "a" }, description: "mine" })
          yield* cpln.post(`${org}/secret`, { name: "s", type: "opaque", data: { payload: "hidden" } })
          const path = yield* cpln.start("runner", {}, { run: "1" })
          yield* running(cpln, path)
          yield* end(cpln, path, 3)
          yield* cpln.until(path, isOver)
          return {
            path,
            workload: (yield* cpln.get(runner)).json,
            command: (yield* cpln.get(path)).json,
            executions: (yield* cpln.get(`${runner}/deployment/${location}`)).json.status.jobExecutions
          }
        })
      )
      const cpln = yield* again(state)
      expect((yield* cpln.get(runner)).json).toEqual(before.workload)
      expect((yield* cpln.get(before.path)).json).toEqual(before.command)
      expect((yield* cpln.get(`${runner}/deployment/${location}`)).json.status.jobExecutions).toEqual(
        before.executions
      )
      expect((yield* cpln.get(`${org}/secret/s/-reveal`)).json.data.payload).toBe("hidden")
      // What comes now comes after what was there.
      yield* cpln.post(`${gvc}/workload`, cron("later"))
      const listed = (yield* cpln.get(`${gvc}/workload`)).json.items
      expect(listed.map(({ name }: { name: string }) => name)).toEqual(["runner", "later"])
      expect((yield* cpln.get("/org/acme/location")).json.items).toHaveLength(5)
    })
  )

  it.live(
    "keys of service accounts are still good, and an org that is not named any more is still there",
    () =>
      Effect.gen(function* () {
        const state = yield* folder
        const key = yield* Effect.scoped(
          Effect.gen(function* () {
            const cpln = yield* first(state)
            yield* cpln.post(`${org}/serviceaccount`, { name: "robot" })
            return (yield* cpln.post(`${org}/serviceaccount/robot/-addKey`, {})).json.key as string
          })
        )
        const cpln = yield* again(state, { orgs: ["other"] })
        expect((yield* client(cpln.url, key).get(org)).status).toBe(200)
        expect((yield* cpln.get("/org")).json.items.map(({ name }: { name: string }) => name)).toEqual([
          "other",
          "acme",
          "empty"
        ])
      })
  )

  it.live("a run that had a pod has failed, one that had none begins, and a stop has failed", () =>
    Effect.gen(function* () {
      const state = yield* folder
      const [ran, waiting, stop] = yield* Effect.scoped(
        Effect.gen(function* () {
          const cpln = yield* first(state, { grace: 60_000, preStop: 60_000 })
          yield* cpln.post("/emulator/faults", { what: "capacity", where: { tag: "waits" } })
          const ran = yield* cpln.start("runner")
          const replica = yield* running(cpln, ran)
          const waiting = yield* cpln.start("runner", {}, { waits: "yes" })
          const stop = yield* cpln.post(commands, { type: "stopReplica", spec: { replica, location } })
          yield* Effect.sleep(100)
          return [ran, waiting, stop.headers.get("location") ?? ""] as const
        })
      )
      const cpln = yield* again(state)
      expect(stage(yield* cpln.get(ran))).toBe("failed")
      expect(["failed", "completed"]).toContain(stage(yield* cpln.get(stop)))
      yield* running(cpln, waiting)
      expect((yield* cpln.get(`/replicas${runner}`)).json.items).toHaveLength(1)
    })
  )

  it.live("workloads that serve are started again, with the files of their volume sets", () =>
    Effect.gen(function* () {
      const state = yield* folder
      const script = 'echo again >> "$DATA/starts"; wc -l < "$DATA/starts"; sleep 60'
      const main = {
        name: "main",
        image: "x",
        command: "sh",
        args: ["-c", script],
        env: [{ name: "DATA", value: "/emulator-state-test" }],
        volumes: [{ uri: "cpln://volumeset/data", path: "/emulator-state-test" }]
      }
      const printed = (cpln: Client) =>
        Effect.map(
          cpln.until(logs, ({ json }) => json.data.result.length > 0),
          ({ json }) => json.data.result.flatMap(({ values }: { values: Array<[string, string]> }) => values)
        )
      const served = { mode: "exec", grace: 500, preStop: 0 } as const
      yield* Effect.scoped(
        Effect.gen(function* () {
          const cpln = yield* first(state, served)
          yield* cpln.post(`${gvc}/volumeset`, {
            name: "data",
            spec: { initialCapacity: 10, performanceClass: "general-purpose-ssd", fileSystemType: "ext4" }
          })
          const made = yield* cpln.post(`${gvc}/workload`, {
            name: "db",
            spec: { type: "stateful", containers: [main] }
          })
          expect([made.status, made.text]).toEqual([201, "Created"])
          expect(yield* printed(cpln)).toHaveLength(1)
        })
      )
      const cpln = yield* again(state, served)
      const isServed = ({ json }: Answer) => json.status.ready
      expect(isServed(yield* cpln.until(`${gvc}/workload/db/deployment/${location}`, isServed))).toBe(true)
      expect(readdirSync(join(state, "volumes"), { recursive: true }).map(String)).toContainEqual(
        expect.stringMatching(/starts$/u)
      )
    })
  )

  it.live("job output can still be read, in its order and with its stamps", () =>
    Effect.gen(function* () {
      const state = yield* folder
      const containers = [{ name: "main", image: "x", command: "sh", args: ["-c", "echo one; echo two"] }]
      const before = yield* Effect.scoped(
        Effect.gen(function* () {
          const cpln = yield* withRunner({ mode: "exec", startDelay: 0, state }, { containers })
          yield* cpln.until(yield* cpln.start("runner"), isOver)
          return (yield* cpln.get(logs)).json.data.result
        })
      )
      expect(before[0].values.map(([, text]: [string, string]) => text)).toEqual(["one", "two"])
      const cpln = yield* again(state)
      expect((yield* cpln.get(logs)).json.data.result).toEqual(before)
    })
  )
})

describe("a state folder", () => {
  it.live("is written while the emulator runs, as whole files that only their owner may read", () =>
    Effect.gen(function* () {
      const state = join(yield* folder, "deep", "er")
      yield* first(state)
      const file = join(state, "state.json")
      yield* Effect.sync(() => existsSync(file) && readFileSync(file, "utf8").includes("runner")).pipe(
        Effect.repeat({ until: (there) => there, schedule: Schedule.spaced("10 millis") }),
        Effect.timeout("5 seconds")
      )
      expect(readFileSync(file, "utf8")).toContain("runner")
      expect(statSync(file).mode & 0o077).toBe(0)
      expect(readdirSync(state).filter((name) => name.endsWith(".new"))).toEqual([])
    })
  )

  it.live("belongs to one emulator at a time", () =>
    Effect.gen(function* () {
      const state = yield* folder
      writeFileSync(join(state, "lock"), "1")
      expect(yield* failure(state)).toMatch(/is in use by process 1\. End that one/u)
      // A process that is gone left its lock behind.
      writeFileSync(join(state, "lock"), "4194305")
      expect(yield* failure(state)).toBe("started")
      expect(existsSync(join(state, "lock"))).toBe(false)
    })
  )

  it.live.each<readonly [string, string, RegExp]>([
    ["is cut off", `{"format":1,"secret":"`, /state\.json: .*damaged: it is not well-formed JSON/u],
    ["is of another version", `{"format":99}`, /state\.json: .*format/u],
    ["lacks a part", `{"format":1,"secret":"${"A".repeat(44)}","resources":[{}],"commands":[]}`, /resources/u]
  ])("whose file %s is refused with what to do, and left as it is", ([, text, reason]) =>
    Effect.gen(function* () {
      const state = yield* folder
      const file = join(state, "state.json")
      writeFileSync(file, text)
      const told = yield* failure(state)
      expect(told).toMatch(reason)
      expect(told).toContain("Nothing was changed. Move the file away to start empty")
      expect(readFileSync(file, "utf8")).toBe(text)
    })
  )

  it.live("that cannot be made is refused", () =>
    Effect.gen(function* () {
      const file = join(yield* folder, "file")
      writeFileSync(file, "")
      expect(yield* failure(join(file, "below"))).toMatch(
        /cannot be made \(ENOTDIR\)\. Choose another folder/u
      )
    })
  )

  it.live("with a log file that was cut off gives the lines before the cut", () =>
    Effect.gen(function* () {
      const state = yield* folder
      const line = { at: `${Date.now()}000000`, org: "acme", labels: { gvc: "dev" }, line: "whole" }
      writeFileSync(join(state, "logs.jsonl"), `${JSON.stringify(line)}\n{"at":"17`)
      const cpln = yield* again(state)
      const { result } = (yield* cpln.get(logs)).json.data
      expect(result.flatMap(({ values }: { values: Array<[string, string]> }) => values)).toEqual([
        [line.at, "whole"]
      ])
    })
  )
})
