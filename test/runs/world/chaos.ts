/**
 * Trouble by chance: what people, services and machines do to a world while agents work in it.
 *
 * Invariant: every choice is drawn from `Random`, and all of it is possible in real life; nothing here breaks a promise by
 * itself. Faults that make a proposal take effect long after its client gave up are left out: no agent can do anything
 * about those.
 */
import { Clock, Duration, Effect, Random } from "effect"
import { type Agent, startAgent } from "./agents.ts"
import type { Fault } from "./faults.ts"
import { flow, type FlowPlan } from "./jobs.ts"
import type { World } from "./world.ts"

const oneOf = <const A>(...all: readonly [A, ...ReadonlyArray<A>]): Effect.Effect<A> =>
  Effect.map(Random.nextIntBetween(0, all.length - 1), (index) => all[index] ?? all[0])

const between = (least: number, most: number) => Random.nextIntBetween(least, most)

/** Something that most flows do, and now and then something worse. */
export const anyPlan: Effect.Effect<FlowPlan> = Effect.gen(function* () {
  const hears = yield* oneOf<number | undefined>(5, undefined)
  return {
    pending: yield* oneOf(1, 3, 10, 60, 200),
    startUp: yield* oneOf(1, 5, 20),
    runs: yield* oneOf(3, 20, 60, 200),
    reports: yield* oneOf("COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "CRASHED", "nothing"),
    exitCode: yield* oneOf(0, 0, 0, 1, 137),
    ...(hears === undefined ? {} : { hearsCancel: hears })
  } satisfies FlowPlan
})

export interface Chaos {
  readonly world: World
  readonly agents: Array<Agent>
  readonly runs: Array<string>
  /** What happened, for whoever reads a failure. */
  readonly story: Array<string>
  started: number
}

const anyFault: Effect.Effect<Fault> = Effect.gen(function* () {
  const commit = yield* oneOf("never", "after")
  return yield* oneOf<Fault>(
    { kind: "refused" },
    { kind: "reset", commit },
    { kind: "503", commit },
    { kind: "429" },
    { kind: "timeout", lands: commit === "never" ? "never" : "at once" },
    { kind: "slow", before: 300, after: 4_000 },
    { kind: "slow", before: 0, after: 9_000 }
  )
})

const calls = [
  "propose",
  "readRun",
  "findRuns",
  "history",
  "changeRun",
  "scheduledRuns",
  "start",
  "find",
  "get",
  "stopReplica",
  "deployments",
  "readWorkload",
  "createWorkload"
] as const

const replace = Effect.fnUntraced(function* (chaos: Chaos, index: number) {
  chaos.agents[index] = yield* startAgent(chaos.world, `agent-${++chaos.started}`)
})

/** One event, of which most change one run or one agent. */
export const anyEvent = Effect.fnUntraced(function* (chaos: Chaos) {
  const { world } = chaos
  const now = yield* Clock.currentTimeMillis
  const index = yield* between(0, chaos.agents.length - 1)
  const agent = chaos.agents[index]
  const runId = yield* oneOf(chaos.runs[0] ?? "", ...chaos.runs.slice(1))
  const live = world.platform.live(runId)[0]
  const what = yield* oneOf(
    ...([
      "fault",
      "fault",
      "fault",
      "outage",
      "stale",
      "cancel",
      "retry",
      "delete run",
      "platform stops"
    ] as const),
    ...(["job vanishes", "workload deleted", "kill", "drain", "pause", "crash it", "late start"] as const)
  )
  chaos.story.push(`${((now % 86_400_000) - 14_400_000) / 1000} s: ${what} (${runId}, ${agent?.name})`)
  switch (what) {
    case "fault": {
      const name = yield* oneOf(...calls)
      const fault = yield* anyFault
      chaos.story.push(`  ${name} ${JSON.stringify(fault)}`)
      world.faults.onCall(name, fault, yield* between(1, 3))
      return
    }
    case "late start": {
      world.faults.onCall("start", { kind: "timeout", lands: yield* oneOf(16_000, 25_000, 40_000, 60_000) })
      return
    }
    case "outage": {
      const service = yield* oneOf("Prefect", "Control Plane")
      const back = world.faults.outage(service)
      chaos.story.push(`  of ${service}`)
      yield* Effect.forkDetach(Effect.andThen(sleep(yield* between(5, 40)), Effect.sync(back)))
      return
    }
    case "stale": {
      const name = yield* oneOf("findRuns", "find", "get")
      world.faults.onCall(name, { kind: "stale", by: 1000 * (yield* between(2, 20)) }, yield* between(1, 4))
      chaos.story.push(`  ${name}`)
      return
    }
    case "cancel":
      return yield* world.propose(runId, "CANCELLING", { force: yield* Random.nextBoolean })
    case "retry":
      return yield* ["COMPLETED", "FAILED", "CRASHED"].includes(world.stateOf(runId))
        ? world.propose(runId, "SCHEDULED", { name: "AwaitingRetry" })
        : Effect.void
    case "crash it":
      return yield* world.propose(runId, "CRASHED")
    case "delete run":
      return yield* oneOf(true, false, false, false).pipe(
        Effect.map((really) => (really ? world.prefect.delete(now, runId) : undefined))
      )
    case "platform stops":
      return live === undefined ? undefined : world.platform.onStop(live.id)
    case "job vanishes":
      return live === undefined ? undefined : yield* world.vanish(live.id)
    case "workload deleted": {
      const [path] = world.platform.workloads.keys()
      if (path !== undefined) world.platform.deleteWorkload(now, "person", path)
      return
    }
    case "kill":
      yield* agent?.kill ?? Effect.void
      return yield* replace(chaos, index)
    case "drain":
      yield* agent?.stop ?? Effect.void
      return yield* replace(chaos, index)
    case "pause": {
      yield* agent?.pause ?? Effect.void
      yield* Effect.forkDetach(Effect.andThen(sleep(yield* between(5, 60)), agent?.resume ?? Effect.void))
    }
  }
})

const sleep = (seconds: number) => Effect.sleep(Duration.seconds(seconds))

/** Six runs, due in the first two minutes, in a world with two agents and answers that take their time. */
export const beginChaos = Effect.fnUntraced(function* (world: World): Effect.fn.Return<Chaos> {
  world.faults.latency = { least: 5, most: 400 }
  world.stopping.grace = yield* oneOf(2, 10, 30)
  world.stopping.endsAs = yield* oneOf<"cancelled" | "failed" | "completed">(
    "cancelled",
    "failed",
    "completed"
  )
  const now = yield* Clock.currentTimeMillis
  const runs: Array<string> = []
  for (let n = 1; n <= 6; n++) {
    const id = `r${n}`
    runs.push(id)
    world.scripts.set(id, flow(yield* anyPlan))
    yield* world.addRun(id, { due: now + 1000 * (yield* between(0, 120)), retries: yield* oneOf(0, 0, 1) })
  }
  const chaos: Chaos = { world, agents: [], runs, story: [], started: 0 }
  yield* replace(chaos, 0)
  yield* replace(chaos, 1)
  return chaos
})
