/**
 * A CplnJob block, or a Kubernetes Job from a file, as a job that is run by itself: no flow run, no work pool.
 *
 * Invariant: pure. What the block leaves open comes from the environment, and everything that is missing is told at once.
 */
import { Result } from "effect"
import { Fields } from "../job/fields.ts"
import type { JsonRecord } from "../job/json.ts"
import { nameOfLink } from "../job/places.ts"
import type { Problem } from "../job/problem.ts"
import { tokenOf } from "../job/where.ts"
import { completed } from "./manifest.ts"

/** What Control Plane injects, or its user sets; plain names. */
export interface Surroundings {
  readonly org: string | undefined
  readonly gvc: string | undefined
  readonly location: string | undefined
  /** There is a credential beside that of the block. */
  readonly hasToken: boolean
}

/** A job to run, and where. */
export interface LoneJob {
  readonly org: string
  readonly gvc: string
  /** Undefined: the first of the GVC. */
  readonly location: string | undefined
  /** The block's own; undefined for that of the environment. */
  readonly token: string | undefined
  readonly manifest: JsonRecord
}

/** A job with what its block says of the way it is run; times in ms. */
export interface JobBlock extends LoneJob {
  readonly deleteAfterCompletion: boolean
  readonly interval: number
  readonly timeout: number | undefined
}

const usualInterval = 5

/** `data` is the document's, nested blocks inlined; it holds a token. */
export const readJobBlock = (
  data: JsonRecord,
  surroundings: Surroundings
): Result.Result<JobBlock, ReadonlyArray<Problem>> => {
  const fields = new Fields(data)
  const place = {
    org: nameOfLink(fields.text("org")) ?? surroundings.org,
    gvc: nameOfLink(fields.text("namespace")) ?? surroundings.gvc,
    location: nameOfLink(fields.text("location")) ?? surroundings.location
  }
  const token = tokenOf(fields.record("credentials"))
  const manifest = fields.record("v1_job")
  const deleteAfterCompletion = fields.required("delete_after_completion", (name) => fields.truth(name), true)
  const interval = atLeastOne(fields, "interval_seconds") ?? usualInterval
  const timeout = atLeastOne(fields, "timeout_seconds")
  const problems = [
    ...fields.problems,
    ...placeProblems(place, { org: "org of the block", gvc: "the GVC of the block" }),
    ...(token === undefined && !surroundings.hasToken
      ? [
          {
            path: "credentials",
            rule: "there is no credential for Control Plane",
            remedy: "Give the block a credentials block with a token, or set CPLN_TOKEN."
          }
        ]
      : [])
  ]
  return problems.length > 0
    ? Result.fail(problems)
    : Result.succeed({
        org: place.org ?? "",
        gvc: place.gvc ?? "",
        location: place.location,
        token,
        manifest: completed(manifest),
        deleteAfterCompletion,
        interval: interval * 1000,
        timeout: timeout === undefined ? undefined : timeout * 1000
      })
}

const atLeastOne = (fields: Fields, name: string): number | undefined => {
  const seconds = fields.integer(name)
  return seconds === undefined || seconds >= 1
    ? seconds
    : fields.problem(name, "it is less than one second", "Give seconds, 1 or more, or leave it out.")
}

/** `set` says what might be set beside the environment. */
export const placeProblems = (
  { org, gvc }: { readonly org: string | undefined; readonly gvc: string | undefined },
  set: { readonly org: string; readonly gvc: string }
): ReadonlyArray<Problem> => [
  ...(org === undefined
    ? [
        {
          path: "org",
          rule: "no Control Plane organization is named",
          remedy: `Set ${set.org}, or CPLN_ORG.`
        }
      ]
    : []),
  ...(gvc === undefined
    ? [
        {
          path: "namespace",
          rule: "no Control Plane GVC is named",
          remedy: `Set ${set.gvc}, or CPLN_GVC.`
        }
      ]
    : [])
]
