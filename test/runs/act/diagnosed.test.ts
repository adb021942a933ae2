/**
 * Every kind of end as the emulator makes it, read by the agent's own client, decided by the table, and told: from the
 * fault to the words that a person reads on the run.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schedule } from "effect"
import { Commands } from "../../../src/cpln/commands.ts"
import { Access, ControlPlane } from "../../../src/cpln/control-plane.ts"
import { at } from "../../../src/cpln/place.ts"
import { WorkloadRef } from "../../../src/cpln/schemas.ts"
import { platform } from "../../../src/platform.ts"
import { crashMessage } from "../../../src/runs/decide/crash.ts"
import { decide, type Observation, type Policy } from "../../../src/runs/decide/decide.ts"
import { type Category, kindOf, silence, troubleOf } from "../../../src/runs/decide/diagnose.ts"
import { executionOf } from "../../../src/runs/workloads/executions.ts"
import { observe } from "../../../src/runs/decide/normalise.ts"
import { type Client, cron, gvc, idOf, token, withRunner } from "../../emulator/harness.ts"
import { end, fault, isOver, isPlaced, running, stop } from "../../emulator/faults/asked.ts"

const quick = { startDelay: 0, preStop: 20, grace: 200 }

/** Nothing is waited for: what is decided is what would be in the end. */
const policy: Policy = {
  settle: 0,
  cancelGrace: 0,
  linger: 0,
  mainLinger: 0,
  startTimeout: 1,
  deadline: undefined,
  unreportedExit: "CRASHED"
}

/** What the run's owner reads in the end, of a run in this state. */
const told = Effect.fnUntraced(
  function* (cpln: Client, path: string, phase: "pending" | "running", workload = "runner") {
    const access = new Access({ endpoint: cpln.url, org: "acme", token: Redacted.make(token) })
    const place = { access, workload: new WorkloadRef({ org: "acme", gvc: "dev", name: workload }) }
    const read = yield* Commands.use((commands) => commands.get(place.workload, idOf(path))).pipe(
      Effect.catchTag("NotFound", () => Effect.succeed(undefined)),
      at(access)
    )
    const execution = (yield* executionOf(place, idOf(path)))?.execution
    const remembered = { stopAsked: false, stopWanted: false, failedLooks: 2, mainEndedAge: 0 }
    const seen: Observation =
      read === undefined
        ? { _tag: "Absent", gone: true, provenAbsent: true, whose: "ours" }
        : observe(read.value, read.at, execution, phase === "running", remembered)
    // A job that does not start is pending for as long as its timeouts.
    const late: Observation = seen._tag === "Pending" ? { ...seen, age: 10 } : seen
    const view = { phase, phaseAge: 60_000, sinceStart: phase === "running" ? 60_000 : undefined }
    const decision = decide(view, late, policy)
    expect(decision).toMatchObject({ _tag: "Propose", state: "CRASHED" })
    const trouble = seen._tag === "Pending" ? (troubleOf(execution) ?? silence) : undefined
    const why = decision._tag === "Propose" ? decision.why : ""
    const said = trouble === undefined ? why : `the job did not start in time: ${trouble}`
    return crashMessage({
      why: said,
      workload,
      command: idOf(path),
      category: kindOf(said, seen, trouble),
      lines: []
    })
  },
  Effect.provide(
    Layer.provide(
      ControlPlane.layerWith({ ratePerSecond: 0, logsEndpoint: undefined, logsToken: undefined }),
      platform
    )
  )
)

const is = (message: string, category: Category, ...parts: ReadonlyArray<string>) => {
  expect(message).toContain(`[${category}] `)
  expect(message).toContain(`(docs/troubleshooting.md#${category})`)
  for (const part of parts) expect(message).toContain(part)
}

/** As every job of the agent: each container has an override. */
const started = (cpln: Client, more: Record<string, unknown> = {}) =>
  cpln.start("runner", { containerOverrides: [{ name: "main", image: "x" }], ...more })

const over = (cpln: Client, path: string) => cpln.until(path, isOver)

describe("what the run's owner is told of a job that", () => {
  it.live("was killed for its memory", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      yield* fault(cpln, { what: "oom", seconds: 0.02 })
      const path = yield* started(cpln)
      yield* over(cpln, path)
      is(yield* told(cpln, path, "running"), "out-of-memory", "exit code 137", "OOMKilled")
    })
  )

  it.live("lost its machine", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      yield* fault(cpln, { what: "eviction", seconds: 0.02 })
      const path = yield* started(cpln)
      yield* over(cpln, path)
      is(yield* told(cpln, path, "running"), "eviction", "Evicted")
    })
  )

  it.live("ran past the deadline that the platform keeps", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const path = yield* started(cpln, { activeDeadlineSeconds: 1 })
      yield* over(cpln, path)
      is(yield* told(cpln, path, "running"), "deadline", "deadline")
    })
  )

  it.live("cannot get its image", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      yield* fault(cpln, { what: "image-failure" })
      const path = yield* started(cpln)
      yield* cpln.until(path, isPlaced)
      is(yield* told(cpln, path, "pending"), "image-pull", "ImagePullBackOff")
    })
  )

  it.live("waits too long for its image", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      yield* fault(cpln, { what: "image-pull", seconds: 60 })
      const path = yield* started(cpln)
      yield* cpln.until(path, isPlaced)
      is(yield* told(cpln, path, "pending"), "image-pull", "Pulling image", "--start-timeout")
    })
  )

  it.live("finds no room", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      yield* fault(cpln, { what: "capacity", seconds: 60 })
      const path = yield* started(cpln)
      const message = yield* told(cpln, path, "pending").pipe(
        Effect.repeat({
          until: (text) => text.includes("Insufficient"),
          schedule: Schedule.spaced("20 millis")
        }),
        Effect.timeout("5 seconds")
      )
      is(message, "capacity", "Insufficient cpu")
    })
  )

  it.live("waits for a secret, of which the platform says nothing", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const made = yield* cpln.post(
        `${gvc}/workload`,
        cron("secretive", {
          containers: [{ name: "main", image: "x", env: [{ name: "A", value: "cpln://secret/none" }] }]
        })
      )
      expect(made.status).toBe(201)
      const path = yield* cpln.start("secretive")
      yield* Effect.sleep("100 millis")
      const message = yield* told(cpln, path, "pending", "secretive")
      is(message, "not-started", "the platform gave no reason", "secret")
    })
  )

  it.live("vanished", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      yield* fault(cpln, { what: "vanished", seconds: 0.05 })
      const path = yield* started(cpln)
      yield* cpln.until(path, ({ status }) => status === 404)
      is(yield* told(cpln, path, "running"), "lost", "no longer exists")
    })
  )

  it.live.each([
    [3, "exit-code", "exit code 3"],
    [126, "command-not-found", "exit code 126 (the command cannot be executed)"],
    [127, "command-not-found", "exit code 127 (the command was not found)"],
    [137, "killed", "exit code 137"],
    [143, "terminated", "exit code 143 (ended by SIGTERM)"],
    [0, "unreported", "exit code 0 and never reported"]
  ] as const)("ended with exit code %s: %s", ([code, category, words]) =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const path = yield* started(cpln)
      yield* running(cpln, path)
      yield* end(cpln, path, code)
      yield* over(cpln, path)
      is(yield* told(cpln, path, "running"), category, words)
    })
  )

  it.live.each(["failed", "cancelled"] as const)(
    "somebody stopped before it reported, ended as %s",
    (endsAs) =>
      Effect.gen(function* () {
        const cpln = yield* withRunner({ ...quick, stopStage: endsAs })
        const path = yield* started(cpln)
        yield* stop(cpln, yield* running(cpln, path))
        yield* over(cpln, path)
        is(yield* told(cpln, path, "pending"), "terminated")
      })
  )

  it.live("ended well before it ever reported", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const path = yield* started(cpln)
      yield* running(cpln, path)
      yield* end(cpln, path, 0)
      yield* over(cpln, path)
      is(yield* told(cpln, path, "pending"), "unreported", "without ever reporting")
    })
  )
})
