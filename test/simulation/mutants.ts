/**
 * Changes of the program that each break a promise: what the audit has to notice.
 *
 * Invariant: `from` occurs exactly once in the file, and the changed file is a program that runs.
 */
import type { PromiseId } from "./promise.ts"

export interface Mutant {
  readonly name: string
  /** The promise that it breaks. */
  readonly promise: PromiseId
  readonly file: string
  readonly from: string
  readonly to: string
}

export const mutants: ReadonlyArray<Mutant> = [
  {
    name: "a forced write",
    promise: "I6",
    file: "src/runs/act/propose.ts",
    from: "prefect.propose(judged.id, proposal)",
    to: "prefect.propose(judged.id, { ...proposal, force: true } as Proposal)"
  },
  {
    name: "no linger",
    promise: "I3",
    file: "src/runs/decide/decide.ts",
    from: "run.phaseAge < policy.mainLinger && !seen.stopWanted",
    to: "run.phaseAge < 0"
  },
  {
    name: "no query after a start whose answer was lost",
    promise: "I2",
    file: "src/runs/launch/start.ts",
    from: "searchByAttempt(launch, doubtHorizon, launchDeadline)",
    to: 'Effect.succeed({ _tag: "Nothing" } as Search)'
  },
  {
    name: "CANCELLED before the job is over",
    promise: "I5",
    file: "src/runs/decide/decide.ts",
    from: `    case "Pending":
    case "MainEnded":
    case "Stopping":
      return stop("the run was cancelled")`,
    to: `    case "Pending":
    case "MainEnded":
    case "Stopping":
      return propose("CANCELLED", "the run was cancelled")`
  },
  {
    name: "CANCELLED although another job lives",
    promise: "I5",
    file: "src/runs/act/act.ts",
    from: 'if (decision.state === "CANCELLED" && (yield* hasOtherJobs(its)))',
    to: 'if (decision.state === "CANCELLED" && (yield* Effect.succeed(false)))'
  },
  {
    name: "no second look at failed",
    promise: "I7",
    file: "src/runs/decide/decide.ts",
    from: "looks < 2 ? wait(",
    to: "looks < 1 ? wait("
  },
  {
    name: "old attempts decide",
    promise: "I7",
    file: "src/runs/decide/normalise.ts",
    from: 'reduce((a, b) => (b > a ? b : a), "")',
    to: 'reduce((a, b) => (b < a ? b : a), "~")'
  },
  {
    name: "a job of an older claim decides",
    promise: "I7",
    file: "src/runs/look/look.ts",
    from: "!isReplaced(sorted.current, attempt, history)",
    to: "true"
  },
  {
    name: "404 of a run without the pool check",
    promise: "I9",
    file: "src/agent/deleted.ts",
    from: "Effect.map((read) => read.id === poolId)",
    to: 'Effect.map((read) => read.id !== "")'
  },
  {
    name: "no brake",
    promise: "I9",
    file: "src/runs/act/brake.ts",
    from: "allows: (runId) => permitted.has(runId) && wants.has(runId)",
    to: "allows: (runId) => wants.has(runId)"
  },
  {
    name: "a drain that stops jobs",
    promise: "I7",
    file: "src/agent/agent.ts",
    from: `const serve = Effect.fnUntraced(function* ({ queues, settings }: AgentOptions) {
`,
    to: `import { Commands as AllCommands } from "../cpln/commands.ts"
import { at as inPlace } from "../cpln/place.ts"

const stopAll = Effect.gen(function* () {
  for (const { access, workload } of (yield* Places).all()) {
    const ask = AllCommands.use((all) => all.find(workload, [])).pipe(inPlace(access))
    for (const { spec, status } of (yield* ask).value) {
      const { replica } = status ?? {}
      if (!replica) continue
      const what = { replica, location: spec?.location ?? "" }
      yield* AllCommands.use((all) => all.stopReplica(workload, what)).pipe(inPlace(access))
    }
  }
}).pipe(Effect.catchCause(() => Effect.void))

const serve = Effect.fnUntraced(function* ({ queues, settings }: AgentOptions) {
  yield* Effect.addFinalizer(() => stopAll)
`
  },
  {
    name: "the local clock for ages",
    promise: "I3",
    file: "src/runs/reconcile/judge.ts",
    from: "viewOf(run, seen.at, ours, jobAge)",
    to: "viewOf(run, yield* Clock.currentTimeMillis, ours, jobAge)"
  },
  {
    name: "ends are lost to late states",
    promise: "I6",
    file: "src/runs/act/overwritten.ts",
    from: "if (!isEnding(youngest) ||",
    to: "if (youngest !== undefined ||"
  },
  {
    name: "a start counts as a job",
    promise: "I5",
    file: "src/runs/act/act.ts",
    from: "run.run_count > 0 ||",
    to: "(run.start_time ?? undefined) !== undefined ||"
  },
  {
    name: "derived transition ids of claims",
    promise: "I2",
    file: "src/runs/launch/claim.ts",
    from: "const transitionId = yield* freshId",
    to: "const transitionId = yield* Effect.as(freshId, `of ${seen.id} ${seen.state_id}`)"
  },
  {
    name: "no read before an end is written",
    promise: "I6",
    file: "src/runs/act/propose.ts",
    from: `const fresh = (yield* freshRun(judged.id)).value
    const proposal`,
    to: `const fresh = judged as FlowRun
    const proposal`
  },
  {
    name: "ends with fresh ids",
    promise: "I6",
    file: "src/runs/act/propose.ts",
    from: "({ type: state, message, transitionId: derivedId(judged.id, subject, state) })",
    to: "({ type: state, message, transitionId: `${subject} ${Math.random()}` })"
  },
  {
    name: "no confirmation before a stop",
    promise: "I7",
    file: "src/runs/act/stop.ts",
    from: "if (before === undefined && !(yield* confirm))",
    to: "if (before === undefined && !(yield* Effect.succeed(true)))"
  },
  {
    name: "the PID over a newer claim",
    promise: "I7",
    file: "src/runs/launch/record.ts",
    from: '    if (standing === "taken") return false',
    to: `    if (standing === "taken") {
      yield* writePid(run, pidOf(job)).pipe(Effect.ignore)
      return true
    }`
  },
  {
    name: "adoptable jobs are ignored",
    promise: "I2",
    file: "src/runs/look/earlier.ts",
    from: "adoptable: live.every(isFree) ? live[0] : undefined",
    to: "adoptable: undefined"
  },
  {
    name: "no wait for the job of an earlier claim",
    promise: "I2",
    file: "src/runs/look/earlier.ts",
    from: "live: live.find((each) => !isFree(each))",
    to: "live: undefined"
  },
  {
    name: "a hand-back without proof of absence",
    promise: "I2",
    file: "src/runs/look/absence.ts",
    from: "provenAbsent, whose, strays }",
    to: "provenAbsent: true, whose, strays }"
  },
  {
    name: "claimable while its job lives",
    promise: "I2",
    file: "src/runs/decide/decide.ts",
    from: 'return wait("the job waits for its own retry")',
    to: "return claimable(false)"
  },
  {
    name: "the lost answer of a claim is a lost claim",
    promise: "I1",
    file: "src/runs/launch/claim.ts",
    from: "return accepted(state, transitionId, yield* since(begun))",
    to: 'return yield* new ClaimLost({ reason: "" })'
  },
  {
    name: "strays live on",
    promise: "I2",
    file: "src/runs/reconcile/reconcile.ts",
    from: "for (const stray of strays) {",
    to: "for (const stray of strays.slice(0, 0)) {"
  },
  {
    name: "no answer counts as absence",
    promise: "I7",
    file: "src/runs/look/look.ts",
    from: "Effect.succeed(unreachable(error))",
    to: 'Effect.succeed<Look>({ _tag: "Absent", gone: error.message !== "", provenAbsent: true, whose: "ours", strays: [] })'
  },
  {
    name: "gone after one look",
    promise: "I7",
    file: "src/runs/look/absence.ts",
    from: "export const looksUntilGone = 5",
    to: "export const looksUntilGone = 1"
  },
  {
    name: "old offers are claimed",
    promise: "I6",
    file: "src/runs/launch/launch.ts",
    from: "(yield* since(offer.seenAt)) <= freshFor",
    to: "now.wall > 0"
  },
  {
    name: "a proof holds for ever",
    promise: "I3",
    file: "src/runs/launch/start.ts",
    from: "export const proofHolds = 5_000",
    to: "export const proofHolds = 500_000"
  },
  {
    name: "runs of every pool, whoever's they are",
    promise: "I9",
    file: "src/agent/watch.ts",
    from: `runs.filter((run) => run.work_pool_id === poolId)
  const open = yield* prefect.findRuns({ pool, stateTypes`,
    to: `runs.filter((run) => poolId !== run.id)
  const open = yield* prefect.findRuns({ stateTypes`
  },
  {
    name: "a watch that never idles",
    promise: "I11",
    file: "src/agent/watch.ts",
    from: "if (idle && started() === startedThen && waiting === 0) return",
    to: "if (idle && started() < 0) return"
  },
  {
    name: "no pause after a failure",
    promise: "I10",
    file: "src/agent/loop.ts",
    from: "Duration.times(Duration.min(Duration.seconds(2 ** failures), longestPause), share)",
    to: "Duration.millis(Math.min(failures, share))"
  },
  {
    name: "secrets in a line",
    promise: "I13",
    file: "src/runs/launch/start-claimed.ts",
    from: '"Creating Control Plane job...")',
    to: "`Creating Control Plane job... ${JSON.stringify(config.prefectSettings)}`)"
  },
  {
    name: "the limit is ignored",
    promise: "I10",
    file: "src/agent/launcher.ts",
    from: "if (!hasRoom()) return",
    to: "if (!hasRoom() && drained) return"
  },
  {
    name: "runs are left open after their job",
    promise: "I4",
    file: "src/runs/decide/decide.ts",
    from: "seen.stopAsked ? stoppedByUs(false) : unreported({ ...seen.exit, code: 0 }, policy, false)",
    to: 'wait("for ever")'
  },
  {
    name: "first page only",
    promise: "I4",
    file: "src/prefect/pages.ts",
    from: "if (value.length < pageSize || rows.size === before)",
    to: "if (value.length <= pageSize || rows.size === before)"
  },
  {
    name: "clean-up counts from the start",
    promise: "I9",
    file: "src/runs/workloads/idleness.ts",
    from: `timeOf(command.lastModified) ?? timeOf(command.created)),
    ...executions.map((each) => timeOf(each.completionTime) ?? timeOf(each.startTime))`,
    to: `timeOf(command.created)),
    ...executions.map((each) => timeOf(each.startTime))`
  },
  {
    name: "a stop that the history does not speak for",
    promise: "I9",
    file: "src/runs/act/grounds.ts",
    from: 'if (!known) return "went back"',
    to: 'if (known === undefined) return "went back"'
  },
  {
    name: "another agent's job is stopped",
    promise: "I9",
    file: "src/runs/act/grounds.ts",
    from: 'if (!isOver(run)) return "another agent\'s job is not stopped before its run is over"',
    to: 'if (isOver(run) && run.id === "") return "another agent\'s job"'
  }
]
