/**
 * `npm run simulate`: plays worlds full of trouble, audits each, and shows that the audit would notice.
 *
 *   npm run simulate -- --seeds N        that many worlds; first the regressions, and those thought out for mutants
 *                       --seed S         the first seed; 1 unless given. Alone: this one world
 *                       --replicas K     in every world; drawn by the seed unless given
 *                       --mutants        every mutant of the program has to be caught
 *                       --workers W      processes at once; 2 unless given, 1 on a machine with one core
 *                       --record FILE    what came of it, for docs/promises.md (bun test/simulation/write-page.ts)
 *                       --again FILE     the bad worlds of such a record, once the audit is mended that was wrong of them
 *   npm run simulate -- --plan FILE      one world as it is written there
 *   npm run simulate -- --world NAME     one of the worlds that docs/promises.md names
 *                       --mutant NAME    with one mutant of the program; also with --seed
 *   npm run simulate -- --replay FILE    decides a recorded flight anew; exit code 1 when a decision differs
 *
 * The last line is `N seeds, N run-lives, N violations, … s`; a world that broke a promise is told with its story. The exit
 * code is 1 on any violation, on a mutant that was not caught, and, with 500 seeds or more, on a kind of trouble that never
 * happened.
 */
import { readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { options } from "../../scripts/local/script.ts"
import { askAll, askOne } from "./crew.ts"
import { huntMutants } from "./hunt.ts"
import { judgeAgain, record } from "./long-run.ts"
import { mutants } from "./mutants.ts"
import type { Plan } from "./plan.ts"
import { regressions } from "./regressions.ts"
import { special } from "./special.ts"
import { replayFile } from "./replay.ts"
import { missing, table, type Tally, tally } from "./tally.ts"
import { writeTold } from "./told.ts"
import type { Task } from "./worker.ts"

const print = (line: string) => console.log(line)
/** The text at the top of this file is the help. */
const usage = (): string =>
  readFileSync(new URL(import.meta.url), "utf8")
    .slice("/**\n".length)
    .split("\n */")[0]!
    .replace(/^ \* ?/gmu, "")

const refuse = (error: unknown): never => {
  console.error(
    `${error instanceof Error ? error.message : String(error)}\n  See: npm run simulate -- --help`
  )
  process.exit(1)
}

const read = () =>
  options(
    ["seeds", "seed", "replicas", "plan", "world", "mutant", "workers", "replay", "record", "again"],
    ["mutants", "help"]
  )
const given = ((): ReturnType<typeof read> => {
  try {
    return read()
  } catch (error) {
    return refuse(error)
  }
})()
if (given.help === true) {
  print(usage())
  process.exit(0)
}
if (given.mutant !== undefined && !mutants.some(({ name }) => name === given.mutant)) {
  refuse(`there is no mutant "${given.mutant}": docs/promises.md names them`)
}
const whole = (name: "seeds" | "seed" | "replicas" | "workers"): number | undefined => {
  const text = given[name]
  if (text === undefined) return undefined
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) refuse(`--${name} needs a whole number, not ${text}`)
  return value
}

/** From how many seeds on every kind of trouble has to have happened. */
const enoughForAll = 500
/** Violations that are told with their story. */
const mostTold = 3

const replicas = whole("replicas")
const first = whole("seed") ?? 1
const alone = given.seed !== undefined && given.seeds === undefined
const seeds = whole("seeds") ?? (alone ? 1 : given.mutants === true ? 0 : 100)
const workers = whole("workers") ?? Math.min(2, availableParallelism())
const begun = performance.now()

const tellAll = async (plans: ReadonlyArray<Plan>, mutant: string | undefined) => {
  for (const plan of plans.slice(0, mostTold)) {
    const answer = await askOne({ tell: plan, within: 20_000 }, mutant)
    if ("told" in answer) for (const line of writeTold(plan, answer.told, mutant)) print(line)
  }
}

const onePlan = async (plan: Plan): Promise<number> => {
  const answer = await askOne({ tell: plan, within: 0 }, given.mutant)
  if (!("told" in answer)) return 1
  for (const line of writeTold(plan, answer.told, given.mutant)) print(line)
  return answer.told.violations.length === 0 ? 0 : 1
}

const worldNamed = (name: string): Plan => {
  const found = Object.entries(special).find(([each]) => each === name)
  return found?.[1] ?? refuse(`there is no world ${name}, but ${Object.keys(special).sort().join(", ")}`)
}

const manySeeds = async (): Promise<{ readonly counts: Tally; readonly bad: ReadonlyArray<Plan> }> => {
  const counts = tally()
  const bad: Array<Plan> = []
  const tasks = function* (): Iterable<Task> {
    if (!alone)
      for (const plan of [...regressions.map((each) => each.plan), ...Object.values(special)]) yield { plan }
    for (let seed = first; seed < first + seeds; seed++) yield { play: seed, replicas }
  }
  let last = begun
  await askAll(tasks(), workers, given.mutant, (answer) => {
    if (!("result" in answer)) return true
    counts.add(answer.result)
    if (answer.plan !== undefined) {
      bad.push(answer.plan)
      const [worst] = answer.result.violations
      print(
        `seed ${answer.result.seed}: ${worst?.promise} broken (${worst?.check}): ${worst?.runId ?? ""} ${worst?.what}`
      )
    }
    if (performance.now() - last > 15_000) {
      last = performance.now()
      print(`… ${counts.seeds} seeds, ${counts.runs} run-lives, ${bad.length} with violations`)
    }
    return true
  })
  return { counts, bad }
}

const run = async (): Promise<number> => {
  if (given.replay !== undefined) return replayFile(given.replay, print)
  if (given.again !== undefined) return judgeAgain(given.again, workers, print)
  if (given.plan !== undefined) return onePlan(JSON.parse(readFileSync(given.plan, "utf8")) as Plan)
  if (given.world !== undefined) return onePlan(worldNamed(given.world))
  const { bad, counts } = await manySeeds()
  await tellAll(bad, given.mutant)
  const never = seeds >= enoughForAll ? missing(counts) : []
  if (!alone && seeds > 0) for (const line of table(counts)) print(line)
  for (const kind of never) print(`never happened: ${kind}`)
  const hunted = given.mutants === true ? await huntMutants(workers, print) : { caught: 0, escaped: 0 }
  const seconds = Math.round((performance.now() - begun) / 1000)
  if (given.record !== undefined) {
    const broken = bad.map(({ seed }) => seed)
    record(given.record, first, seconds, counts, broken)
  }
  // For whoever counts suites: each seed and each mutant is one test.
  const failed = counts.bad + never.length + hunted.escaped
  print(`${counts.seeds - counts.bad + hunted.caught} passed, ${failed} failed`)
  print(`${counts.seeds} seeds, ${counts.runs} run-lives, ${counts.violations} violations, ${seconds} s`)
  return failed > 0 ? 1 : 0
}

process.exitCode = await run()
