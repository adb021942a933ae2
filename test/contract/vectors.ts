/**
 * Runs conformance vectors: `npm run vectors -- DIR`, by default the project's copy. Prints each failure and ends with
 * `N passed, N failed`; the exit code is 1 when one failed.
 *
 * Invariant: every case of every file of the directory is counted; a file that no adapter knows fails.
 */
import { readdirSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { run as baseJobTemplate } from "./vectors-adapters/base-job-template.ts"
import { run as blockTypes } from "./vectors-adapters/block-types.ts"
import { run as infrastructureBlock } from "./vectors-adapters/infrastructure-block.ts"
import { run as infrastructurePid } from "./vectors-adapters/infrastructure-pid.ts"
import { run as jobConfiguration } from "./vectors-adapters/job-configuration.ts"
import { run as kubernetesJob } from "./vectors-adapters/kubernetes-job.ts"
import { run as logLines } from "./vectors-adapters/log-lines.ts"
import { run as slugs } from "./vectors-adapters/slugs.ts"
import {
  type Adapter,
  isObject,
  type Json,
  type JsonObject,
  listOf,
  objectOf,
  type Outcome,
  textOf,
  type VectorCase,
  type VectorFile
} from "./vectors-adapters/vector.ts"

const adapters: Readonly<Record<string, Adapter>> = {
  "base-job-template": baseJobTemplate,
  "block-types": blockTypes,
  "infrastructure-block": infrastructureBlock,
  "infrastructure-pid": infrastructurePid,
  "job-configuration": jobConfiguration,
  "kubernetes-job": kubernetesJob,
  "log-lines": logLines,
  slugs
}

/** The prefixes of ids say the kind of a file that has another name. */
const kindOfPrefix: Readonly<Record<string, string>> = {
  k8s: "kubernetes-job",
  cfg: "job-configuration",
  blk: "infrastructure-block",
  pid: "infrastructure-pid",
  log: "log-lines",
  slug: "slugs",
  type: "block-types"
}

const kindOf = (path: string, content: JsonObject): string => {
  const name = basename(path, ".json")
  const named = Object.keys(adapters).find((kind) => name.startsWith(kind))
  if (named !== undefined) return named
  const first = objectOf(listOf(content["cases"] ?? content["blockTypes"])[0])["id"]
  return kindOfPrefix[String(first).split("-", 1)[0] ?? ""] ?? name
}

const readJson = (path: string): JsonObject => {
  const content: unknown = JSON.parse(readFileSync(path, "utf8"))
  return isObject(content) ? content : {}
}

/** What is no case counts as one all the same: it fails, and the others are judged. */
const asCase = (each: Json, index: number): VectorCase => {
  const { defect, expected, expectedAnyOf, family, id, input, output, title } = objectOf(each)
  return {
    id: textOf(id) ?? `case ${index + 1}`,
    title: textOf(title) ?? "",
    family: textOf(family) ?? "",
    input: objectOf(input),
    output: objectOf(output),
    ...(defect === undefined || defect === null ? {} : { defect: String(defect) }),
    ...(isObject(expected) ? { expected } : {}),
    ...(Array.isArray(expectedAnyOf) ? { expectedAnyOf: expectedAnyOf.map(objectOf) } : {})
  }
}

const outcomesOf = async (path: string, directory: string): Promise<ReadonlyArray<Outcome>> => {
  const broken = (text: string): ReadonlyArray<Outcome> => [
    { id: basename(path), title: path, failures: [text] }
  ]
  try {
    const content = readJson(path)
    const kind = kindOf(path, content)
    const adapter = adapters[kind]
    if (adapter === undefined) return broken(`no adapter for "${kind}"`)
    const file: VectorFile = {
      kind,
      path,
      content,
      cases: listOf(content["cases"]).map(asCase),
      sibling: (other) => siblingOf(directory, other)
    }
    return await adapter(file)
  } catch (cause) {
    return broken(cause instanceof Error ? cause.message : String(cause))
  }
}

const ownCopy = join(import.meta.dirname, "vectors")

/** A directory of a few more cases need not repeat the templates: the project's copy stands in. */
const siblingOf = (directory: string, kind: string): JsonObject | undefined => {
  const place = [directory, ownCopy].find((each) => readdirSync(each).includes(`${kind}.json`))
  return place === undefined ? undefined : readJson(join(place, `${kind}.json`))
}

const main = async (directory: string): Promise<number> => {
  const files = readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.name.endsWith(".json") && !entry.isDirectory())
    .map(({ name }) => name)
    .sort()
  if (files.length === 0) {
    console.error(`No vectors (*.json) in ${directory}`)
    return 1
  }
  const totals = { passed: 0, failed: 0 }
  for (const name of files) {
    const outcomes = await outcomesOf(join(directory, name), directory)
    const failed = outcomes.filter(({ failures }) => failures.length > 0)
    for (const { id, title, failures } of failed) {
      console.log(`FAILED ${id} ${title}`)
      for (const failure of failures) console.log(`  ${failure}`)
    }
    console.log(`${name}: ${outcomes.length - failed.length} passed, ${failed.length} failed`)
    totals.passed += outcomes.length - failed.length
    totals.failed += failed.length
  }
  console.log(`${totals.passed} passed, ${totals.failed} failed`)
  return totals.failed === 0 ? 0 : 1
}

try {
  process.exitCode = await main(process.argv[2] ?? ownCopy)
} catch (cause) {
  console.error(`Vectors cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
  process.exitCode = 1
}
