/**
 * From what one look used to facts that may leave the agent, and back to what a decision needs of them.
 *
 * Invariant: facts hold ids, times, stages, codes and words of this program or of the two services. Whatever people
 * write (parameters, environment, messages, output, tokens) has no place in them; and back from facts comes the same
 * view and observation that were decided upon, but for the platform's sentences.
 */
import type { Command, JobExecution } from "../../cpln/schemas.ts"
import type { Seen } from "../../http/seen.ts"
import { parseClaimMessage, parseHandBackMessage } from "../../job/claim-message.ts"
import { parseInfrastructurePid } from "../../job/infrastructure-pid.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import type { RunMemory } from "../look/board.ts"
import type { RunsConfig } from "../config.ts"
import type { Decision, Observation, Policy, RunView } from "../decide/decide.ts"
import type { CommandFacts, Facts, Moment, RecordedDecision, RecordedLook, RecordedPolicy } from "./record.ts"
import type { Look } from "../look/look.ts"
import {
  ageOf,
  agentTag,
  attemptTag,
  hasSideContainers,
  holdsRunner,
  type Located,
  mainContainer,
  observe,
  poolTag,
  type Remembered,
  runnerCommand,
  tagOf,
  isFinal
} from "../decide/normalise.ts"
import { viewOf } from "../decide/phase.ts"

/** What of a job its observation was made from. `at` is Control Plane's clock, in ms since 1970. */
export interface UsedJob {
  readonly at: number
  readonly execution: JobExecution | undefined
  readonly remembered: Remembered
}

/** One look, with all that it used. `now` is the agent's clock. */
export interface Noted {
  readonly now: number
  readonly seen: Seen<FlowRun>
  readonly ours: boolean
  readonly looked: Look
  readonly job: UsedJob | undefined
  readonly memory: RunMemory
  readonly view: RunView
  readonly observation: Observation
  readonly policy: Policy
  readonly settings: Pick<RunsConfig["Service"], "agentLink" | "pool" | "server" | keyof RecordedPolicy>
  readonly decision: Decision
}

const longest = 400
const mostStrays = 8

/** Nothing that would not be in JSON either. */
const given = <T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined | null> } =>
  Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== null)
  ) as never

const bounded = (text: string | null | undefined) => text?.slice(0, longest)

/** Names of states, reasons and conditions are single words or a few; anything else may be somebody's text. */
const word = (text: string | null | undefined) =>
  text !== null && text !== undefined && /^[A-Za-z][A-Za-z ]{0,39}$/u.test(text) ? text : undefined

/** Only what this kind of agent wrote. */
const ownMessage = (text: string | null | undefined) =>
  text !== null &&
  text !== undefined &&
  (parseClaimMessage(text) !== undefined || parseHandBackMessage(text) !== undefined)
    ? text
    : undefined

export const runFacts = (run: FlowRun): Facts["run"] => ({
  type: run.state_type ?? "",
  runCount: run.run_count,
  ...given({
    name: word(run.state_name),
    stateId: run.state_id,
    since: run.state?.timestamp,
    message: bounded(ownMessage(run.state?.message)),
    transitionId: bounded(run.state?.state_details?.transition_id),
    pauseReschedule: run.state?.state_details?.pause_reschedule,
    dueTime: run.expected_start_time,
    startTime: run.start_time,
    pid:
      parseInfrastructurePid(run.infrastructure_pid) === undefined
        ? undefined
        : bounded(run.infrastructure_pid),
    retryType: word(String(run.empirical_policy?.["retry_type"] ?? "").replace("_", " "))
  })
})

export const commandFacts = ({
  command,
  place: { workload }
}: Pick<Located, "command" | "place">): CommandFacts => ({
  id: command.id,
  where: `${workload.org}:${workload.gvc}:${workload.name}`,
  stage: bounded(command.lifecycleStage) ?? "",
  created: command.created,
  sides: hasSideContainers(command),
  runner: holdsRunner(command),
  ...given({
    lastModified: command.lastModified,
    attempt: bounded(tagOf(command, attemptTag)),
    pool: bounded(tagOf(command, poolTag)),
    agent: bounded(tagOf(command, agentTag))
  })
})

const executionFacts = (execution: JobExecution, command: Command) => {
  const seen = execution.containers?.[mainContainer(command)]
  return given({
    // That of the time before, where it runs again, decides nothing.
    exitCode: seen?.ready === true && !isFinal(command) ? undefined : seen?.restarts?.exitCode,
    reason: word(seen?.restarts?.reason),
    condition: word(execution.conditions?.find((each) => each.type === "Failed")?.reason)
  })
}

const lookFacts = ({ job, looked, memory }: Noted): Facts["look"] => {
  switch (looked._tag) {
    case "Unreachable":
      return { _tag: "Unreachable", kind: looked.kind }
    case "Absent": {
      const { gone, provenAbsent, whose } = looked
      return { _tag: "Absent", gone, provenAbsent, whose, notFound: memory.attempt.notFound.looks }
    }
    case "Found": {
      const execution = job?.execution
      const { failedLooks = 0, stopAsked = false, stopWanted = false } = job?.remembered ?? {}
      return {
        _tag: "Found",
        command: commandFacts(looked.current),
        ...given({
          execution: execution === undefined ? undefined : executionFacts(execution, looked.current.command)
        }),
        stopAsked,
        stopWanted,
        failedLooks
      }
    }
  }
}

export const momentOf = ({ job, now, seen }: Noted): Moment => ({
  agent: now,
  prefect: seen.at,
  ...given({
    cpln: job?.at,
    mainEndedAge: job?.remembered.mainEndedAge === 0 ? undefined : job?.remembered.mainEndedAge
  })
})

/** The look as it may leave the agent. */
export const recordedLook = (noted: Noted): RecordedLook => {
  const { decision, looked, observation, ours, policy, seen, view } = noted
  const facts: Facts = {
    run: runFacts(seen.value),
    ours,
    look: lookFacts(noted),
    strays: looked._tag === "Unreachable" ? [] : looked.strays.slice(0, mostStrays).map(commandFacts),
    deadline: policy.deadline ?? null
  }
  const first = momentOf(noted)
  const safe = normalised(facts, first).observation
  return {
    first,
    facts,
    view: given({ ...view }),
    observation: withoutSentences(observation, safe),
    decision: inOwnWords(decision, observation, safe)
  }
}

/** What was observed, with the texts of what comes back from the facts. */
const withoutSentences = (observation: Observation, safe: Observation): Record<string, unknown> => {
  if ("exit" in observation && "exit" in safe) {
    return { ...observation, exit: given({ ...observation.exit, text: safe.exit.text }) }
  }
  if (observation._tag === "Unreachable" && safe._tag === "Unreachable") return { ...safe }
  if (observation._tag === "Absent") {
    const { _tag, gone, provenAbsent, whose } = observation
    return { _tag, gone, provenAbsent, whose }
  }
  return { ...observation }
}

const inOwnWords = (decision: Decision, observation: Observation, safe: Observation): RecordedDecision => {
  if (!("why" in decision)) return decision
  const swap =
    "exit" in observation && "exit" in safe
      ? ([observation.exit.text, safe.exit.text] as const)
      : observation._tag === "Unreachable" && safe._tag === "Unreachable"
        ? ([observation.why, safe.why] as const)
        : undefined
  return swap === undefined ? decision : { ...decision, why: decision.why.replace(swap[0], () => swap[1]) }
}

/** View and observation of the facts as they were at that moment. */
export const normalised = (
  { look, ours, run }: Facts,
  moment: Moment
): { readonly view: RunView; readonly observation: Observation } => ({
  view: viewOf(
    runOf(run),
    moment.prefect,
    ours,
    look._tag === "Found" ? ageOf(commandOf(look.command), moment.cpln ?? moment.prefect) : undefined
  ),
  observation: observationOf(look, run, moment)
})

const runOf = (run: Facts["run"]): FlowRun => ({
  id: "",
  name: "",
  flow_id: "",
  tags: [],
  run_count: run.runCount,
  state_type: run.type,
  state_name: run.name ?? null,
  state: {
    type: run.type,
    timestamp: run.since ?? "",
    state_details: { pause_reschedule: run.pauseReschedule ?? null }
  },
  start_time: run.startTime ?? null,
  empirical_policy: run.retryType === undefined ? {} : { retry_type: run.retryType.replace(" ", "_") }
})

const observationOf = (look: Facts["look"], run: Facts["run"], moment: Moment): Observation => {
  switch (look._tag) {
    case "Unreachable":
      return { _tag: "Unreachable", why: look.kind }
    case "Absent": {
      const { gone, provenAbsent, whose } = look
      return { _tag: "Absent", gone, provenAbsent, whose }
    }
    case "Found": {
      const { command, execution, failedLooks, stopAsked, stopWanted } = look
      const mainEndedAge = moment.mainEndedAge ?? 0
      return observe(
        commandOf(command),
        moment.cpln ?? moment.prefect,
        execution === undefined ? undefined : executionOf(execution),
        run.runCount > 0,
        { stopAsked, stopWanted, failedLooks, mainEndedAge }
      )
    }
  }
}

const commandOf = ({ created, id, lastModified, runner, sides, stage }: CommandFacts): Command => ({
  id,
  type: "runCronWorkload",
  created,
  lastModified: lastModified ?? null,
  lifecycleStage: stage,
  spec: {
    containerOverrides: [
      { name: "main", ...(runner ? { command: runnerCommand } : {}) },
      ...(sides ? [{ name: "side" }] : [])
    ]
  }
})

const executionOf = ({
  condition,
  exitCode,
  reason
}: {
  readonly exitCode?: number
  readonly reason?: string
  readonly condition?: string
}): JobExecution => ({
  name: "",
  conditions: condition === undefined ? [] : [{ type: "Failed", reason: condition }],
  containers: { main: { restarts: given({ exitCode, reason }) } }
})
