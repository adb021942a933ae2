/**
 * A Prefect server in memory: runs with their states, the rules by which it takes or refuses a state, and what its own
 * services do.
 *
 * Invariant: every method is one step that takes the time it happens at; nothing here waits, and every write goes into the
 * chronicle.
 */
import type { Proposal } from "../../../src/prefect/prefect.ts"
import type { FlowRun, Orchestration, State } from "../../../src/prefect/schemas.ts"
import type { Writer } from "./chronicle.ts"
import { holdsSlot, PrefectRecords } from "./prefect-records.ts"
import { verdictOf } from "./transitions.ts"

/** What is not said is as the server fills it in. `history` are its states before `state`. */
export interface NewRun extends Partial<FlowRun> {
  readonly id: string
  /** In ms since 1970; now unless given. */
  readonly due?: number
  readonly retries?: number
  readonly history?: ReadonlyArray<State>
}

/** An answer, and what of it has not happened yet: a server under load writes an accepted state late. */
export interface Proposed {
  readonly answer: Orchestration
  readonly landing: Landing | undefined
}

export interface Landing {
  /** In ms from now; the answer comes with it. */
  readonly after: number
  readonly land: (now: number) => void
}

/** Accepted states of that type by that kind of writer wait in the server, in ms. */
interface LateRule {
  readonly by: "agent" | "engine" | "person"
  readonly type: string
  readonly after: number
  left: number
}

/** As the engine, a person or an agent proposes one. */
export interface ProposedState extends Omit<Proposal, "type" | "transitionId"> {
  readonly type: string
  readonly transitionId?: string
  readonly force?: boolean
  readonly pauseReschedule?: boolean
  /** In ms from now. */
  readonly pauseTimeout?: number
}

const iso = (ms: number): string => new Date(ms).toISOString()
const timeOf = (text: string | null | undefined): number => (text ? Date.parse(text) : Number.NaN)
const final = new Set(["COMPLETED", "FAILED", "CANCELLED", "CRASHED"])
/** How long a run may be overdue before the server calls it Late, in ms. */
const lateAfter = 15_000
/** Servers from 3.7.5 write CANCELLED after that long in CANCELLING, in ms, whatever becomes of the job. */
const cancellingFor = 300_000
/** The server's own services look this often, in ms. */
const servicesEvery = 1_000

export class PrefectModel extends PrefectRecords {
  /** How long the first lease of a deployment's concurrency slot lives, in ms: as the server is set, 30 s at least. */
  leaseFor = 300_000
  readonly late: Array<LateRule> = []
  #servedAt = Number.NEGATIVE_INFINITY

  /** A run that is due at `due`; SCHEDULED unless a state is given. */
  add(now: number, { due = now, retries = 0, history = [], ...run }: NewRun): FlowRun {
    const state: State = {
      id: this.nextId("state"),
      type: "SCHEDULED",
      name: "Scheduled",
      timestamp: iso(now),
      state_details: { scheduled_time: iso(due) }
    }
    const made: FlowRun = {
      name: `name of ${run.id}`,
      flow_id: "flow-1",
      deployment_id: "deployment-1",
      work_pool_id: "pool-1",
      work_queue_name: "default",
      run_count: 0,
      tags: [],
      empirical_policy: { retries, retry_delay: 0 },
      expected_start_time: iso(due),
      next_scheduled_start_time: run.state === undefined || run.state?.type === "SCHEDULED" ? iso(due) : null,
      ...asFields(run.state ?? state),
      ...run
    }
    this.runs.add(now, made, [...history, made.state ?? state], retries)
    return made
  }

  /**
   * What the server does by itself: overdue runs are renamed, with a state of their own; pauses and, on servers of line 3,
   * cancellations time out.
   */
  serve(now: number): void {
    if (now - this.#servedAt < servicesEvery) return
    this.#servedAt = now
    for (const run of this.runs.all(undefined, ["SCHEDULED"])) {
      if (run.state_name !== "Scheduled") continue
      if (now - timeOf(run.next_scheduled_start_time) < lateAfter) continue
      const scheduledTime = run.next_scheduled_start_time ?? iso(now)
      this.#write(now, "server", run, { type: "SCHEDULED", name: "Late", scheduledTime })
    }
    for (const run of this.runs.all(undefined, ["PAUSED"])) {
      const timeout = this.pauses.get(run.state_id ?? "") ?? Number.POSITIVE_INFINITY
      if (now < timeout) continue
      this.#write(now, "server", run, { type: "FAILED", message: "The flow was paused and never resumed." })
    }
    if (this.line === "2") return
    for (const run of this.runs.all(undefined, ["CANCELLING"])) {
      if (now - timeOf(run.state?.timestamp) < cancellingFor) continue
      const message = "Flow run cancellation timed out; marked this flow run as Cancelled."
      this.#write(now, "server", run, { type: "CANCELLED", message })
    }
  }

  // Writes

  /** Undefined when the run does not exist. What is accepted is written at once. */
  propose(now: number, by: Writer, id: string, proposed: ProposedState): Orchestration | undefined {
    return this.proposeLate(now, by, id, proposed, [])?.answer
  }

  /** As `propose`, but what is accepted may be written late, over whatever the run has come to by then. */
  proposeLate(
    now: number,
    by: Writer,
    id: string,
    proposed: ProposedState,
    late: Array<LateRule> = this.late
  ): Proposed | undefined {
    const run = this.run(id)
    if (run === undefined) return undefined
    const rule = late.find((each) => each.left > 0 && by.startsWith(each.by) && each.type === proposed.type)
    const decided = this.#weigh(now, run, proposed)
    if ("answer" in decided) return { answer: decided.answer, landing: undefined }
    const { state } = decided
    const answer = { state, status: "ACCEPT" as const, details: {} }
    if (rule === undefined) {
      this.#land(now, by, run, state, proposed)
      return { answer, landing: undefined }
    }
    rule.left--
    const land = (then: number) => {
      const there = this.run(id)
      if (there !== undefined) this.#land(then, by, there, state, proposed)
    }
    return { answer, landing: { after: rule.after, land } }
  }

  #weigh(
    now: number,
    run: FlowRun,
    proposed: ProposedState
  ): { readonly answer: Orchestration } | { readonly state: State } {
    const { id } = run
    const current = run.state ?? null
    const refused = (status: "REJECT" | "ABORT", reason: string, state: State | null = current) => ({
      answer: { state, status, details: { reason } }
    })
    const { transitionId, type } = proposed
    if (transitionId !== undefined && current?.state_details?.transition_id === transitionId) {
      return refused("REJECT", "This run has already made this state transition.")
    }
    const second = this.acceptsTwo && type === "PENDING" && run.state_type === "PENDING"
    const verdict = second
      ? "accept"
      : verdictOf(run, type, { force: proposed.force === true, line: this.line })
    if (verdict === "cancelled instead") {
      const name = { type: "CANCELLED", name: "Cancelled" }
      return refused(
        "REJECT",
        "The flow run has no infrastructure to terminate.",
        this.#write(now, "server", run, name)
      )
    }
    if (verdict !== "accept") {
      return refused(
        verdict === "reject" ? "REJECT" : "ABORT",
        `This run is in a ${run.state_type} state and cannot transition to a ${type} state.`
      )
    }
    if (type === "RUNNING") {
      const wait = timeOf(current?.state_details?.scheduled_time) - now
      if (wait > 0) {
        const details = { reason: "Not yet scheduled", delay_seconds: wait / 1000 }
        return { answer: { state: current, status: "WAIT", details } }
      }
    }
    if (type === "FAILED" && run.state_type === "RUNNING" && this.runs.takeRetry(id)) {
      this.runs.put(now, { ...run, empirical_policy: { ...run.empirical_policy, retry_type: "in_process" } })
      const again = { type: "SCHEDULED", name: "AwaitingRetry", scheduledTime: iso(now + 5_000) }
      return refused("REJECT", "Retrying", this.#write(now, "server", this.run(id) ?? run, again))
    }
    const slot = proposed.force === true ? undefined : this.#slot(now, run, type)
    if (slot === "none") return refused("ABORT", "Deployment concurrency limit is 0.")
    if (slot === "full") {
      const instead =
        type === "RUNNING" || this.cancelsNew.has(run.deployment_id ?? "")
          ? { type: "CANCELLED", name: "Cancelled" }
          : { type: "SCHEDULED", name: "AwaitingConcurrencySlot", scheduledTime: iso(now + 30_000) }
      return refused(
        "REJECT",
        "Deployment concurrency limit reached.",
        this.#write(now, "server", run, instead)
      )
    }
    return { state: this.#stateOf(now, run, proposed, slot) }
  }

  /** False when the run does not exist. */
  change(now: number, by: Writer, id: string, change: Partial<FlowRun>, sent: number = now): boolean {
    const run = this.run(id)
    if (run === undefined) return false
    this.runs.put(now, { ...run, ...change })
    this.chronicle.add({ at: now, by, what: "run changed", sent, runId: id, change })
    return true
  }

  /** False when the lease is gone. */
  renewLease(now: number, by: Writer, lease: string, seconds: number): boolean {
    const until = this.leases.get(lease)
    if (until === undefined || until < now) return false
    this.leases.set(lease, now + seconds * 1000)
    this.chronicle.add({ at: now, by, what: "lease renewed", lease })
    return true
  }

  /** A lease of the deployment's slots: taken at PENDING, and again at RUNNING where it has run out. */
  #slot(now: number, run: FlowRun, type: string): "full" | "none" | string | undefined {
    const limit = this.deploymentLimits.get(run.deployment_id ?? "")
    if (limit === undefined || !holdsSlot.includes(type)) return undefined
    if (limit === 0) return type === "PENDING" ? "none" : undefined
    const leaseOf = (each: FlowRun) => each.state?.state_details?.deployment_concurrency_lease_id ?? ""
    const holds = (each: FlowRun) =>
      each.state_type === "RUNNING" || (this.leases.get(leaseOf(each)) ?? 0) >= now
    if (type === "RUNNING" && holds(run)) return leaseOf(run)
    const taken = this.runs
      .all(undefined, holdsSlot)
      .filter((each) => each.id !== run.id && each.deployment_id === run.deployment_id && holds(each))
    if (taken.length >= limit) return "full"
    const lease = this.nextId("lease")
    this.leases.set(lease, now + this.leaseFor)
    return lease
  }

  #write(now: number, by: Writer, run: FlowRun, proposed: ProposedState): State {
    const state = this.#stateOf(now, run, proposed)
    this.#land(now, by, run, state, proposed)
    return state
  }

  #stateOf(now: number, run: FlowRun, proposed: ProposedState, lease?: string): State {
    const { type } = proposed
    const before = run.state ?? undefined
    const scheduledTime =
      proposed.scheduledTime ??
      (type === "SCHEDULED"
        ? iso(now)
        : type === "PENDING"
          ? before?.state_details?.scheduled_time
          : undefined)
    return {
      id: this.nextId("state"),
      type,
      name: proposed.name ?? `${type.charAt(0)}${type.slice(1).toLowerCase()}`,
      message: proposed.message ?? null,
      timestamp: iso(now),
      state_details: {
        transition_id: proposed.transitionId ?? null,
        scheduled_time: scheduledTime ?? null,
        ...(proposed.pauseReschedule === undefined ? {} : { pause_reschedule: proposed.pauseReschedule }),
        ...(lease === undefined || lease === "" ? {} : { deployment_concurrency_lease_id: lease })
      }
    }
  }

  #land(now: number, by: Writer, run: FlowRun, state: State, proposed: ProposedState): void {
    const { type } = state
    const before = run.state ?? undefined
    const scheduledTime = state.state_details?.scheduled_time ?? null
    if (proposed.pauseTimeout !== undefined) this.pauses.set(state.id ?? "", now + proposed.pauseTimeout)
    const resurrected = final.has(run.state_type ?? "") && !final.has(type)
    // 3.x calls the end of a run that never started its start.
    const startsNow = type === "RUNNING" || (this.line === "3" && final.has(type))
    const after = {
      ...run,
      ...asFields(state),
      next_scheduled_start_time: type === "SCHEDULED" ? scheduledTime : null,
      start_time: startsNow ? (run.start_time ?? iso(now)) : (run.start_time ?? null),
      end_time: final.has(type) ? iso(now) : resurrected ? null : (run.end_time ?? null),
      run_count: type === "RUNNING" ? run.run_count + 1 : resurrected ? 0 : run.run_count,
      ...(resurrected ? { empirical_policy: { ...run.empirical_policy, retry_type: "reschedule" } } : {})
    }
    this.runs.put(now, after, state)
    const forced = proposed.force === true ? { forced: true } : {}
    this.chronicle.add({ at: now, by, what: "state", runId: run.id, from: before, to: state, ...forced })
  }
}

const asFields = (state: State) => ({
  state,
  state_id: state.id ?? null,
  state_type: state.type,
  state_name: state.name ?? null
})
