/**
 * The account of one run for a person: its states and jobs, what was decided when and why, and what is waited for now.
 *
 * Invariant: it tells what was seen, and marks what only would be; it holds nothing of parameters, environment or output.
 */
import { parseClaimMessage, parseHandBackMessage } from "../job/claim-message.ts"
import { transitionOf } from "../job/attempt.ts"
import { duration } from "../observe/duration.ts"
import { decide, type Decision, type Policy } from "../runs/decide/decide.ts"
import { exitCodeOf } from "../runs/decide/diagnose.ts"
import { normalised } from "../runs/flight/facts.ts"
import type { FlightEntry, FlightRecord, RecordedDecision } from "../runs/flight/record.ts"
import { attemptTag, agentTag, isFinal, tagOf } from "../runs/decide/normalise.ts"
import { isOver, retriesInProcess, timeOf } from "../runs/decide/phase.ts"
import type { Job, Sight } from "./look-now.ts"
import { nextChange } from "../runs/decide/next-change.ts"

/** Entries of the record that are shown; all are in an export. */
const mostEntries = 12
const longestMessage = 400

export interface Known {
  readonly runId: string
  /** Undefined where Prefect could not be read. */
  readonly sight: Sight | undefined
  /** Of the running agent. */
  readonly record: FlightRecord | undefined
  /** This machine's clock, in ms since 1970. */
  readonly now: number
}

const clock = (ms: number | undefined): string =>
  ms === undefined ? "?".padEnd(19) : new Date(ms).toISOString().slice(0, 19).replace("T", " ")

const firstLine = (text: string): string => {
  const [line = ""] = text.split("\n")
  return line.length > longestMessage ? `${line.slice(0, longestMessage)}…` : line
}

const messageText = (text: string): string => {
  const claim = parseClaimMessage(text)
  if (claim !== undefined) {
    const adopts = claim.adopts === undefined ? "" : `, takes over job ${claim.adopts}`
    return `claimed by ${claim.agent}, try ${claim.tryNumber}, for ${claim.where}${adopts}`
  }
  const back = parseHandBackMessage(text)
  return back === undefined ? firstLine(text) : `handed back by ${back.agent} (${back.reason})`
}

/** What is done, to stand after "decided to" and "would". */
export const decisionText = (decision: Decision | RecordedDecision): string => {
  const why = decision._tag === "Forget" ? undefined : decision.why
  const because = why === undefined ? "" : `: ${why}`
  const after =
    "thenStop" in decision && decision.thenStop === true ? ", and stop what is left of its job" : ""
  switch (decision._tag) {
    case "Wait":
      return `wait${because}`
    case "Stop":
      return `stop the job${because}`
    case "Propose":
      return `set the run to ${decision.state}${after}${because}`
    case "HandBack":
      return `hand the run back to the pool${because}`
    case "MakeClaimable":
      return `let the pool offer the run again${after}${because}`
    case "Say":
      return `say this and do nothing${because}`
    case "Forget":
      return "leave it: nothing is left to do"
  }
}

const heading = ({ record, runId, sight }: Known): string => {
  const flow = sight?.flow ?? record?.flow
  const pool = sight?.run.work_pool_name ?? record?.pool
  return [
    sight === undefined ? `Flow run ${runId}` : `Flow run ${sight.run.name} (${runId})`,
    ...(flow === undefined ? [] : [`flow ${flow}`]),
    pool === undefined ? "in no work pool" : `work pool ${pool}`
  ].join(", ")
}

const statesOf = ({ record, sight }: Known): ReadonlyArray<string> => {
  if (sight !== undefined) {
    return sight.states.map(({ message, name, timestamp, type }) =>
      `  ${clock(timeOf(timestamp))}  ${(name ?? type).padEnd(14)}  ${message ? messageText(message) : ""}`.trimEnd()
    )
  }
  const seen = new Map((record?.entries ?? []).map(({ facts: { run } }) => [run.stateId, run]))
  return [...seen.values()].map(({ message, name, since, type }) =>
    `  ${clock(timeOf(since))}  ${(name ?? type).padEnd(14)}  ${message === undefined ? "" : messageText(message)}`.trimEnd()
  )
}

const jobText = ({ command, execution, place: { workload } }: Job, sight: Sight): string => {
  const attempt = tagOf(command, attemptTag)
  const transition = attempt === undefined ? undefined : transitionOf(attempt)
  const claims = sight.states.flatMap(({ message }) => parseClaimMessage(message ?? "") ?? [])
  const claim = claims.find((each) => each.transitionId === transition)
  const exit = exitCodeOf(execution)
  const ended = isFinal(command) ? ` at ${clock(timeOf(command.lastModified)).slice(11)}` : ""
  const agent = tagOf(command, agentTag)
  return [
    `  ${clock(timeOf(command.created))}  ${command.id}`,
    `${command.lifecycleStage}${ended}${exit === undefined ? "" : `, exit ${exit}`}`,
    attempt === undefined ? "without an attempt" : `attempt ${claim?.tryNumber ?? "?"}`,
    `in ${workload.org}:${workload.gvc}:${workload.name}`,
    ...(agent === undefined ? [] : [`started by ${agent}`])
  ].join(", ")
}

const sightText = ({ facts: { look, run } }: FlightEntry): string => {
  const state = run.name ?? run.type
  switch (look._tag) {
    case "Found":
      return `${state}, its job ${look.command.stage}${look.stopAsked ? " (a stop was sent)" : ""}`
    case "Absent":
      return `${state}, no job${look.notFound > 0 ? ` (Got 404, ${look.notFound} of 5 looks)` : ""}`
    case "Unreachable":
      return `${state}, its job cannot be seen (${look.kind})`
  }
}

const looksText = ({ count, first, last }: FlightEntry): string =>
  count === 1 ? "1 look" : `${count} looks in ${duration(last.agent - first.agent)}`

const decisionsOf = ({ dropped, entries }: FlightRecord): ReadonlyArray<string> => {
  const left = dropped + Math.max(0, entries.length - mostEntries)
  return [
    ...(left === 0 ? [] : [`  (${left} earlier entries${dropped === left ? "" : ": --export has them"})`]),
    ...entries
      .slice(-mostEntries)
      .flatMap((entry) => [
        `  ${clock(entry.first.agent)}  saw ${sightText(entry)}; ${looksText(entry)}`,
        `  ${"".padEnd(19)}  → ${decisionText(entry.decision)}${heldText(entry)}`
      ])
  ]
}

/** A decision that was not carried out, and why. */
const heldText = ({ held }: FlightEntry): string => (held === undefined ? "" : ` (not done yet: ${held})`)

const changeText = (change: { readonly after: number; readonly decision: Decision } | undefined) =>
  change === undefined
    ? []
    : [
        `If nothing changes, ${change.after < 1000 ? "at the next look" : `in ${duration(change.after)}`}: ${decisionText(change.decision)}.`
      ]

/** What stands between a run that is SCHEDULED and its start. */
const scheduledText = ({ pool, run }: Sight, now: number): ReadonlyArray<string> => {
  const due = timeOf(run.state?.state_details?.scheduled_time ?? run.expected_start_time)
  const words =
    due === undefined
      ? "It is SCHEDULED."
      : due > now
        ? `It is due in ${duration(due - now)}, at ${clock(due)}.`
        : `It was due ${duration(now - due)} ago, at ${clock(due)}.`
  if (pool?.is_paused === true) return [words, `Its work pool ${pool.name} is paused: nobody claims it.`]
  return due !== undefined && now - due > 60_000
    ? [
        words,
        'No agent has claimed it yet. See "A run stays in Scheduled or Late" in docs/troubleshooting.md: its log says what holds it back.'
      ]
    : [words, "An agent that serves the pool and its queue claims it then."]
}

const fromRecord = ({ entries, policy }: FlightRecord, now: number): ReadonlyArray<string> => {
  const newest = entries.at(-1)
  if (newest === undefined) return []
  const passed = Math.max(0, now - newest.last.agent)
  const { observation, view } = normalised(newest.facts, newest.last)
  const whole: Policy = { ...policy, deadline: newest.facts.deadline ?? undefined }
  const change = nextChange(view, observation, whole)
  return [
    `The agent last looked ${duration(passed)} ago and decided to ${decisionText(newest.decision)}${heldText(newest)}.`,
    ...changeText(change === undefined ? undefined : { ...change, after: change.after - passed })
  ]
}

const fromSight = ({ judgement }: Sight): ReadonlyArray<string> => {
  if (judgement === undefined) return []
  const { observation, policy, view } = judgement
  if (observation._tag === "Unreachable") {
    return ["Whether a job of it lives cannot be seen from here, so nothing can be concluded."]
  }
  return [
    `An agent that saw it now for the first time would ${decisionText(decide(view, observation, policy))}.`,
    ...changeText(nextChange(view, observation, policy))
  ]
}

const nowOf = ({ now, record, sight }: Known): ReadonlyArray<string> => {
  if (sight === undefined) return record === undefined ? [] : fromRecord(record, now)
  const { jobs, pool, run } = sight
  const lives = jobs.some(({ command }) => !isFinal(command))
  if (sight.judgement === undefined) {
    if (run.work_pool_name === undefined || run.work_pool_name === null) {
      return ["It is in no work pool, so that no agent runs it."]
    }
    return [
      pool === undefined
        ? `Its work pool ${run.work_pool_name} does not exist any more.`
        : `Its work pool ${pool.name} has the type ${pool.type}: no agent of this kind serves it.`
    ]
  }
  if (isOver(run) && !lives && sight.hidden.length === 0) {
    return [
      `It is over (${run.state_name ?? run.state_type}), and no job of it lives: nothing is left to do.`
    ]
  }
  if (run.state_type === "SCHEDULED" && !retriesInProcess(run) && !lives) return scheduledText(sight, now)
  // A record that is behind the run tells of the past.
  const isCurrent = record?.entries.at(-1)?.facts.run.stateId === run.state_id
  return record !== undefined && isCurrent ? fromRecord(record, now) : fromSight(sight)
}

const section = (title: string, lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.length === 0 ? [] : ["", title, ...lines]

export const account = (known: Known): string => {
  const { record, sight } = known
  return [
    heading(known),
    ...section("States (times are UTC)", statesOf(known)),
    ...section("Jobs", [
      ...(sight?.jobs ?? []).map((job) => jobText(job, sight!)),
      ...(sight?.hidden ?? []).map((words) => `  not to be seen: ${words}`)
    ]),
    ...(record === undefined ? [] : section(`Decided by ${record.agent}`, decisionsOf(record))),
    ...section(
      "Now",
      nowOf(known).map((line) => `  ${line}`)
    )
  ].join("\n")
}
