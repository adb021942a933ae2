/**
 * The form in which the flight of one run leaves the agent: what `agent explain RUN --export` writes, the status server
 * answers, and a replay reads.
 *
 * Invariant: a file of another version is never read as one of this one, and what is missing is an error, not a guess.
 */
import { Result, Schema } from "effect"

const maybe = Schema.optionalKey

/** Version 1 is all there is; it grows when a key changes its meaning. */
export const flightFormat = "prefect-cpln-flight"
export const flightVersion = 1

/** When it was: by the agent's clock, and by those of Prefect and Control Plane when they answered; ms since 1970. */
export const Moment = Schema.Struct({
  agent: Schema.Number,
  prefect: Schema.Number,
  cpln: maybe(Schema.Number),
  /** Since the end of the main container was first seen, in ms. */
  mainEndedAge: maybe(Schema.Number)
})
export type Moment = typeof Moment.Type

/** The run, without anything that its owner wrote but its state's name. Messages are claims and hand-backs only. */
export const RunFacts = Schema.Struct({
  type: Schema.String,
  name: maybe(Schema.String),
  stateId: maybe(Schema.String),
  since: maybe(Schema.String),
  message: maybe(Schema.String),
  transitionId: maybe(Schema.String),
  pauseReschedule: maybe(Schema.Boolean),
  dueTime: maybe(Schema.String),
  startTime: maybe(Schema.String),
  runCount: Schema.Number,
  pid: maybe(Schema.String),
  retryType: maybe(Schema.String)
})

export const CommandFacts = Schema.Struct({
  id: Schema.String,
  /** `org:gvc:workload`. */
  where: Schema.String,
  stage: Schema.String,
  created: Schema.String,
  lastModified: maybe(Schema.String),
  attempt: maybe(Schema.String),
  pool: maybe(Schema.String),
  agent: maybe(Schema.String),
  /** Whether it has side containers, and whether its main one holds `prefect flow-run execute`. */
  sides: Schema.Boolean,
  runner: Schema.Boolean
})
export type CommandFacts = typeof CommandFacts.Type

/** How the main container stands: codes and the platform's own single words, never its sentences. */
export const ExecutionFacts = Schema.Struct({
  exitCode: maybe(Schema.Number),
  reason: maybe(Schema.String),
  condition: maybe(Schema.String)
})

export const LookFacts = Schema.Union([
  Schema.Struct({
    _tag: Schema.Literal("Found"),
    command: CommandFacts,
    execution: maybe(ExecutionFacts),
    stopAsked: Schema.Boolean,
    stopWanted: Schema.Boolean,
    failedLooks: Schema.Number
  }),
  Schema.Struct({
    _tag: Schema.Literal("Absent"),
    gone: Schema.Boolean,
    provenAbsent: Schema.Boolean,
    whose: Schema.Literals(["ours", "nobody", "other"]),
    /** Looks that got 404. */
    notFound: Schema.Number
  }),
  Schema.Struct({ _tag: Schema.Literal("Unreachable"), kind: Schema.String })
])

export const Facts = Schema.Struct({
  run: RunFacts,
  /** Claimed by this kind of agent. */
  ours: Schema.Boolean,
  look: LookFacts,
  /** Live commands of older attempts, and doubles: they are only ever stopped. */
  strays: Schema.Array(CommandFacts),
  /** `job_watch_timeout_seconds` in ms; null for none, and where it was not known. */
  deadline: Schema.NullOr(Schema.Number)
})
export type Facts = typeof Facts.Type

export const RecordedDecision = Schema.Struct({
  _tag: Schema.Literals(["Wait", "Stop", "Propose", "HandBack", "MakeClaimable", "Say", "Forget"]),
  state: maybe(Schema.String),
  why: maybe(Schema.String),
  thenStop: maybe(Schema.Boolean)
})
export type RecordedDecision = typeof RecordedDecision.Type

/** What one look was decided from, and what was decided. */
export const RecordedLook = Schema.Struct({
  first: Moment,
  facts: Facts,
  view: Schema.Record(Schema.String, Schema.Unknown),
  observation: Schema.Record(Schema.String, Schema.Unknown),
  decision: RecordedDecision
})
export type RecordedLook = typeof RecordedLook.Type

/**
 * Looks in a row that saw the same: the first whole, of the others their number and when the last was. `held` is why the
 * decision of the last one was not carried out.
 */
export const FlightEntry = Schema.Struct({
  ...RecordedLook.fields,
  count: Schema.Number,
  last: Moment,
  held: maybe(Schema.String)
})
export type FlightEntry = typeof FlightEntry.Type

/** The settings that decisions depend on, in ms. */
export const RecordedPolicy = Schema.Struct({
  settle: Schema.Number,
  cancelGrace: Schema.Number,
  linger: Schema.Number,
  mainLinger: Schema.Number,
  startTimeout: Schema.Number,
  unreportedExit: Schema.Literals(["COMPLETED", "CRASHED"])
})
export type RecordedPolicy = typeof RecordedPolicy.Type

export const FlightRecord = Schema.Struct({
  format: Schema.Literal(flightFormat),
  version: Schema.Literal(flightVersion),
  runId: Schema.String,
  flow: maybe(Schema.String),
  agent: Schema.String,
  pool: Schema.String,
  /** Version of the Prefect server. */
  server: Schema.String,
  policy: RecordedPolicy,
  /** Older entries that had to make room. */
  dropped: Schema.Number,
  entries: Schema.Array(FlightEntry)
})
export type FlightRecord = typeof FlightRecord.Type

/** What is not a record of this version, in words for a person. */
export class NoFlightRecord extends Schema.TaggedError<NoFlightRecord>()("NoFlightRecord", {
  reason: Schema.String
}) {
  override get message() {
    return this.reason
  }
}

const Head = Schema.Struct({ format: Schema.Literal(flightFormat), version: Schema.Number })

/** `source` is what the text is of, for messages. */
export const readFlightRecord = (
  text: string,
  source: string
): Result.Result<FlightRecord, NoFlightRecord> => {
  const wrong = (why: string) => Result.fail(new NoFlightRecord({ reason: `${source} ${why}` }))
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return wrong("is no JSON.")
  }
  const head = Schema.decodeUnknownResult(Head)(value)
  if (Result.isFailure(head)) {
    return wrong("is no flight record: `agent explain RUN --export FILE` writes one.")
  }
  const { version } = head.success
  if (version !== flightVersion) {
    return wrong(
      version > flightVersion
        ? `has version ${version}, and this program reads ${flightVersion}: use the version of the program that wrote it, or a newer one.`
        : `has version ${version}, which nothing ever wrote.`
    )
  }
  const whole = Schema.decodeUnknownResult(FlightRecord)(value)
  return Result.isFailure(whole)
    ? wrong(`is damaged: ${String(whole.failure).split("\n").join(" ")}`)
    : Result.succeed(whole.success)
}
