import { describe, expect, it } from "@effect/vitest"
import {
  decide,
  type Decision,
  type Observation,
  type Phase,
  type Policy,
  type RunView
} from "../../../src/runs/decide/decide.ts"

const second = 1_000
const policy: Policy = {
  settle: 60 * second,
  cancelGrace: 20 * second,
  linger: 30 * second,
  mainLinger: 120 * second,
  startTimeout: 900 * second,
  deadline: undefined,
  unreportedExit: "COMPLETED"
}

const phases: ReadonlyArray<Phase> = [
  "pending",
  "pending elsewhere",
  "running",
  "cancelling",
  "over",
  "retry in process",
  "scheduled",
  "paused in process",
  "suspended"
]
const ages = [0, 10, 29, 31, 59, 61, 119, 121, 899, 901, 1801].map((each) => each * second)
const exits = [undefined, 0, 1].map((code) => ({ code, text: `exit code ${code}` }))
const both = [false, true]

const observations: ReadonlyArray<Observation> = [
  { _tag: "Unreachable", why: "503" },
  ...both.flatMap((gone) =>
    both.flatMap((provenAbsent) =>
      (["ours", "nobody", "other"] as const).map((whose) => ({
        _tag: "Absent" as const,
        gone,
        provenAbsent,
        whose
      }))
    )
  ),
  ...ages.flatMap((age) => both.map((stopAsked) => ({ _tag: "Pending" as const, age, stopAsked }))),
  ...both.flatMap((runner) => both.map((stopWanted) => ({ _tag: "Live" as const, runner, stopWanted }))),
  ...exits.flatMap((exit) =>
    ages.flatMap((age) => both.map((stopAsked) => ({ _tag: "MainEnded" as const, exit, age, stopAsked })))
  ),
  { _tag: "Stopping" },
  ...(["completed", "failed", "cancelled"] as const).flatMap((stage) =>
    [1, 2].flatMap((looks) =>
      ages.flatMap((age) =>
        exits.flatMap((exit) =>
          both.map((stopAsked) => ({ _tag: "Final" as const, stage, looks, age, exit, stopAsked }))
        )
      )
    )
  )
]

const runs: ReadonlyArray<RunView> = phases.flatMap((phase) =>
  ages.flatMap((phaseAge) => [undefined, ...ages].map((sinceStart) => ({ phase, phaseAge, sinceStart })))
)

/** The whole product: every run, every observation, with and without a deadline, both policies for a silent exit. */
const everyCase = (check: (run: RunView, seen: Observation, decision: Decision, used: Policy) => void) => {
  for (const used of [
    policy,
    { ...policy, deadline: 600 * second },
    { ...policy, unreportedExit: "CRASHED" as const }
  ]) {
    for (const run of runs) for (const seen of observations) check(run, seen, decide(run, seen, used), used)
  }
}

const alive = (seen: Observation) => ["Pending", "Live", "MainEnded", "Stopping"].includes(seen._tag)
const at = (phase: Phase, phaseAge = 0, sinceStart?: number): RunView => ({ phase, phaseAge, sinceStart })
const final = (
  stage: "completed" | "failed" | "cancelled",
  more: Partial<Extract<Observation, { _tag: "Final" }>> = {}
) => ({
  _tag: "Final" as const,
  stage,
  looks: 2,
  age: 61 * second,
  exit: { code: undefined, text: "no reason" },
  stopAsked: false,
  ...more
})

describe("decide, over the whole product", () => {
  it("has exactly one answer for every case", () => {
    let count = 0
    everyCase((_, __, decision) => {
      if (typeof decision._tag !== "string") expect.unreachable()
      count++
    })
    expect(count).toBeGreaterThan(1_000_000 / 4)
  })

  it("writes, stops and forgets nothing when the service could not be asked", () => {
    everyCase((_, seen, decision) => {
      if (seen._tag === "Unreachable" && decision._tag !== "Wait")
        expect.unreachable(JSON.stringify(decision))
    })
  })

  it("never writes a state over a run that is over", () => {
    everyCase((run, seen, decision) => {
      if (run.phase === "over" && !["Wait", "Stop", "Forget"].includes(decision._tag)) {
        expect.unreachable(`${JSON.stringify(seen)} -> ${JSON.stringify(decision)}`)
      }
    })
  })

  it("writes CANCELLED only from cancelling, or from running when the platform cancelled what we did not stop", () => {
    everyCase((run, seen, decision) => {
      if (decision._tag !== "Propose" || decision.state !== "CANCELLED") return
      const byPlatform =
        run.phase === "running" && seen._tag === "Final" && seen.stage === "cancelled" && !seen.stopAsked
      if (run.phase !== "cancelling" && !byPlatform) expect.unreachable(JSON.stringify([run, seen]))
    })
  })

  it("never calls a run cancelled, or completed, while its main container lives", () => {
    everyCase((_, seen, decision) => {
      if (decision._tag !== "Propose" || !alive(seen) || seen._tag === "MainEnded") return
      if (decision.state !== "CRASHED") expect.unreachable(JSON.stringify([seen, decision]))
    })
  })

  it("concludes nothing from one look at `failed`, but that a cancelled run is over", () => {
    everyCase((run, seen, decision, used) => {
      if (seen._tag !== "Final" || seen.stage !== "failed" || seen.looks > 1) return
      if (run.phase === "cancelling" || used.deadline !== undefined) return
      if (["Propose", "MakeClaimable", "HandBack"].includes(decision._tag)) {
        expect.unreachable(JSON.stringify([run, decision]))
      }
    })
  })

  it("hands back only what is proven absent and claimed by our kind", () => {
    everyCase((run, seen, decision) => {
      if (decision._tag !== "HandBack") return
      expect(run.phase).toBe("pending")
      expect(seen).toMatchObject({ _tag: "Absent", provenAbsent: true, whose: "ours" })
    })
  })

  it("leaves runs of other workers alone when it finds no job of theirs", () => {
    everyCase((_, seen, decision) => {
      if (seen._tag !== "Absent" || seen.whose !== "other") return
      if (!["Wait", "Say", "Forget"].includes(decision._tag)) expect.unreachable(JSON.stringify(decision))
    })
  })

  it("stops a job that lives on after its run, sooner or later", () => {
    for (const seen of observations.filter(alive)) {
      const old = { ...seen, ...("age" in seen ? { age: 3_600 * second } : {}) } as Observation
      expect(decide(at("over", 3_600 * second), old, policy)._tag).toBe("Stop")
    }
  })
})

describe("decide, row by row", () => {
  it("gives the engine the settle time to speak for itself", () => {
    const running = at("running", 0, 10 * second)
    expect(decide(running, final("completed", { age: 59 * second }), policy)._tag).toBe("Wait")
    expect(decide(running, final("completed"), policy)).toMatchObject({ _tag: "Propose", state: "COMPLETED" })
    expect(decide(running, final("completed"), { ...policy, unreportedExit: "CRASHED" })).toMatchObject({
      state: "CRASHED"
    })
    expect(decide(at("pending"), final("completed"), policy)).toMatchObject({ state: "CRASHED" })
  })

  it("calls a run crashed once its job failed, was seen twice to have, and said nothing", () => {
    expect(decide(at("running"), final("failed", { looks: 1 }), policy)._tag).toBe("Wait")
    expect(decide(at("running"), final("failed", { age: 0 }), policy)).toMatchObject({ state: "CRASHED" })
    expect(decide(at("pending"), final("failed", { age: 0 }), policy)).toMatchObject({ state: "CRASHED" })
  })

  it("follows the platform when somebody cancelled the job there, but not when we stopped it", () => {
    expect(decide(at("running"), final("cancelled"), policy)).toMatchObject({ state: "CANCELLED" })
    expect(decide(at("running"), final("cancelled", { stopAsked: true }), policy)).toMatchObject({
      state: "CRASHED"
    })
    expect(decide(at("pending"), final("cancelled"), policy)).toMatchObject({
      state: "CRASHED",
      why: "the job was stopped before it reported"
    })
  })

  it("lets a runner cancel its own run, and stops the job of a deaf one", () => {
    const live = (runner: boolean): Observation => ({ _tag: "Live", runner, stopWanted: false })
    expect(decide(at("cancelling", 19 * second), live(true), policy)._tag).toBe("Wait")
    expect(decide(at("cancelling", 20 * second), live(true), policy)._tag).toBe("Stop")
    expect(decide(at("cancelling", 0), live(false), policy)._tag).toBe("Stop")
    expect(decide(at("cancelling", 0), { _tag: "Pending", age: 0, stopAsked: false }, policy)._tag).toBe(
      "Stop"
    )
    expect(decide(at("cancelling"), final("failed", { looks: 1, age: 0 }), policy)).toMatchObject({
      state: "CANCELLED"
    })
  })

  it("waits five looks before a job that vanished is a crash", () => {
    const absent = (gone: boolean): Observation => ({
      _tag: "Absent",
      gone,
      provenAbsent: false,
      whose: "ours"
    })
    expect(decide(at("running"), absent(false), policy)._tag).toBe("Wait")
    expect(decide(at("running"), absent(true), policy)).toMatchObject({ state: "CRASHED" })
  })

  it("stops what does not start in time, and calls it crashed only when it is final or will not stop", () => {
    const pending = (age: number): Observation => ({ _tag: "Pending", age, stopAsked: false })
    expect(decide(at("pending"), pending(899 * second), policy)._tag).toBe("Wait")
    expect(decide(at("pending"), pending(901 * second), policy)._tag).toBe("Stop")
    expect(decide(at("pending"), pending(1801 * second), policy)).toMatchObject({
      state: "CRASHED",
      thenStop: true
    })
  })

  it("ends a run past its deadline, whatever stage our stop led to", () => {
    const limited = { ...policy, deadline: 600 * second }
    const overdue = at("running", 601 * second, 601 * second)
    expect(decide(overdue, { _tag: "Live", runner: true, stopWanted: false }, limited)._tag).toBe("Stop")
    for (const stage of ["completed", "failed", "cancelled"] as const) {
      expect(decide(overdue, final(stage, { age: 0, stopAsked: true }), limited)).toMatchObject({
        state: "CRASHED"
      })
    }
    // It ended in time: the minutes since do not count.
    expect(decide(overdue, final("completed", { age: 100 * second }), limited)).toMatchObject({
      state: "COMPLETED"
    })
  })

  it("lets hooks and logs finish after a run is over, but starts no finished run again", () => {
    const live: Observation = { _tag: "Live", runner: true, stopWanted: false }
    expect(decide(at("over", 119 * second), live, policy)._tag).toBe("Wait")
    expect(decide(at("over", 120 * second), live, policy)._tag).toBe("Stop")
    expect(decide(at("over", 0), { _tag: "Pending", age: 0, stopAsked: false }, policy)._tag).toBe("Stop")
    expect(decide(at("over", 0), { ...live, stopWanted: true }, policy)._tag).toBe("Stop")
    const sidecars: Observation = {
      _tag: "MainEnded",
      exit: { code: 0, text: "" },
      age: 31 * second,
      stopAsked: false
    }
    expect(decide(at("over", 31 * second), sidecars, policy)._tag).toBe("Stop")
    expect(decide(at("over", 29 * second), sidecars, policy)._tag).toBe("Wait")
  })

  it("makes a run claimable whose engine died while it waited for its own retry", () => {
    expect(
      decide(at("retry in process"), { _tag: "Live", runner: true, stopWanted: false }, policy)._tag
    ).toBe("Wait")
    expect(decide(at("retry in process"), final("failed"), policy)._tag).toBe("MakeClaimable")
    expect(decide(at("suspended"), final("failed"), policy)._tag).toBe("Forget")
    expect(decide(at("paused in process"), final("failed"), policy)).toMatchObject({ state: "CRASHED" })
  })
})
