/** Faults of reads: what is told is older, less or other than what is there. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { cron, gvc, location, runner, withRunner } from "../harness.ts"
import { commands, end, execution, fault, isOver, running, stage } from "./asked.ts"

const ids = ({ json }: { readonly json: { readonly items: ReadonlyArray<{ readonly id: string }> } }) =>
  json.items.map(({ id }) => id)

describe("stale reads", () => {
  it.live("answer as of a while ago: commands, workloads and what was deleted", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ startDelay: 0 })
      yield* cpln.post(`${gvc}/workload`, cron("old"))
      yield* Effect.sleep(30)
      const rule = yield* cpln.post("/emulator/faults", {
        what: "stale-read",
        seconds: 3600,
        where: { path: "/org/**" }
      })
      yield* Effect.sleep(5)
      const path = yield* cpln.start("runner")
      yield* cpln.patch(runner, { tags: { changed: "yes" } })
      yield* cpln.remove(`${gvc}/workload/old`)
      yield* cpln.post(`${gvc}/workload`, cron("new"))
      const state = Effect.gen(function* () {
        const query = yield* cpln.post(`${commands}/-query`, { spec: { terms: [] } })
        const listed = yield* cpln.get(`${gvc}/workload`)
        return {
          command: (yield* cpln.get(path)).status,
          commands: ids(yield* cpln.get(commands)).length,
          found: ids(query).length,
          tags: (yield* cpln.get(runner)).json?.tags,
          workloads: listed.json.items.map(({ name }: { name: string }) => name)
        }
      })
      // So long ago nothing that was changed since was there, and what changed before is all that is known.
      expect(yield* state).toEqual({
        command: 404,
        commands: 0,
        found: 0,
        tags: {},
        workloads: ["runner", "old"]
      })
      expect((yield* cpln.get(`/emulator/faults/${rule.json.id}`)).json.fired).toBe(5)
      yield* cpln.remove("/emulator/faults")
      expect(yield* state).toEqual({
        command: 200,
        commands: 1,
        found: 1,
        tags: { changed: "yes" },
        workloads: ["runner", "new"]
      })
    })
  )

  it.live("tell a command's stage of a while ago, and catch up", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ startDelay: 0 })
      const fired = yield* fault(cpln, { what: "stale-read", seconds: 0.5, where: { path: `${commands}/*` } })
      const path = yield* cpln.start("runner")
      yield* Effect.sleep(300)
      expect((yield* cpln.get(path)).status).toBe(404)
      expect((yield* cpln.until(path, ({ status }) => status === 200)).status).toBe(200)
      const seen = yield* cpln.until(path, (answer) => stage(answer) === "running")
      expect(stage(seen)).toBe("running")
      expect(yield* fired).toBeGreaterThan(2)
    })
  )
})

describe("lists", () => {
  it.live("can lose their next page", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ pageSize: 2 })
      for (let made = 0; made < 5; made++) yield* cpln.start("runner")
      const fired = yield* fault(cpln, { what: "lost-page", times: 1, where: { path: commands } })
      expect(yield* cpln.pages(yield* cpln.get(commands))).toHaveLength(1)
      expect(yield* fired).toBe(1)
      expect(yield* cpln.pages(yield* cpln.get(commands))).toHaveLength(3)
    })
  )
})

describe("history", () => {
  it.live("keeps as many finished executions as the job says, and every live one", () =>
    Effect.gen(function* () {
      const job = { schedule: "* * * * *", historyLimit: 2 }
      const cpln = yield* withRunner({ startDelay: 0 }, { job })
      for (let made = 0; made < 3; made++) {
        const path = yield* cpln.start("runner")
        yield* running(cpln, path)
        yield* end(cpln, path, 0)
      }
      yield* running(cpln, yield* cpln.start("runner"))
      const { json } = yield* cpln.get(`${runner}/deployment/${location}`)
      expect(json.status.jobExecutions.map(({ status }: { status: string }) => status)).toEqual([
        "successful",
        "successful",
        "active"
      ])
    })
  )

  it.live("can be shorter than that, so that the reason of a failure is gone at once", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ startDelay: 0 })
      const fired = yield* fault(cpln, { what: "short-history", where: { workload: "runner" } })
      const path = yield* cpln.start("runner")
      yield* running(cpln, path)
      expect(yield* execution(cpln, path)).toBeDefined()
      yield* end(cpln, path, 1)
      expect(stage(yield* cpln.until(path, isOver))).toBe("failed")
      expect(yield* execution(cpln, path)).toBeUndefined()
      expect(yield* fired).toBe(1)
    })
  )
})

describe("commands", () => {
  it.live("can be read in a stage that no schema has", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const path = yield* cpln.start("runner")
      const fired = yield* fault(cpln, { what: "unknown-stage", where: { path: `${commands}/*` }, times: 1 })
      expect(stage(yield* cpln.get(path))).toBe("draining")
      expect(["pending", "running"]).toContain(stage(yield* cpln.get(path)))
      expect(yield* fired).toBe(1)
    })
  )

  it.live("that are old are gone: from lists, queries and by their path", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ startDelay: 0 })
      const fired = yield* fault(cpln, { what: "forgotten", seconds: 0.2, where: { tag: "old" } })
      const old = yield* cpln.start("runner", {}, { old: "yes" })
      const kept = yield* cpln.start("runner")
      for (const path of [old, kept]) {
        yield* running(cpln, path)
        yield* end(cpln, path, 0)
      }
      expect(stage(yield* cpln.get(old))).toBe("completed")
      expect((yield* cpln.until(old, ({ status }) => status === 404)).status).toBe(404)
      expect(ids(yield* cpln.get(commands))).toHaveLength(1)
      expect(ids(yield* cpln.post(`${commands}/-query`, { spec: { terms: [] } }))).toHaveLength(1)
      expect(stage(yield* cpln.get(kept))).toBe("completed")
      expect(yield* fired).toBe(1)
    })
  )
})
