/**
 * What happened in a world, put in order for the auditor: the lives of runs and jobs, who wrote what, what was said, and
 * when something kept every agent from acting.
 *
 * Invariant: read from the models' chronicle and from what processes put out; never asked from an agent, and no code of
 * `src/` is used.
 */
import type { Entry } from "../runs/world/chronicle.ts"
import type { Plan } from "./plan.ts"

export interface StateSeen {
  /** When the run came to it. */
  readonly at: number
  /** When it was accepted, which is the time that the server shows: it may have been written later. */
  readonly asked: number
  readonly by: string
  readonly type: string
  readonly name: string
  readonly message: string
  /** In ms; for PENDING and SCHEDULED. */
  readonly scheduledAt: number | undefined
  readonly pauseReschedule: boolean
  readonly forced: boolean
}

export interface RunLife {
  readonly id: string
  readonly due: number
  /** Oldest first; the first is the one that it began with. */
  readonly states: ReadonlyArray<StateSeen>
  readonly deletedAt: number | undefined
  /** When it was made claimable although its engine was to wait for the retry inside its job. */
  readonly madeClaimable: ReadonlyArray<number>
  readonly jobs: ReadonlyArray<JobLife>
}

export interface JobLife {
  readonly id: string
  readonly runId: string | undefined
  readonly by: string
  readonly at: number
  /** When its start was sent: what held it up afterwards is out of its sender's hands. */
  readonly sent: number
  readonly workload: string
  readonly tags: Readonly<Record<string, unknown>>
  /** When it got a replica, before which nobody can stop it; Infinity when it never did. */
  readonly ran: number
  /** When it was over or deleted; Infinity while it lives. */
  readonly over: number
  /** As that, of its main container: side containers may live on. */
  readonly mainOver: number
  readonly mainExit: number | undefined
  readonly stage: string
  /** When its last stage was reached. */
  readonly stageAt: number
  readonly exitCode: number | undefined
  /** Deleted before it was over. */
  readonly vanished: boolean
  /** From when on the command is in no list any more. */
  readonly deletedAt: number
  readonly stops: ReadonlyArray<{ readonly at: number; readonly by: string }>
}

/** One process of an agent, as the operating system saw it: from its start to its kill or its own end. */
export interface Process {
  readonly name: string
  readonly from: number
  /** When it was told to end or killed; Infinity while it runs. */
  readonly to: number
  /** When it was stopped in the midst of what it did. */
  readonly frozen: ReadonlyArray<Span>
}

export interface Span {
  readonly from: number
  readonly to: number
}

export interface Evidence {
  readonly plan: Plan
  readonly entries: ReadonlyArray<Entry>
  readonly runs: ReadonlyArray<RunLife>
  readonly jobs: ReadonlyArray<JobLife>
  readonly processes: ReadonlyArray<Process>
  /**
   * The brake may hold the jobs of deleted runs until a person comes: it is as usually set, or something that was there
   * was missing in an answer.
   */
  readonly mayBrake: boolean
  /** When a search for jobs was hit by a fault. */
  readonly blindAt: ReadonlyArray<number>
  /** When an answer to one left out what was there, or was of the past. */
  readonly partialAt: ReadonlyArray<number>
  /** Reads of one run whose answers came late, by whom: of three of them the last may be 5 s old and is used. */
  readonly slowReads: ReadonlyArray<Span & { readonly by: string }>
  /** When something kept the agents from seeing or doing things: faults, outages, nobody there. Disjoint, in order. */
  readonly trouble: ReadonlyArray<Span>
  readonly begin: number
  readonly peaceAt: number
  /** When the world was at rest; undefined when it never was. */
  readonly settledAt: number | undefined
  readonly endedAt: number
  /** Requests by agent and minute since the world began. */
  readonly requests: ReadonlyMap<string, ReadonlyArray<number>>
  /** Everything that went out where people can read it: lines, log records, state messages, events. */
  readonly said: Iterable<string>
  readonly secrets: ReadonlyArray<string>
}

const finalStages = new Set(["completed", "failed", "cancelled"])

type Of<W extends Entry["what"]> = Extract<Entry, { readonly what: W }>

const timeOf = (text: string | null | undefined): number | undefined => {
  const time = text ? Date.parse(text) : Number.NaN
  return Number.isNaN(time) ? undefined : time
}

const stateSeen = ({ at, by, forced, to }: Entry & Of<"state">): StateSeen => ({
  at,
  asked: timeOf(to.timestamp) ?? at,
  by,
  type: to.type,
  name: to.name ?? "",
  message: to.message ?? "",
  scheduledAt: timeOf(to.state_details?.scheduled_time),
  pauseReschedule: to.state_details?.pause_reschedule === true,
  forced: forced === true
})

export const jobLives = (entries: ReadonlyArray<Entry>): ReadonlyArray<JobLife> => {
  const found = new Map<string, { -readonly [K in keyof JobLife]: JobLife[K] }>()
  for (const entry of entries) {
    if (entry.what === "job made") {
      found.set(entry.commandId, {
        id: entry.commandId,
        runId: entry.runId,
        by: entry.by,
        at: entry.at,
        sent: entry.sent,
        workload: entry.workload,
        tags: entry.tags,
        ran: Number.POSITIVE_INFINITY,
        over: Number.POSITIVE_INFINITY,
        mainOver: Number.POSITIVE_INFINITY,
        mainExit: undefined,
        stage: "pending",
        stageAt: entry.at,
        exitCode: undefined,
        vanished: false,
        deletedAt: Number.POSITIVE_INFINITY,
        stops: []
      })
      continue
    }
    const job = "commandId" in entry ? found.get(entry.commandId) : undefined
    if (job === undefined) continue
    switch (entry.what) {
      case "job stage":
        job.stage = entry.stage
        job.stageAt = entry.at
        job.exitCode = entry.exitCode ?? job.exitCode
        if (entry.stage === "running") job.ran = Math.min(job.ran, entry.at)
        if (finalStages.has(entry.stage)) job.over = Math.min(job.over, entry.at)
        job.mainOver = Math.min(job.mainOver, job.over)
        break
      case "job main over":
        job.mainOver = Math.min(job.mainOver, entry.at)
        job.mainExit ??= entry.exitCode
        break
      case "job deleted":
        job.vanished = job.over > entry.at
        job.deletedAt = entry.at
        job.over = Math.min(job.over, entry.at)
        job.mainOver = Math.min(job.mainOver, job.over)
        break
      case "job stop asked":
        job.stops = [...job.stops, { at: entry.at, by: entry.by }]
    }
  }
  return [...found.values()]
}

export const runLives = (
  plan: Plan,
  begin: number,
  entries: ReadonlyArray<Entry>,
  jobs: ReadonlyArray<JobLife>
): ReadonlyArray<RunLife> =>
  plan.runs.map(({ due, id }) => {
    const own = entries.filter((each) => "runId" in each && each.runId === id)
    const changes = own.filter((each): each is Entry & Of<"run changed"> => each.what === "run changed")
    const written = own.filter((each): each is Entry & Of<"state"> => each.what === "state")
    const dueAt = begin + due * 1000
    const first: StateSeen = {
      at: begin,
      asked: begin,
      by: "server",
      type: "SCHEDULED",
      name: "Scheduled",
      message: "",
      scheduledAt: dueAt,
      pauseReschedule: false,
      forced: false
    }
    return {
      id,
      due: dueAt,
      states: [first, ...written.map(stateSeen)],
      deletedAt: own.find((each) => each.what === "run deleted")?.at,
      madeClaimable: changes
        .filter(({ change }) => {
          const policy = change["empirical_policy"] as { readonly retry_type?: string } | undefined
          return policy?.retry_type === "reschedule"
        })
        .map(({ at }) => at),
      jobs: jobs.filter((job) => job.runId === id)
    }
  })

/** Joins spans that touch. */
export const joined = (spans: ReadonlyArray<Span>): ReadonlyArray<Span> => {
  const all: Array<{ from: number; to: number }> = []
  for (const { from, to } of [...spans].sort((a, b) => a.from - b.from)) {
    const last = all.at(-1)
    if (last === undefined || from > last.to) all.push({ from, to })
    else last.to = Math.max(last.to, to)
  }
  return all
}

/** How much of the time from one moment to another was free of trouble, in ms. */
export const calmBetween = ({ trouble }: Pick<Evidence, "trouble">, from: number, to: number): number =>
  trouble.reduce(
    (left, span) => left - Math.max(0, Math.min(to, span.to) - Math.max(from, span.from)),
    Math.max(0, to - from)
  )

/** States of a run that are not over, as spans of time: each from its state to the next one. */
export const spansOf = (
  run: RunLife,
  endedAt: number
): ReadonlyArray<Span & { readonly state: StateSeen; readonly next: StateSeen | undefined }> =>
  run.states.map((state, index) => {
    const next = run.states[index + 1]
    return { state, next, from: state.at, to: next?.at ?? run.deletedAt ?? endedAt }
  })

const terminalTypes = new Set(["COMPLETED", "FAILED", "CANCELLED", "CRASHED"])

/** The server's own retry: the engine waits for it inside its job. */
export const waitsInProcess = ({ by, name, type }: StateSeen): boolean =>
  type === "SCHEDULED" && by === "server" && name === "AwaitingRetry"

/** Over for good: the legacy way to ask for a cancel has the type of an end, and is none. */
export const isEnd = ({ name, type }: Pick<StateSeen, "name" | "type">): boolean =>
  terminalTypes.has(type) && name !== "Cancelling"

export const isCancelling = ({ name, type }: Pick<StateSeen, "name" | "type">): boolean =>
  type === "CANCELLING" || (type === "CANCELLED" && name === "Cancelling")

export const byAgent = (by: string): boolean => by.startsWith("agent ")
