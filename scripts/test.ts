/**
 * The test run behind `scripts/test`: suites one after the other, each in a process of its own, then one table.
 *
 * Invariant: a suite counts as passed only when its process ended with 0 and at least one test was executed; what it
 * prints is shown as it comes.
 */
import { spawn, spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { root } from "./local/paths.ts"
import { versions } from "./local/prefect-venv.ts"
import { table } from "./local/table.ts"

interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

interface Ran {
  readonly code: number
  readonly output: string
}

interface Suite {
  readonly name: string
  readonly about: string
  /** What this machine lacks for it; undefined when nothing. */
  readonly needs?: string | undefined
  /** Takes long and repeats with more of it what another suite does: run only when it is named. */
  readonly onlyNamed?: boolean
  readonly steps: ReadonlyArray<ReadonlyArray<string>>
  readonly count: (ran: Ran) => Counts
}

const cache = join(root, ".cache", "test")
mkdirSync(cache, { recursive: true })

/** One check that passes or fails as a whole; with `finding`, each match is one failure. */
const asOne =
  (finding?: RegExp) =>
  ({ code, output }: Ran): Counts =>
    code === 0
      ? { passed: 1, failed: 0, skipped: 0 }
      : {
          passed: 0,
          failed: Math.max(1, finding === undefined ? 1 : (output.match(finding)?.length ?? 1)),
          skipped: 0
        }

/** The last line `N passed, N failed` that the suite printed. */
const ownLine = ({ code, output }: Ran): Counts => {
  const [passed, failed, skipped] = [
    ...output.matchAll(/^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/gm)
  ]
    .at(-1)
    ?.slice(1)
    .map((text) => Number(text ?? 0)) ?? [0, 0, 0]
  const counts = { passed: passed ?? 0, failed: failed ?? 0, skipped: skipped ?? 0 }
  // A suite that died without its line, or ran nothing, has failed.
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts
}

const report = (project: string) => join(cache, `${project}.json`)

const vitest = (project: string): ReadonlyArray<string> => {
  rmSync(report(project), { force: true })
  return [
    "node",
    "node_modules/vitest/vitest.mjs",
    "run",
    "--project",
    project,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report(project)}`
  ]
}

interface VitestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly testResults: ReadonlyArray<{
    readonly status: string
    readonly assertionResults: ReadonlyArray<unknown>
  }>
}

const vitestReport =
  (project: string) =>
  ({ code }: Ran): Counts => {
    try {
      const read = JSON.parse(readFileSync(report(project), "utf8")) as VitestReport
      // A file that fails to load has no tests of its own.
      const unloaded = read.testResults.filter(
        ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0
      ).length
      const failed = read.numFailedTests + unloaded
      return {
        passed: read.numPassedTests,
        failed: code !== 0 && failed === 0 ? 1 : failed,
        skipped: read.numPendingTests
      }
    } catch {
      return { passed: 0, failed: 1, skipped: 0 }
    }
  }

const given = {
  names: [] as Array<string>,
  python: undefined as string | undefined,
  only: undefined as string | undefined,
  noSkip: false
}
const words = process.argv.slice(2)
for (let word = words.shift(); word !== undefined; word = words.shift()) {
  if (word === "--no-skip") given.noSkip = true
  else if (word === "--python") given.python = words.shift()
  else if (word === "--only") given.only = words.shift()
  else given.names.push(word)
}

const git = spawnSync("git", ["--version"]).status === 0
const e2eNeeds = given.python === undefined ? "Python 3.11 or newer with venv" : git ? undefined : "git"
const build = ["scripts/build"]
const e2e = (line: "2" | "3"): Suite => ({
  name: `e2e-${line}`,
  about: `the compiled agent with a real Prefect ${versions[line]} server`,
  needs: e2eNeeds,
  steps: [
    build,
    [
      "bun",
      "test/e2e/main.ts",
      "--prefect",
      line,
      "--python",
      given.python ?? "",
      ...(given.only === undefined ? [] : ["--only", given.only])
    ]
  ],
  count: ownLine
})

const chaos = (line: "2" | "3", name: string, form: ReadonlyArray<string>): Suite => ({
  name,
  about: `agents killed, servers restarted, requests broken, with a real Prefect ${versions[line]} server`,
  needs: e2eNeeds,
  onlyNamed: form.includes("--long"),
  steps: [
    build,
    [
      "bun",
      "test/e2e/chaos.ts",
      "--prefect",
      line,
      "--python",
      given.python ?? "",
      ...form,
      ...(given.only === undefined ? [] : ["--only", given.only])
    ]
  ],
  count: ownLine
})

const late = (line: "2" | "3"): Suite => ({
  name: `late-${line}`,
  about: `a thousand late runs after an outage of a real Prefect ${versions[line]} server`,
  needs: e2eNeeds,
  onlyNamed: true,
  steps: [build, ["bun", "test/e2e/late.ts", "--prefect", line, "--python", given.python ?? ""]],
  count: ownLine
})

const suites: ReadonlyArray<Suite> = [
  {
    name: "types",
    about: "the type checker",
    steps: [["node_modules/.bin/tsc", "-p", "tsconfig.json"]],
    count: asOne(/ error TS\d+/g)
  },
  {
    name: "lint",
    about: "oxlint, warnings denied",
    steps: [["node_modules/.bin/oxlint", "--deny-warnings", "src", "test", "scripts"]],
    count: asOne()
  },
  {
    name: "format",
    about: "oxfmt",
    steps: [
      ["node_modules/.bin/oxfmt", "--check", "src", "test", "scripts", "package.json", "tsconfig.json"]
    ],
    count: asOne()
  },
  {
    name: "unit",
    about: "what needs nothing but Node",
    steps: [vitest("unit")],
    count: vitestReport("unit")
  },
  {
    name: "contract",
    about: "recorded exchanges of both Prefect lines",
    steps: [vitest("contract")],
    count: vitestReport("contract")
  },
  {
    name: "fuzz",
    onlyNamed: true,
    about: "a hundred thousand arbitrary requests to the emulator",
    steps: [["env", "FUZZ_REQUESTS=100000", ...vitest("unit"), "test/emulator/fuzz.test.ts"]],
    count: vitestReport("unit")
  },
  {
    name: "vectors",
    about: "conformance with the reference's inputs and outputs",
    steps: [["bun", "test/contract/vectors.ts"]],
    count: ownLine
  },
  {
    name: "simulate",
    about: "worlds full of trouble, audited, and mutants that the audit must notice",
    steps: [["bun", "test/simulation/main.ts", "--seeds", "2000", "--mutants"]],
    count: ownLine
  },
  {
    name: "binary",
    about: "the compiled binary, the container build, Deno and Node 24",
    steps: [build, vitest("binary")],
    count: vitestReport("binary")
  },
  {
    name: "budgets",
    about: "how many requests the compiled agent makes",
    steps: [build, ["bun", "test/e2e/budgets.ts"]],
    count: ownLine
  },
  e2e("3"),
  e2e("2"),
  chaos("3", "chaos-3", []),
  chaos("2", "chaos-2", []),
  chaos("3", "chaos", ["--long"]),
  chaos("2", "chaos-long-2", ["--long"]),
  late("2"),
  late("3")
]

/** Runs a command with its output on ours and kept; Ctrl-C reaches it too, and it cleans up before it ends. */
const show = (command: ReadonlyArray<string>) =>
  new Promise<Ran>((resolve) => {
    const [program = "", ...args] = command
    const env = process.stdout.isTTY ? process.env : { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined }
    const child = spawn(program, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    const hear = (chunk: Buffer) => {
      output += chunk.toString()
      process.stdout.write(chunk)
    }
    child.stdout.on("data", hear)
    child.stderr.on("data", hear)
    child.once("error", (error) => resolve({ code: 127, output: String(error) }))
    child.once("close", (code) => resolve({ code: code ?? 1, output }))
  })

const line = ({ passed, failed, skipped }: Counts) =>
  `${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`

const unknown = given.names.filter((name) => !suites.some((suite) => suite.name === name))
if (unknown.length > 0) {
  console.error(`unknown suite ${unknown.join(", ")}; there are ${suites.map(({ name }) => name).join(", ")}`)
  process.exit(1)
}

let stopped = false
process.on("SIGINT", () => (stopped = true))
process.on("SIGTERM", () => (stopped = true))

const done: Array<{ readonly suite: Suite; readonly counts: Counts; readonly seconds: number }> = []
for (const suite of suites) {
  if (stopped) break
  if (given.names.length > 0 ? !given.names.includes(suite.name) : suite.onlyNamed === true) continue
  console.log(`\n── ${suite.name}: ${suite.about}`)
  const from = performance.now()
  let counts: Counts
  if (suite.needs !== undefined) {
    console.log(`skipped: needs ${suite.needs}`)
    counts = { passed: 0, failed: 0, skipped: 1 }
  } else {
    let ran: Ran = { code: 0, output: "" }
    for (const step of suite.steps) {
      ran = await show(step)
      if (ran.code !== 0) break
    }
    counts = suite.count(ran)
    if (counts.passed + counts.failed + counts.skipped === 0) counts = { ...counts, failed: 1 }
  }
  if (given.noSkip && counts.skipped > 0) {
    console.log(`${counts.skipped} skipped, and --no-skip allows none`)
    counts = { passed: counts.passed, failed: counts.failed + counts.skipped, skipped: 0 }
  }
  done.push({ suite, counts, seconds: (performance.now() - from) / 1000 })
  console.log(`${suite.name}: ${line(counts)}`)
}

const sum = done.reduce<Counts>(
  (all, { counts }) => ({
    passed: all.passed + counts.passed,
    failed: all.failed + counts.failed,
    skipped: all.skipped + counts.skipped
  }),
  { passed: 0, failed: 0, skipped: 0 }
)
console.log(
  `\n${table(
    ["suite", "passed", "failed", "skipped", "seconds"],
    done.map(({ suite, counts, seconds }) => [
      suite.name,
      ...[counts.passed, counts.failed, counts.skipped].map((count) => String(count).padStart(6)),
      seconds.toFixed(1).padStart(7)
    ])
  )}\n\n${line(sum)}`
)
process.exit(stopped ? 130 : sum.failed === 0 && sum.passed > 0 ? 0 : 1)
