/**
 * The data of block documents, under the reference's field names, and what would make it useless.
 *
 * Invariant: a field that was not given is left out, so that each side's own default holds.
 */
import { completed } from "../cpln-job/manifest.ts"
import { prepareInfrastructure } from "../job/infrastructure-block.ts"
import { isRecord, type JsonRecord, recordOf } from "../job/json.ts"
import type { Problem } from "../job/problem.ts"
import { problemsAnywhere } from "../job/problems-anywhere.ts"
import { shellWords } from "../job/shell-words.ts"

/** What stands in for what the agent and the run bring later. */
const somewhere = { org: "org", gvc: "gvc", location: "location" }
const someone = { id: "00000000-0000-4000-8000-000000000000", name: "flow" }

/** Without what is undefined. */
export const given = (fields: JsonRecord): JsonRecord =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

/** As a server demands it. */
export const nameProblems = (name: string): ReadonlyArray<Problem> =>
  /^[a-z0-9-]+$/u.test(name)
    ? []
    : [
        {
          path: "NAME",
          rule: "a block's name has lower-case letters, digits and dashes only",
          remedy: "For example: cpln-infra."
        }
      ]

/** `KEY=VALUE` texts; what is malformed may be a secret that lost its name, and is not repeated. */
export const pairs = (
  flag: string,
  texts: ReadonlyArray<string>,
  problems: Array<Problem>
): Readonly<Record<string, string>> | undefined => {
  if (texts.length === 0) return undefined
  if (texts.some((text) => text.indexOf("=") < 1)) {
    problems.push({
      path: `--${flag}`,
      rule: "it takes KEY=VALUE, and one of those given has no KEY or no `=`",
      remedy: `For example: --${flag} STAGE=production.`
    })
  }
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf("=")
      return [text.slice(0, at), text.slice(at + 1)] as const
    })
  )
}

/** A command line as a list of words. */
export const words = (
  flag: string,
  line: string | undefined,
  problems: Array<Problem>
): ReadonlyArray<string> | undefined => {
  if (line === undefined) return undefined
  const split = shellWords(line)
  if ("words" in split) return split.words
  problems.push({ path: `--${flag}`, rule: split.problem, remedy: "Close the quotes of the command line." })
  return undefined
}

export const atLeast = (
  flag: string,
  value: number | undefined,
  least: number,
  problems: Array<Problem>
): number | undefined => {
  if (value !== undefined && value < least) {
    problems.push({ path: `--${flag}`, rule: `it takes seconds, ${least} or more`, remedy: "" })
  }
  return value
}

export interface Checked {
  /** Why nothing could be made of the block. */
  readonly problems: ReadonlyArray<Problem>
  /** Why its jobs would be refused as they stand; a run or a deployment may still change that. */
  readonly warnings: ReadonlyArray<Problem>
}

/** What the reference's class would refuse, and agents with it. */
export const checkInfrastructure = (data: JsonRecord): Checked => {
  const prepared = prepareInfrastructure({
    block: data,
    overrides: {},
    version: "2.20.25",
    run: someone,
    flow: someone,
    deployment: undefined,
    settings: {},
    injected: { ...somewhere, hasToken: true }
  })
  if (prepared._tag === "Refused") return { problems: prepared.problems, warnings: [] }
  const jobType = prepared.prepared.job_type ?? undefined
  return { problems: [], warnings: problemsAnywhere(prepared.job, { jobType, poolId: "pool" }) }
}

/** The job of a CplnJob block, as `agent job run` would run it. */
export const checkJob = (manifest: unknown): Checked => {
  const spec = recordOf(recordOf(recordOf(recordOf(manifest)["spec"])["template"])["spec"])
  const containers = spec["containers"]
  if (!Array.isArray(containers) || containers.length === 0) {
    const problem = {
      path: "spec.template.spec.containers",
      rule: "there is no container in the job manifest",
      remedy: "Give a complete Kubernetes Job."
    }
    return { problems: [problem], warnings: [] }
  }
  const whole = completed(recordOf(manifest))
  return { problems: [], warnings: problemsAnywhere(whole, { jobType: undefined, poolId: undefined }) }
}

/** A Kubernetes Job as a file holds it. */
export const manifestProblems = (path: string, content: unknown): ReadonlyArray<Problem> =>
  isRecord(content)
    ? []
    : [
        {
          path,
          rule: "it holds no mapping",
          remedy: "Give a file with one Kubernetes Job manifest, in YAML or JSON."
        }
      ]

/** JSON Patch operations as a file holds them. */
export const patchProblems = (path: string, content: unknown): ReadonlyArray<Problem> =>
  Array.isArray(content) && content.every(isRecord)
    ? []
    : [
        {
          path,
          rule: "it holds no list of JSON Patch operations",
          remedy: "For example: [{op: add, path: /spec/backoffLimit, value: 0}]"
        }
      ]
