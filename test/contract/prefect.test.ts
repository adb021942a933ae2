/**
 * Holds the Prefect client against what stock servers of both lines really said: each recording is played to the call of
 * the client that would have made it, and both sides are compared. No recording may be left out without a reason.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Option, Result, Schema } from "effect"
import type { ApiError } from "../../src/http/errors.ts"
import { Prefect, type Proposal } from "../../src/prefect/prefect.ts"
import { FlowRun, Orchestration } from "../../src/prefect/schemas.ts"
import {
  exchange,
  type Exchange,
  type Line,
  lines,
  names,
  replaying,
  whatMatters
} from "../prefect/replay.ts"

type Client = Prefect["Service"]
type Outcome = Result.Result<unknown, ApiError>

interface Case {
  readonly call: (prefect: Client, sent: Exchange["request"]) => Effect.Effect<unknown, ApiError>
  readonly check: (outcome: Outcome, answered: unknown, line: Line) => void
  /** Recordings that answer what the client asks first. */
  readonly before?: ReadonlyArray<string>
  /** Only the answer is ours: the recorded request has a body that this client cannot send. */
  readonly answerOnly?: boolean
}

/** The decoded value is part of the recorded answer: nothing is invented, and `keys` are there. */
const gives = (call: Case["call"], ...keys: ReadonlyArray<string>): Case => ({
  call,
  check: (outcome, answered) => {
    const value = Result.getOrThrow(outcome)
    expect(answered).toMatchObject(value as object)
    for (const each of Array.isArray(value) ? value : [value]) {
      for (const key of keys) expect(each, key).toHaveProperty(key)
    }
  }
})

const givesValue = (call: Case["call"], expected: (answered: never) => unknown): Case => ({
  call,
  check: (outcome, answered) => expect(Result.getOrThrow(outcome)).toEqual(expected(answered as never))
})

const succeeds = (call: Case["call"]): Case => givesValue(call, () => undefined)

const fails = (call: Case["call"], tag: ApiError["_tag"], more: Partial<Case> = {}): Case => ({
  call,
  check: (outcome) => expect(Result.isFailure(outcome) && outcome.failure._tag).toBe(tag),
  ...more
})

/** `/api/<kind>/<id>/…` */
const idIn = (sent: Exchange["request"]) => sent.path.split("/")[3]!
const bodyOf = <A>(sent: Exchange["request"]) => sent.body as A

const readRun: Case["call"] = (prefect, sent) => Effect.map(prefect.readRun(idIn(sent)), ({ value }) => value)
const readPool: Case["call"] = (prefect, sent) => prefect.readWorkPool(idIn(sent))
const readBlock: Case["call"] = (prefect, sent) => prefect.readBlock(idIn(sent).split("?")[0]!)
const readNamedBlock: Case["call"] = (prefect, sent) => {
  const [, , , , slug, , , name] = sent.path.split("?")[0]!.split("/")
  return prefect.readBlockByName(slug!, name!)
}
const readVariable: Case["call"] = (prefect, sent) => prefect.readVariable(sent.path.split("/").at(-1)!)
const createPool: Case["call"] = (prefect, sent) => {
  const { name, type } = bodyOf<{ name: string; type: string }>(sent)
  return prefect.createWorkPool({ name, type, baseJobTemplate: {} })
}
const updatePool: Case["call"] = (prefect, sent) =>
  prefect.updateWorkPool(idIn(sent), {
    baseJobTemplate: bodyOf<{ base_job_template: Record<string, unknown> }>(sent).base_job_template
  })
const ensureQueue: Case["call"] = (prefect, sent) =>
  prefect.ensureQueue("cpln-pool", bodyOf<{ name: string }>(sent).name)
const heartbeat: Case["call"] = (prefect, sent) =>
  prefect.heartbeat(idIn(sent), bodyOf<{ name: string }>(sent).name, 30)
const deleteWorker: Case["call"] = (prefect) => prefect.deleteWorker("cpln-pool", "cpln-worker-1")
const setPid: Case["call"] = (prefect, sent) =>
  prefect.changeRun(idIn(sent), {
    infrastructurePid: bodyOf<{ infrastructure_pid?: string }>(sent).infrastructure_pid ?? "pid"
  })
const renewLease: Case["call"] = (prefect, sent) => prefect.renewLease(sent.path.split("/").at(-2)!, 300)

const scheduled: Case["call"] = (prefect, sent) => {
  const asked = bodyOf<{ work_queue_names?: Array<string>; scheduled_before?: string }>(sent)
  return Effect.map(
    prefect.scheduledRuns({
      pool: idIn(sent),
      queues: asked.work_queue_names ?? [],
      before: Date.parse(asked.scheduled_before ?? "2026-11-23T16:00:00Z"),
      limit: 200
    }),
    ({ value }) => value
  )
}

const propose: Case["call"] = (prefect, sent) => {
  const { state } = bodyOf<{
    state: Pick<Proposal, "type"> & { name?: string; state_details?: { transition_id?: string } }
  }>(sent)
  return prefect.propose(idIn(sent), {
    type: state.type,
    ...(state.name === undefined ? {} : { name: state.name }),
    transitionId: state.state_details?.transition_id ?? "00000000-0000-4000-8000-000000000000"
  })
}

/** The server's verdict, the state it left the run in, and why. */
const verdict = (status: string, type: string, reason?: string): Case => ({
  call: propose,
  check: (outcome, answered) => {
    const value = Result.getOrThrow(outcome) as Orchestration
    expect(answered).toMatchObject(value)
    expect([value.status, value.state?.type]).toEqual([status, type])
    if (reason !== undefined) expect(value.details?.reason).toContain(reason)
  }
})

const writeLog: Case["call"] = (prefect, sent) => {
  const [record] =
    bodyOf<
      ReadonlyArray<{ name: string; level: number; message: string; timestamp: string; flow_run_id: string }>
    >(sent)
  const { name, level, message, timestamp, flow_run_id } = record!
  return prefect.writeLogs([{ name, level, message, at: Date.parse(timestamp), runId: flow_run_id }])
}

const find =
  (filter: (ids: ReadonlyArray<string>) => Parameters<Client["findRuns"]>[0]): Case["call"] =>
  (prefect, sent) => {
    const { flow_runs } = bodyOf<{ flow_runs?: { id?: { any_: Array<string> } } }>(sent)
    return Effect.map(prefect.findRuns(filter(flow_runs?.id?.any_ ?? [])), ({ value }) => value)
  }

const deployment: Case = {
  call: (prefect, sent) => prefect.readDeployment(idIn(sent)),
  check: (outcome, answered) => {
    const sent = answered as Record<"infra_overrides" | "job_variables", unknown>
    expect(Result.getOrThrow(outcome)).toMatchObject({
      job_variables: { image: "img:1", env: { A: "1" } }
    })
    // The very difference: one key on each line, never both.
    expect([sent.infra_overrides, sent.job_variables].filter((each) => each !== undefined)).toHaveLength(1)
  }
}

/** The decoder alone: this client never proposes such a state, but may read such an answer. */
const decodes = (schema: typeof Orchestration): Case => ({
  call: () => Effect.void,
  check: (_outcome, answered) => expect(answered).toMatchObject(Schema.decodeUnknownSync(schema)(answered)),
  answerOnly: true
})

const cases: Readonly<Record<string, Case>> = {
  "admin-version": givesValue(
    (prefect) => prefect.version,
    (text: string) => ({ line: text[0], text })
  ),
  "work-pool-read": gives(readPool, "id", "type", "base_job_template", "status"),
  "work-pool-read-cpln": gives(readPool, "id", "type", "base_job_template"),
  "work-pool-read-404": fails(readPool, "NotFound"),
  "work-pool-create": gives(createPool, "id", "type"),
  "work-pool-create-409": fails(createPool, "Conflict"),
  "work-pool-create-reserved-403": fails(createPool, "Forbidden"),
  "work-pool-patch-template": succeeds(updatePool),
  "work-pool-patch-template-422": fails(updatePool, "Refused"),
  "queue-read": {
    ...givesValue(
      (prefect) => prefect.ensureQueue("cpln-pool", "default"),
      () => false
    )
  },
  "queue-read-404": fails((prefect) => prefect.ensureQueue("cpln-pool", "nope"), "NotFound", {
    answerOnly: true
  }),
  "queue-create": { ...givesValue(ensureQueue, () => true), before: ["queue-read-404"] },
  "queue-create-409": { ...givesValue(ensureQueue, () => false), before: ["queue-read-404"] },
  "worker-heartbeat": succeeds(heartbeat),
  "worker-heartbeat-404": fails(heartbeat, "NotFound"),
  "worker-filter": gives((prefect) => prefect.workers("cpln-pool"), "name", "status"),
  "worker-delete": succeeds(deleteWorker),
  "worker-delete-404": succeeds(deleteWorker),

  "get-scheduled": givesValue(scheduled, (rows: ReadonlyArray<{ flow_run: unknown; work_pool_id: string }>) =>
    rows.map(({ flow_run, work_pool_id }) => ({
      ...Schema.decodeUnknownSync(FlowRun)(flow_run),
      work_pool_id
    }))
  ),
  "get-scheduled-unknown-pool-404": fails(scheduled, "NotFound"),
  "get-scheduled-unknown-queue-404": fails(scheduled, "NotFound"),
  "get-scheduled-limit-422": fails(scheduled, "Refused"),
  "flow-run-read-scheduled": gives(readRun, "id", "state_type", "state", "empirical_policy", "job_variables"),
  "flow-run-read-pending": gives(readRun, "state"),
  "flow-run-read-running": gives(readRun, "start_time"),
  "flow-run-read-cancelled": gives(readRun, "end_time", "infrastructure_pid"),
  "flow-run-read-404": fails(readRun, "NotFound"),
  "flow-run-read-bad-id": fails(readRun, "NotFound"),
  "flow-runs-filter-cancelling": gives(
    find(() => ({ pool: "cpln-pool", stateTypes: ["CANCELLING"] })),
    "id"
  ),
  "flow-runs-count": givesValue(
    (prefect, sent) =>
      prefect.countRuns({ ids: bodyOf<{ flow_runs: { id: { any_: string[] } } }>(sent).flow_runs.id.any_ }),
    (answered: number) => answered
  ),
  "flow-runs-filter-ids": gives(
    find((ids) => ({ ids })),
    "id"
  ),
  "flow-runs-filter-tags": gives(
    find(() => ({ tags: ["t1"] })),
    "tags"
  ),
  "flow-runs-filter-limit-422": fails(
    find(() => ({})),
    "Refused"
  ),
  "flow-runs-filter-unknown-key-422": fails(
    find(() => ({})),
    "Refused",
    { answerOnly: true }
  ),
  "flow-run-states": gives(
    (prefect, sent) => prefect.history(sent.path.split("=")[1]!),
    "type",
    "timestamp",
    "state_details"
  ),
  "flow-run-patch-pid": succeeds(setPid),
  "flow-run-patch-404": fails(setPid, "NotFound"),
  "flow-run-patch-422": fails(setPid, "Refused", { answerOnly: true }),

  "claim-accept": verdict("ACCEPT", "PENDING"),
  "claim-accept-with-lease": verdict("ACCEPT", "PENDING"),
  "claim-crashed-run-ACCEPTED": verdict("ACCEPT", "PENDING"),
  "claim-future-run": verdict("ACCEPT", "PENDING"),
  "claim-lost-abort": verdict("ABORT", "PENDING", "cannot transition to a PENDING state"),
  "claim-same-transition-id-reject": verdict("REJECT", "PENDING", "already made this state transition"),
  "claim-awaiting-concurrency-slot": verdict("REJECT", "SCHEDULED"),
  "claim-cancelled-run": { ...verdict("REJECT", "CANCELLED"), check: notAccepted },
  submitting: { ...verdict("ABORT", "PENDING"), check: onlyLaterLinesAccept },
  "set-crashed-accept": verdict("ACCEPT", "CRASHED"),
  "crashed-when-terminal-abort": verdict("ABORT", "CANCELLED", "already in terminal state"),
  "crashed-while-cancelling-reject": verdict("REJECT", "CANCELLING"),
  "cancelling-to-cancelled-accept": verdict("ACCEPT", "CANCELLED"),
  "set-state-404": fails(propose, "NotFound"),
  "set-state-bad-type-422": fails(propose, "Refused"),
  "set-state-unknown-key-422": fails(propose, "Refused", { answerOnly: true }),
  "set-running": decodes(Orchestration),
  "running-early-wait": decodes(Orchestration),
  "set-cancelling": decodes(Orchestration),
  "cancel-scheduled-reject-cancelled": decodes(Orchestration),
  "set-cancelled-forced": decodes(Orchestration),
  "lease-renew": succeeds(renewLease),
  "lease-renew-410": fails(renewLease, "Refused"),

  "deployment-read": deployment,
  "deployment-read-404": fails((prefect, sent) => prefect.readDeployment(idIn(sent)), "NotFound"),
  "flow-read": gives((prefect, sent) => prefect.readFlow(idIn(sent)), "name"),
  "flow-read-404": fails((prefect, sent) => prefect.readFlow(idIn(sent)), "NotFound"),
  "block-document-read-secrets": gives(readBlock, "data", "block_type"),
  "block-document-nested-read-secrets": gives(readBlock, "data", "block_type"),
  "block-document-404": fails(readBlock, "NotFound", { answerOnly: true }),
  "block-document-by-name": gives(readNamedBlock, "data", "block_type"),
  "block-document-by-name-404": fails(readNamedBlock, "NotFound", { answerOnly: true }),
  "variable-by-name": givesValue(readVariable, (answered: { value: unknown }) => Option.some(answered.value)),
  "variable-by-name-404": givesValue(readVariable, () => Option.none()),

  "logs-create": succeeds(writeLog),
  "logs-create-422": fails(writeLog, "Refused", { answerOnly: true }),
  "events-create": {
    ...succeeds((prefect, sent) => prefect.emitEvents(bodyOf<ReadonlyArray<Record<string, unknown>>>(sent))),
    before: ["admin-version"]
  }
}

function notAccepted(outcome: Outcome) {
  const value = Result.getOrThrow(outcome) as Orchestration
  expect(value.status).not.toBe("ACCEPT")
  expect(value.state?.type).toBe("CANCELLED")
}

/** Servers before 3.6.22 have no such state: this is why it may never be sent as a claim. */
function onlyLaterLinesAccept(outcome: Outcome, _answered: unknown, line: Line) {
  const value = Result.getOrThrow(outcome) as Orchestration
  expect(value.status).toBe(line === "3.8.8" ? "ACCEPT" : "ABORT")
}

const access = "played in prefect-access.test.ts"

/** Why a recording is not played above. */
const elsewhere: Readonly<Record<string, string>> = {
  "auth-ok": access,
  "auth-missing-401": access,
  "auth-wrong-401": access,
  "csrf-token": access,
  "csrf-accepted": access,
  "csrf-missing-403": access,
  "csrf-invalid-403": access,
  "csrf-disabled": access,
  "flow-run-labels": "played below: what is sent depends on the line",
  health: "not called: it is open without a credential and proves nothing",
  ready: "not called",
  version: "not called: it is 0.8.4 on both lines",
  "flow-runs-paginate": "not called: only 3.x has it",
  "logs-filter": "not called",
  "queue-filter": "not called",
  "create-flow-run": "people and schedules create runs",
  "create-flow-run-422": "people and schedules create runs",
  "deployment-delete": "people delete deployments",
  "block-document-read": "blocks are read with their secrets",
  "events-out-frame": "a websocket frame"
}
const isBlockAdministration = (name: string) =>
  /^block-(type|schema)-|^block-document-(create|patch)/u.test(name)

for (const line of lines) {
  describe(`Prefect ${line}`, () => {
    for (const name of names(line).filter((each) => cases[each] !== undefined)) {
      const { call, check, before = [], answerOnly = false } = cases[name]!
      const recorded = exchange(line, name)
      const server = replaying([...before.map((each) => exchange(line, each)), recorded])

      it.effect(name, () =>
        Effect.gen(function* () {
          const outcome = yield* Effect.result(Prefect.use((prefect) => call(prefect, recorded.request)))
          check(outcome, recorded.response.body, line)
          if (answerOnly) return
          const sent = server.asked.at(-1)!
          expect(server.asked).toHaveLength(before.length + 1)
          expect(whatMatters(sent)).toMatchObject(whatMatters(recorded.request))
        }).pipe(Effect.provide(server.layer))
      )
    }

    it.effect("flow-run-labels", () => {
      const recorded = exchange(line, "flow-run-labels")
      const server = replaying([exchange(line, "admin-version"), recorded])
      return Effect.gen(function* () {
        const run = idIn(recorded.request)
        yield* Prefect.use((prefect) => prefect.labelRun(run, { "prefect.worker.name": "w" }))
        expect(server.asked.slice(1).map(whatMatters)).toEqual(
          line === "2.20.25" ? [] : [whatMatters(recorded.request)]
        )
      }).pipe(Effect.provide(server.layer))
    })

    it("leaves no recording unplayed without a reason", () => {
      const unplayed = names(line).filter(
        (name) => cases[name] === undefined && elsewhere[name] === undefined && !isBlockAdministration(name)
      )
      expect(unplayed).toEqual([])
    })
  })
}
