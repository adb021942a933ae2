/** The table of decisions, cell by cell as it is written down, against `decide` over the whole product. */
import { expect, it } from "@effect/vitest"
import {
  decide,
  type Decision,
  type Observation,
  type Phase,
  type Policy,
  type RunView
} from "../../../src/runs/decide/decide.ts"

const s = 1_000
const base: Policy = {
  settle: 60 * s,
  cancelGrace: 20 * s,
  linger: 30 * s,
  mainLinger: 120 * s,
  startTimeout: 900 * s,
  deadline: undefined,
  unreportedExit: "COMPLETED"
}
const policies = [base, { ...base, deadline: 600 * s }, { ...base, unreportedExit: "CRASHED" as const }]
const ages = [0, 19, 20, 29, 30, 59, 60, 119, 120, 601, 899, 900, 1799, 1800].map((each) => each * s)
const both = [false, true]
const exits = [undefined, 0, 1].map((code) => ({ code, text: "how it ended" }))

type Seen = Exclude<Observation, { readonly _tag: "Unreachable" }>
type Of<T extends Seen["_tag"]> = Extract<Seen, { readonly _tag: T }>

/** Short for a decision: `+stop` where the job is stopped after the state is written. */
const short = (decision: Decision): string => {
  if (decision._tag === "Propose") return decision.state + (decision.thenStop ? "+stop" : "")
  if (decision._tag === "MakeClaimable") return `claimable${decision.thenStop ? "+stop" : ""}`
  return decision._tag.toLowerCase()
}

interface Cell {
  readonly run: RunView
  readonly policy: Policy
}
type Row = {
  readonly pending: (seen: Of<"Pending">, cell: Cell) => string
  readonly live: (seen: Of<"Live">, cell: Cell) => string
  readonly stopping: (cell: Cell) => string
  readonly mainEnded: (seen: Of<"MainEnded">, cell: Cell) => string
  readonly final: Readonly<Record<Of<"Final">["stage"], (seen: Of<"Final">, cell: Cell) => string>>
  readonly absent: (seen: Of<"Absent">) => string
}

const always = (answer: string) => () => answer
const twice = (answer: string) => (seen: Of<"Final">) => (seen.looks < 2 ? "wait" : answer)
const settled = (answer: string) => (seen: { readonly age: number }) => (seen.age < 60 * s ? "wait" : answer)
const goneIs = (answer: string) => (seen: Of<"Absent">) =>
  seen.whose === "ours" && seen.gone ? answer : "wait"
const silent = (code: number | undefined, { policy }: Cell, stop: string) =>
  (code === 0 ? policy.unreportedExit : "CRASHED") + stop

/** What a run past its deadline comes to, whatever stage our stop led to. */
const unlessOverdue =
  <T extends Seen>(answer: (seen: T, cell: Cell) => string) =>
  (seen: T, cell: Cell): string => {
    const { policy, run } = cell
    const ran = (run.sinceStart ?? 0) - (seen._tag === "Final" ? seen.age : 0)
    if (policy.deadline === undefined || run.sinceStart === undefined || ran <= policy.deadline) {
      return answer(seen, cell)
    }
    return seen._tag === "Final" ? "CRASHED" : "stop"
  }

const pendingRow: Row = {
  pending: ({ age }) => (age < 900 * s ? "wait" : age < 1800 * s ? "stop" : "CRASHED+stop"),
  live: always("wait"),
  stopping: always("wait"),
  mainEnded: settled("CRASHED+stop"),
  final: { completed: settled("CRASHED"), failed: twice("CRASHED"), cancelled: always("CRASHED") },
  absent: ({ gone, provenAbsent, whose }) =>
    whose !== "ours" ? "wait" : gone ? "CRASHED" : provenAbsent ? "handback" : "wait"
}

const withoutJob: Row = {
  pending: always("stop"),
  live: (_, { run }) => (run.phaseAge < 120 * s ? "wait" : "stop"),
  stopping: ({ run }) => (run.phaseAge < 120 * s ? "wait" : "stop"),
  mainEnded: always("stop"),
  final: { completed: always("forget"), failed: always("forget"), cancelled: always("forget") },
  absent: always("forget")
}

const table: Readonly<Record<Phase, Row>> = {
  pending: pendingRow,
  // The same where a command is found; nothing where none is.
  "pending elsewhere": { ...pendingRow, absent: always("wait") },
  running: {
    pending: unlessOverdue(always("wait")),
    live: unlessOverdue(always("wait")),
    stopping: (cell) => unlessOverdue(always("wait"))({ _tag: "Stopping" }, cell),
    mainEnded: unlessOverdue((seen, cell) =>
      settled(seen.stopAsked ? "CRASHED+stop" : silent(seen.exit.code, cell, "+stop"))(seen)
    ),
    final: {
      completed: unlessOverdue((seen, cell) =>
        settled(seen.stopAsked ? "CRASHED" : silent(0, cell, ""))(seen)
      ),
      failed: unlessOverdue(twice("CRASHED")),
      cancelled: unlessOverdue((seen) => settled(seen.stopAsked ? "CRASHED" : "CANCELLED")(seen))
    },
    absent: (seen) => (seen.whose === "ours" ? goneIs("CRASHED")(seen) : "say")
  },
  cancelling: {
    pending: always("stop"),
    live: ({ runner }, { run }) => (runner && run.phaseAge < 20 * s ? "wait" : "stop"),
    stopping: always("stop"),
    mainEnded: always("stop"),
    final: { completed: always("CANCELLED"), failed: always("CANCELLED"), cancelled: always("CANCELLED") },
    absent: ({ gone, provenAbsent, whose }) =>
      whose !== "other" && (gone || provenAbsent) ? "CANCELLED" : "wait"
  },
  over: {
    pending: always("stop"),
    live: ({ stopWanted }, { run }) => (run.phaseAge < 120 * s && !stopWanted ? "wait" : "stop"),
    stopping: always("stop"),
    mainEnded: ({ age }, { run }) => (run.phaseAge < 30 * s || age < 30 * s ? "wait" : "stop"),
    final: { completed: always("forget"), failed: always("forget"), cancelled: always("forget") },
    absent: always("forget")
  },
  "retry in process": {
    pending: always("wait"),
    live: always("wait"),
    stopping: always("wait"),
    mainEnded: settled("claimable+stop"),
    final: { completed: always("claimable"), failed: twice("claimable"), cancelled: always("claimable") },
    absent: goneIs("claimable")
  },
  scheduled: withoutJob,
  suspended: withoutJob,
  "paused in process": {
    pending: always("wait"),
    live: always("wait"),
    stopping: always("wait"),
    mainEnded: always("CRASHED+stop"),
    final: { completed: always("CRASHED"), failed: twice("CRASHED"), cancelled: always("CRASHED") },
    absent: goneIs("CRASHED")
  }
}

const expected = (seen: Seen, cell: Cell): string => {
  const row = table[cell.run.phase]
  switch (seen._tag) {
    case "Pending":
      return row.pending(seen, cell)
    case "Live":
      return row.live(seen, cell)
    case "Stopping":
      return row.stopping(cell)
    case "MainEnded":
      return row.mainEnded(seen, cell)
    case "Final":
      return row.final[seen.stage](seen, cell)
    case "Absent":
      return row.absent(seen)
  }
}

const everySeen: ReadonlyArray<Seen> = [
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
  { _tag: "Stopping" },
  ...exits.flatMap((exit) =>
    ages.flatMap((age) => both.map((stopAsked) => ({ _tag: "MainEnded" as const, exit, age, stopAsked })))
  ),
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

for (const phase of Object.keys(table) as ReadonlyArray<Phase>) {
  it(`decides as the table says for every run that is ${phase}`, () => {
    let count = 0
    const columns = new Set<string>()
    for (const policy of policies) {
      for (const phaseAge of ages) {
        for (const sinceStart of [undefined, ...ages]) {
          const run = { phase, phaseAge, sinceStart }
          for (const seen of everySeen) {
            const want = expected(seen, { run, policy })
            const got = short(decide(run, seen, policy))
            if (got !== want)
              expect.unreachable(`${want}, not ${got}: ${JSON.stringify({ run, seen, policy })}`)
            columns.add(seen._tag === "Final" ? seen.stage : seen._tag)
            count++
          }
        }
      }
    }
    expect(columns.size).toBe(8)
    expect(count).toBe(policies.length * ages.length * (ages.length + 1) * everySeen.length)
  })
}
