/**
 * What came of a long run, kept in a file: docs/promises.md tells of it.
 *
 * Invariant: it is of one program and of one pair of models. A world in which the audit was wrong is judged again, once the
 * audit is mended, only while both are as they were; and the file says how many were.
 */
import { createHash } from "node:crypto"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { askAll } from "./crew.ts"
import type { Tally } from "./tally.ts"

export interface LongRun extends Pick<Tally, "runs" | "violations"> {
  /** The first seed. */
  readonly first: number
  readonly worlds: number
  readonly seconds: number
  /** Of the program and the models. */
  readonly source: string
  /** Seeds of worlds in which a promise was broken. */
  readonly bad: ReadonlyArray<number>
  /** How many worlds were judged again. */
  readonly again: number
  readonly fired: Readonly<Record<string, number>>
}

const root = join(import.meta.dirname, "../..")

/** Tests hold no part of what plays. */
const sourceNow = (): string => {
  const hash = createHash("sha256")
  for (const folder of ["src", "test/runs/world"]) {
    const files = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    for (const file of files.filter((each) => each.endsWith(".ts") && !each.endsWith(".test.ts")).sort()) {
      hash.update(`${file}\n`).update(readFileSync(join(root, folder, file)))
    }
  }
  return hash.digest("hex").slice(0, 16)
}

const write = (file: string, found: LongRun): void =>
  writeFileSync(file, `${JSON.stringify(found, undefined, 2)}\n`)

export const readLongRun = (file: string | URL): LongRun => JSON.parse(readFileSync(file, "utf8")) as LongRun

export const record = (
  file: string,
  first: number,
  seconds: number,
  { fired, runs, seeds: worlds, violations }: Tally,
  bad: ReadonlyArray<number>
): void =>
  write(file, {
    first,
    worlds,
    runs,
    violations,
    seconds,
    source: sourceNow(),
    bad,
    again: 0,
    fired: Object.fromEntries(fired)
  })

/** Judges the bad worlds of a record again, and writes down what is left; returns the exit code. */
export const judgeAgain = async (
  file: string,
  workers: number,
  print: (line: string) => void
): Promise<number> => {
  const found = readLongRun(file)
  if (found.source !== sourceNow()) {
    print("The program or the models have changed since: only a run of all worlds tells how they are.")
    return 1
  }
  const bad: Array<number> = []
  let violations = 0
  const tasks = found.bad.map((seed) => ({ play: seed, replicas: undefined }))
  await askAll(tasks, workers, undefined, (answer) => {
    if (!("result" in answer)) return true
    const { seed, violations: seen } = answer.result
    violations += seen.length
    if (seen.length > 0) bad.push(seed)
    for (const { check, promise, what } of seen.slice(0, 1))
      print(`seed ${seed}: ${promise} broken (${check}): ${what}`)
    return true
  })
  write(file, { ...found, violations, bad, again: found.again + found.bad.length - bad.length })
  print(`${found.bad.length} worlds judged again, ${violations} violations`)
  return bad.length > 0 ? 1 : 0
}
