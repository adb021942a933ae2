/**
 * A thousand late runs: the way to Prefect is cut while they are made, then the server itself is started anew, and all is
 * well again. Each has to be started exactly once; what it took is printed.
 *
 *   bun test/e2e/late.ts [--prefect 2|3] [--python PATH] [--runs 1000] [--away 60]
 */
import { join } from "node:path"
import { Effect } from "effect"
import { agentBinary, temporaryFolder } from "../../scripts/local/paths.ts"
import { type Line, prefectVenv, versions } from "../../scripts/local/prefect-venv.ts"
import { endLeftovers } from "../../scripts/local/process.ts"
import { options, runScript } from "../../scripts/local/script.ts"
import { table } from "../../scripts/local/table.ts"
import { ground } from "./outages/ground.ts"
import { type Figures, lateRuns } from "./outages/late.ts"
import { makeSuite } from "./suite.ts"

const seconds = (value: number) => value.toFixed(1)
const listed = (values: ReadonlyArray<number>) => values.map((value) => String(value)).join(" ")

const shown = (seen: Figures, runs: number): ReadonlyArray<ReadonlyArray<string>> => [
  ["Prefect was away for, s", seconds(seen.away)],
  ["requests to it meanwhile, and in the second half", `${seen.askedWhileAway}, ${seen.askedInSecondHalf}`],
  ["from its return to the first late start, s", seconds(seen.firstStart)],
  ["to the last late start, s", seconds(seen.lastStart)],
  ["to all over, s (the engine's double included)", seconds(seen.settled)],
  ["starts in each ten seconds", listed(seen.ramp)],
  ["most starts in a second", String(seen.startsInOneSecond)],
  ["claimed and not yet started at once, at most", String(seen.claimsAtOnce)],
  ["requests under way at once: Prefect, Control Plane", `${seen.prefectAtOnce}, ${seen.controlPlaneAtOnce}`],
  [
    "requests for each run: Prefect, Control Plane",
    `${seconds(seen.prefectRequests / runs)}, ${seconds(seen.controlPlaneRequests / runs)}`
  ],
  [
    "cancel asked → stop sent, s, with a grace of 1 s",
    listed(seen.stops.map((value) => Number(seconds(value))))
  ],
  ["warnings and errors of the agent since the return", String(troubles(seen).length)],
  [
    "ended",
    Object.entries(seen.ended)
      .map(([type, count]) => `${count} ${type}`)
      .join(", ")
  ]
]

/** Jobs that died without a word are CRASHED, which is said as an error. */
const troubles = ({ lines }: Figures) =>
  lines.filter((line) => /^\S+ (?:WARN|ERROR)/u.test(line) && !line.includes("Run set to CRASHED"))

const main = Effect.fnUntraced(function* () {
  const given = options(["prefect", "python", "runs", "away"], [])
  const line = (given.prefect ?? "2") as Line
  const [runs, away] = [Number(given.runs ?? 1000), Number(given.away ?? 60)]
  if (versions[line] === undefined || !(runs > 0) || !(away > 0)) {
    console.error("--prefect is 2 or 3, --runs and --away are more than 0")
    return 1
  }
  const venv = yield* prefectVenv(line, given.python ?? "python3", (text) => console.log(`  ${text}`))
  const suite = makeSuite(`late, Prefect ${venv.version}`, undefined)
  yield* suite.test(
    `${runs} runs that became due while Prefect was away are each started once`,
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("prefect-cpln-late-")
      yield* Effect.addFinalizer(() => Effect.sync(() => endLeftovers(folder)))
      const here = yield* ground({ venv, folder: join(folder, "w"), agent: [agentBinary] })
      const seen = yield* lateRuns(here, { runs, away, cancels: 5 })
      console.log(`\n${table(["figure", `${runs} runs, Prefect ${venv.version}`], shown(seen, runs))}\n`)
      const said = seen.lines.filter((each) => each.includes(" for a start"))
      console.log([...said, ...troubles(seen).slice(0, 20)].map((each) => `  ${each}`).join("\n"))
    }),
    "60 minutes"
  )
  return suite.close()
})

runScript(main())
