/**
 * The page `docs/promises.md`, made from the checks, the mutants and the tests that hold each promise.
 *
 * Invariant: nothing is said of a promise that is not in the code: a test compares the page with this, and looks for every
 * test that is named.
 */
import { checks } from "./audit.ts"
import { caughtBy } from "./caught.ts"
import { type Mutant, mutants } from "./mutants.ts"
import { regressions } from "./regressions.ts"
import { readLongRun } from "./long-run.ts"
import { troubles } from "./tally.ts"

interface Named {
  readonly file: string
  readonly name: string
}

interface Promised {
  readonly id: string
  readonly text: string
  readonly tests: ReadonlyArray<Named>
}

const decide = (name: string): Named => ({ file: "test/runs/decide/decide.test.ts", name })
const cancelling = (name: string): Named => ({ file: "test/agent/cancelling.test.ts", name })
const limiter = (name: string): Named => ({ file: "test/http/limiter.test.ts", name })
const gaps = (name: string): Named => ({ file: "test/logs/gaps.test.ts", name })

export const promises: ReadonlyArray<Promised> = [
  {
    id: "I1",
    text: "No run is lost: a due run is started, or ended with a reason, while an agent lives and both APIs answer.",
    tests: [decide("hands back only what is proven absent and claimed by our kind")]
  },
  {
    id: "I2",
    text: "No two jobs of one run work at once beyond the settle window.",
    tests: [cancelling("with a double that has not started yet is CANCELLED only when that is over too")]
  },
  {
    id: "I3",
    text: "No ghosts: no job outlives its run beyond the linger and the platform's grace, and each has that linger.",
    tests: [
      decide("stops a job that lives on after its run, sooner or later"),
      decide("lets hooks and logs finish after a run is over, but starts no finished run again")
    ]
  },
  {
    id: "I4",
    text: "No run stays open when its job is over.",
    tests: [
      decide("gives the engine the settle time to speak for itself"),
      decide("waits five looks before a job that vanished is a crash")
    ]
  },
  {
    id: "I5",
    text: "Cancelling comes to an end, and CANCELLED is written only after the job is over or proven absent.",
    tests: [
      cancelling("while its start is in doubt is CANCELLED only after the job that showed up is over"),
      cancelling("between its claim and its start never starts, and is CANCELLED at once")
    ]
  },
  {
    id: "I6",
    text: "An end is never changed by an agent; no state is forced.",
    tests: [decide("never writes a state over a run that is over")]
  },
  {
    id: "I7",
    text: "The end agrees with what the engine reported last, the job's stage and its exit code; work is not stopped without a reason.",
    tests: [
      decide("concludes nothing from one look at `failed`, but that a cancelled run is over"),
      decide("never calls a run cancelled, or completed, while its main container lives")
    ]
  },
  {
    id: "I8",
    text: "Every line of a job's output once and in order while the process lives; across a crash at most one batch twice in Prefect's log; the last line is there.",
    tests: [
      { file: "test/logs/exactly-once.test.ts", name: "whatever comes late, ends or breaks" },
      gaps("leaves no gap for a stream that is late behind another"),
      gaps("has nothing fall between a read and its own beginning, however long that takes")
    ]
  },
  {
    id: "I9",
    text: "Nothing that is not ours is written, stopped or deleted, and nothing with live work is deleted.",
    tests: [decide("leaves runs of other workers alone when it finds no job of theirs")]
  },
  {
    id: "I10",
    text: "Requests, requests in flight, and jobs under a limit stay within their bounds, also right after a restart.",
    tests: [
      limiter("lets twice the rate go at once, and then so many per second"),
      limiter("are never more than allowed, and the next one goes when one ends, however it ends")
    ]
  },
  {
    id: "I11",
    text: "With nothing to do there are no writes but heartbeats, and few reads; when trouble ends everything settles.",
    tests: [
      {
        file: "test/e2e/budgets.ts",
        name: "idle: at most 75 requests a minute to both services, and no write but heartbeats"
      },
      { file: "test/agent/quiet.test.ts", name: "is looked at with every sync, and not between two" }
    ]
  },
  {
    id: "I12",
    text: "All of it for one to five agents, with clocks that are wrong, pauses, kills, twins and rolling restarts. Every world of the simulation differs in these.",
    tests: [
      { file: "test/agent/clocks.test.ts", name: "an agent whose clock is set" },
      { file: "test/agent/rivals.test.ts", name: "of two jobs whose claims were accepted at once" }
    ]
  },
  {
    id: "I13",
    text: "No token or secret value is in anything that an agent puts out.",
    tests: [
      { file: "test/prefect/access.test.ts", name: "shows no secret when it is printed" },
      {
        file: "test/e2e/secrets.ts",
        name: "secrets: no output of the agents holds a value, and none warns of plain credentials"
      }
    ]
  }
]

/** With the world that shows it. */
const named = ({ name }: Mutant): string => {
  const world = caughtBy[name]
  return `${name} (${typeof world === "number" ? `seed ${world}` : `world ${world}`})`
}

const section = ({ id, tests, text }: Promised): ReadonlyArray<string> => {
  const own = checks.filter(({ promise }) => promise === id)
  const proving = mutants.filter(({ promise }) => promise === id)
  return [
    `## ${id}`,
    "",
    text,
    "",
    ...own.map(({ bound, name }) => `- The simulation: ${name}. Bound: ${bound}.`),
    ...tests.map(({ file, name }) => `- [${file}](../${file}): "${name}"`),
    ...(proving.length === 0 ? [] : [`- Shown to be noticed with: ${proving.map(named).join("; ")}.`]),
    ""
  ]
}

const longRun = readLongRun(new URL("long-run.json", import.meta.url))

/** English digits, whatever the machine speaks. */
const count = new Intl.NumberFormat("en")

const trouble = (): ReadonlyArray<string> => {
  const { again = 0, fired, first, runs, seconds, violations, worlds } = longRun
  return [
    "## The trouble",
    "",
    `The last long run: ${count.format(worlds)} worlds from seed ${first} on, ${count.format(runs)} run-lives, ${violations} violations, in ${Math.round(seconds / 60)} minutes on two cores.${again === 0 ? "" : ` ${again} of the worlds were judged again by a mended audit, with the same program and models.`} This is what happened in it, counted where it hit something. A run of 500 worlds or more fails where one of these never did.`,
    "",
    "| | times |",
    "|---|--:|",
    ...troubles.map((kind) => `| ${kind} | ${count.format(fired[kind] ?? 0)} |`),
    ""
  ]
}

export const page = (): string =>
  [
    "# What is promised, and what holds it",
    "",
    "Each promise has tests, and all but I8 are audited in the simulation: real agents over models of both services, on",
    "simulated time, with every choice drawn from one seed. The auditor reads only what the models wrote down. Job output",
    "is not part of it: I8 has a simulation of its own, in the first of its tests. The compiled binary is audited as well,",
    "with real servers, by what those recorded: `scripts/test chaos-2 chaos-3`.",
    "",
    "```",
    "npm run simulate -- --seeds 2000 --mutants    worlds, then changes of the program that each must be noticed",
    "npm run simulate -- --seed 7                  one world; on a violation its story, and the smallest plan of it",
    "npm run simulate -- --plan FILE               that plan again",
    'npm run simulate -- --world cancels           a world that is named below; --mutant "a forced write" plays that in it',
    "npm run simulate -- --replay FILE             a record of `agent explain RUN --export`: every look decided anew",
    "npm run simulate -- --seeds 29500 --seed 100000 --record test/simulation/long-run.json    for an hour",
    "```",
    "",
    "A bound counts calm time: time in which no fault, outage or dead agent was in the way.",
    "",
    ...promises.flatMap(section),
    ...trouble(),
    "## Found by it",
    "",
    "These worlds are played first in every run. Each is kept as a plan, which `--plan` plays alone.",
    "",
    ...regressions.map(({ file, story }) => `- [${file}](../test/simulation/${file}): ${story}`),
    ""
  ].join("\n")
