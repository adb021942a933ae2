import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Random } from "effect"
import { type Agent, startAgent } from "../runs/world/agents.ts"
import { broken, livesOf } from "../runs/world/audit.ts"
import type { Fault } from "../runs/world/faults.ts"
import { flow } from "../runs/world/jobs.ts"
import { finalStages } from "../runs/world/platform-model.ts"
import { pass } from "../runs/world/scenario.ts"
import { makeWorld, org, type World } from "../runs/world/world.ts"

/** Seeds of the usual run; others by `SEEDS="from to"`. */
const [from = 5, to = 6] = (process.env["SEEDS"] ?? "").split(" ").filter(Boolean).map(Number)
const seeds = Array.from({ length: to - from + 1 }, (_, n) => from + n)

/** Under two minutes, so that workloads go again and again between two runs; polls are seldom, as hours pass. */
const settings = {
  cleanupTtl: "0.03",
  queryInterval: "15",
  cancelInterval: "60",
  watchInterval: "30",
  interval: "120",
  prefetch: "0"
} as const

const calls = [
  "latest",
  "find",
  "findRuns",
  "findWorkloads",
  "readWorkPool",
  "readWorkload",
  "createWorkload",
  "tagWorkload",
  "removeWorkload",
  "deployments",
  "identities",
  "readIdentity",
  "createIdentity",
  "removeIdentity",
  "readPolicy",
  "removePolicy",
  "createPolicy",
  "workers",
  "propose",
  "start"
] as const

const oneOf = <const A>(all: ReadonlyArray<A>): Effect.Effect<A> =>
  Effect.map(Random.nextIntBetween(0, all.length - 1), (index) => all[index] as A)

const anyFault: Effect.Effect<Fault> = Effect.gen(function* () {
  const commit = yield* oneOf(["never", "after"] as const)
  return yield* oneOf<Fault>([
    { kind: "refused" },
    { kind: "reset", commit },
    { kind: "503", commit },
    { kind: "429" },
    { kind: "timeout", lands: commit === "never" ? "never" : "at once" },
    { kind: "status", status: 403 },
    { kind: "slow", before: 0, after: 9_000 },
    { kind: "lost page", from: 0, to: 1 },
    { kind: "stale", by: 20_000 }
  ])
})

/** Runs come whenever their workload is about to go, agents come and go, and calls fail. */
const life = Effect.fnUntraced(function* () {
  const world = yield* makeWorld()
  world.faults.latency = { least: 5, most: 60 }
  world.platform.secrets.set(`${org}/db`, { type: "dictionary", data: { password: "p" } })
  const agents: Array<Agent> = []
  for (let n = 0; n < 3; n++) agents.push(yield* startAgent(world, `agent-${n}`, { settings }))
  const runs: Array<string> = []
  for (let n = 0; n < 14; n++) {
    world.usual = flow({ pending: 1, startUp: 1, runs: yield* Random.nextIntBetween(2, 90) })
    // Of one of two shapes, one of them with a secret.
    const secret = (yield* Random.nextIntBetween(0, 1)) === 1
    world.deploy({ job_variables: secret ? { env: { DB: "cpln://secret/db.password" } } : {} })
    runs.push(`r${n}`)
    yield* world.addRun(`r${n}`)
    const gap = yield* Random.nextIntBetween(240_000, 2_700_000)
    for (let passed = 0; passed < gap; passed += 60_000) {
      if ((yield* Random.nextIntBetween(0, 2)) === 0) {
        world.faults.onCall(yield* oneOf(calls), yield* anyFault, yield* Random.nextIntBetween(1, 2))
      }
      yield* pass(Duration.millis(Math.min(60_000, gap - passed)))
    }
    if ((yield* Random.nextIntBetween(0, 5)) === 0) {
      const index = yield* Random.nextIntBetween(0, 2)
      yield* agents[index]?.kill ?? Effect.void
      agents[index] = yield* startAgent(world, `agent-${n + 10}`, { settings })
    }
  }
  for (const rule of world.faults.rules) rule.left = 0
  yield* pass("3 hours")
  return { world, runs }
})

/** Jobs that lived until an agent deleted their workload. */
const cut = (world: World, runId: string): ReadonlyArray<string> =>
  livesOf(world, runId).flatMap(({ commandId }) => {
    const ended = world.chronicle.entries.some(
      (each) => each.what === "job stage" && each.commandId === commandId && finalStages.has(each.stage)
    )
    const deleted = world.chronicle.of("job deleted").some((each) => each.commandId === commandId)
    return deleted && !ended ? [`the job ${commandId} of ${runId} lived when its workload went`] : []
  })

const wentOf = (world: World) =>
  world.chronicle.entries.filter(({ what }) => what === "workload deleted").length

describe("whatever happens to three agents that clean up", () => {
  for (const seed of seeds) {
    it.effect(
      `no job is lost to it, and no run (seed ${seed})`,
      () =>
        Effect.gen(function* () {
          const { runs, world } = yield* life()
          expect(wentOf(world)).toBeGreaterThan(0)
          expect([
            ...broken(world),
            ...runs.flatMap((id) => cut(world, id)),
            ...runs.flatMap((id) =>
              ["COMPLETED", "CRASHED"].includes(world.stateOf(id)) ? [] : [`${id} is ${world.stateOf(id)}`]
            )
          ]).toEqual([])
          expect([...world.platform.workloads.keys()]).toEqual([])
        }).pipe(Random.withSeed(`cleanup ${seed}`)),
      60_000
    )
  }
})
