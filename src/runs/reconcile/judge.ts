/**
 * From what a look found to a decision: what the platform tells of the job's end is read where that matters, all of it is
 * normalised, and the table decides.
 *
 * Invariant: nothing is written here, neither to a service nor to a run; what it was decided from goes to the flight
 * recorder as it was used.
 */
import { Clock, Effect } from "effect"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import type { Seen } from "../../http/seen.ts"
import { parseClaimMessage } from "../../job/claim-message.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import type { RunMemory } from "../look/board.ts"
import { RunsConfig } from "../config.ts"
import { decide, type Decision, type Observation, type Policy, type RunView } from "../decide/decide.ts"
import { executionOf, RecentExecutions } from "../workloads/executions.ts"
import { Flight } from "../flight/flight.ts"
import type { UsedJob } from "../flight/facts.ts"
import type { Look } from "../look/look.ts"
import { isOwnAgent } from "../act/grounds.ts"
import {
  ageOf,
  agentTag,
  attemptTag,
  hasSideContainers,
  isFinal,
  observe,
  tagOf
} from "../decide/normalise.ts"
import { phaseAgeOf, viewOf } from "../decide/phase.ts"
import type { Preparation } from "../prepare/preparation.ts"
import { steadyMillis } from "../steady.ts"
import { Terms } from "../prepare/terms.ts"

export interface Judgement {
  readonly view: RunView
  readonly observation: Observation
  readonly policy: Policy
  readonly decision: Decision
}

/** Whether the run is PENDING by a claim of this kind of agent. */
export const isClaimed = (run: FlowRun): boolean => parseClaimMessage(run.state?.message ?? "") !== undefined

export const judge = Effect.fnUntraced(function* (
  seen: Seen<FlowRun>,
  looked: Look,
  memory: RunMemory
): Effect.fn.Return<Judgement, never, RunsConfig | ControlPlane | Preparation | RecentExecutions | Terms> {
  const run = seen.value
  const ours = isClaimed(run) || (yield* isOfOurKind(looked, memory))
  const { job, observation } = yield* observationOf(run, phaseAgeOf(run, seen.at), looked, memory)
  const jobAge =
    looked._tag === "Found" && job !== undefined ? ageOf(looked.current.command, job.at) : undefined
  const view = viewOf(run, seen.at, ours, jobAge)
  const policy = yield* policyOf(run, view, memory)
  const decision = decide(view, observation, policy)
  const now = yield* Clock.currentTimeMillis
  const flight = yield* Flight
  const settings = yield* RunsConfig
  flight.note({ now, seen, ours, looked, job, memory, view, observation, policy, settings, decision })
  return { view, observation, policy, decision }
})

/** A command with our attempt tag, or of an agent whose runs are ours, also when it is seen no more. */
const isOfOurKind = Effect.fnUntraced(function* (looked: Look, { attempt }: RunMemory) {
  if (looked._tag !== "Found") return attempt.adopted
  const { command } = looked.current
  if (tagOf(command, attemptTag) !== undefined) return true
  attempt.adopted = isOwnAgent(yield* RunsConfig, tagOf(command, agentTag))
  return attempt.adopted
})

/** A job execution is read only where it tells something: side containers may be left, or the job has just failed. */
const observationOf = Effect.fnUntraced(function* (
  run: FlowRun,
  phaseAge: number,
  looked: Look,
  memory: RunMemory
): Effect.fn.Return<
  { readonly observation: Observation; readonly job: UsedJob | undefined },
  never,
  ControlPlane | RecentExecutions
> {
  if (looked._tag !== "Found") return { observation: looked, job: undefined }
  const { current } = looked
  const { command, place } = current
  const mem = memory.attempt
  const now = yield* steadyMillis
  const final = isFinal(command)
  const before = mem.final?.found.command.id === command.id ? mem.final : undefined
  const wanted = final
    ? before?.execution === undefined && command.lifecycleStage === "failed"
    : command.lifecycleStage === "running" && hasSideContainers(command)
  // How a main container stands that has others beside it is asked in every look, how a job ended only once.
  const executions = yield* RecentExecutions
  const read = final ? executionOf(place, command.id) : executions.of(place, command.id)
  const execution = wanted
    ? yield* read.pipe(
        Effect.map((each) => each?.execution),
        Effect.catch(() => Effect.succeed(undefined))
      )
    : before?.execution
  // An answer that is remembered ages by itself; only what passed since is taken from it.
  const at =
    before !== undefined && before.found === current ? current.at + (now - before.readAt) : current.at
  if (final) {
    mem.final = {
      found: before?.found === current ? before.found : current,
      execution,
      readAt: before?.found === current ? before.readAt : now,
      stateId: run.state_id
    }
  }
  if (command.lifecycleStage === "failed" && now - mem.failed.lastAt >= 5_000) {
    mem.failed = { looks: mem.failed.looks + 1, lastAt: now }
  }
  const started = run.run_count > 0
  const remembered = {
    stopAsked: memory.stops.get(command.id)?.sentAt !== undefined,
    // One that was wanted before the run came to where it is now was wanted for another reason.
    stopWanted: now - (memory.stops.get(command.id)?.wantedAt ?? 0) <= phaseAge,
    failedLooks: mem.failed.looks,
    mainEndedAge: mem.mainEndedSince === undefined ? 0 : now - mem.mainEndedSince
  }
  const observation = observe(command, at, execution, started, remembered)
  if (observation._tag === "MainEnded") mem.mainEndedSince ??= now
  else if (observation._tag === "Live") mem.mainEndedSince = undefined
  return { observation, job: { at, execution, remembered } }
})

/** After a restart the run's deadline is found in its definition once more. */
const policyOf = Effect.fnUntraced(function* (run: FlowRun, view: RunView, memory: RunMemory) {
  const config = yield* RunsConfig
  if (memory.deadline === undefined && view.phase === "running") {
    const terms = yield* Effect.option((yield* Terms).of(run))
    if (terms._tag === "Some") {
      memory.deadline = terms.value.deadline
      memory.streamOutput ??= terms.value.streamOutput
    }
  }
  return { ...config, deadline: memory.deadline ?? undefined }
})
