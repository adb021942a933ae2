/**
 * The Kubernetes Job manifest of a flow run: what it must hold, and what is filled in where it says nothing.
 *
 * Invariant: the first container is the one that runs the flow, once: a manifest that would run it elsewhere, more than
 * once or again is refused.
 */
import { type Environment, envList, namesIn } from "./environment.ts"
import { isRecord, type JsonRecord, recordOf, valueAt } from "./json.ts"
import { type Labels, manifestLabels } from "./labels.ts"
import { placeholdersIn } from "./placeholders.ts"
import type { Problem } from "./problem.ts"
import { pythonRepr } from "./python-text.ts"
import type { Semantics } from "./semantics.ts"
import { shellWords } from "./shell-words.ts"
import { nameSlug } from "./slug.ts"

/** The name where a flow run's own has nothing that a name may hold. */
const fallbackName = "prefect-job"

/** What every manifest must hold, at these values; `env` is asked for by infrastructure blocks only. */
export const skeleton = (container: JsonRecord = {}): JsonRecord => ({
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: { labels: {} },
  spec: {
    template: {
      spec: {
        parallelism: 1,
        completions: 1,
        restartPolicy: "Never",
        containers: [{ name: "prefect-job", ...container }]
      }
    }
  }
})

/** What of the skeleton a manifest lacks, and where it says otherwise; pointers are RFC 6901. */
export const skeletonProblems = (
  manifest: unknown,
  path: string,
  required: JsonRecord = skeleton()
): ReadonlyArray<Problem> => {
  const lacking: Array<string> = []
  const otherwise: Array<string> = []
  const compare = (value: unknown, wanted: unknown, at: string): void => {
    if (isRecord(wanted) && isRecord(value)) {
      for (const [key, each] of Object.entries(wanted)) {
        if (Object.hasOwn(value, key)) compare(value[key], each, `${at}/${key}`)
        else lacking.push(`${at}/${key}`)
      }
    } else if (Array.isArray(wanted) && Array.isArray(value)) {
      wanted.forEach((each, index) => {
        if (index < value.length) compare(value[index], each, `${at}/${index}`)
        else lacking.push(`${at}/${index}`)
      })
    } else if (value !== wanted) otherwise.push(`${at} must have value ${pythonRepr(wanted)}`)
  }
  compare(manifest, required, "")
  return [
    ...(lacking.length === 0
      ? []
      : [
          {
            path,
            rule: `Job is missing required attributes at the following paths: ${lacking.sort().join(", ")}`,
            remedy: "Add them to the job manifest."
          }
        ]),
    ...(otherwise.length === 0
      ? []
      : [
          {
            path,
            rule: `Job has incompatible values for the following attributes: ${otherwise.sort().join(", ")}`,
            remedy: "A flow run is one job with one pod that is never restarted."
          }
        ])
  ]
}

export interface Filling {
  readonly labels: Labels
  readonly environment: Environment
  readonly name: string
  readonly command: string
  readonly image: string
  readonly semantics: Semantics
}

/** `metadata` and its labels and namespace may be left out of a manifest; they are there afterwards. */
export const withMetadata = (manifest: JsonRecord, namespace: string | undefined): JsonRecord => {
  const metadata = manifest["metadata"] ?? {}
  if (!isRecord(metadata)) return manifest
  return {
    ...manifest,
    metadata: {
      ...metadata,
      labels: Object.hasOwn(metadata, "labels") ? metadata["labels"] : {},
      ...(namespace === undefined ? {} : { namespace: metadata["namespace"] ?? namespace })
    }
  }
}

/** Puts environment, labels, image, args and a generated name in; what the manifest says of image and args stays. */
export const fillManifest = (
  manifest: JsonRecord,
  filling: Filling,
  path: string,
  problems: Array<Problem>
): JsonRecord => {
  const metadata = recordOf(manifest["metadata"])
  const spec = recordOf(manifest["spec"])
  const template = recordOf(spec["template"])
  const pod = recordOf(template["spec"])
  const [first, ...others] = Array.isArray(pod["containers"])
    ? (pod["containers"] as ReadonlyArray<unknown>)
    : []
  const container = fillContainer(
    recordOf(first),
    filling,
    `${path}.spec.template.spec.containers[0]`,
    problems
  )
  return {
    ...manifest,
    metadata: {
      ...metadata,
      labels: manifestLabels(metadata["labels"], filling.labels),
      generateName: generateName(metadata["generateName"], filling.name)
    },
    spec: {
      ...spec,
      template: { ...template, spec: { ...pod, containers: [container, ...others] } }
    }
  }
}

const fillContainer = (
  container: JsonRecord,
  { environment, image, command, semantics }: Filling,
  path: string,
  problems: Array<Problem>
): JsonRecord => {
  const own = valueAt(container, "env")
  const ours = envList(environment)
  const given = new Set(Object.keys(environment))
  const kept = (Array.isArray(own) ? (own as ReadonlyArray<unknown>) : []).filter(
    (each) => !semantics.dropsRepeatedEnv || [...namesIn([each])].every((name) => !given.has(name))
  )
  return {
    ...container,
    env: [...ours, ...kept],
    image: container["image"] || image,
    args: argumentsOf(container["args"], command, `${path}.args`, problems)
  }
}

const argumentsOf = (
  given: unknown,
  command: string,
  path: string,
  problems: Array<Problem>
): ReadonlyArray<unknown> => {
  if (Array.isArray(given)) return given as ReadonlyArray<unknown>
  if (given !== undefined && given !== null && typeof given !== "string") {
    problems.push({
      path,
      rule: "Invalid job manifest template: 'command' must be a string or list.",
      remedy: 'Write "{{ command }}", a command line, or a list of words.'
    })
    return []
  }
  // A blank command is as good as none: the field's own description says that it is generated then.
  const split = shellWords(given === undefined || given === null || given.trim() === "" ? command : given)
  if ("words" in split) return split.words
  problems.push({ path, rule: split.problem, remedy: "Close the quotes of the command line." })
  return []
}

/** The template's `{{ name }}-` comes to "-" or "None-" where no name is configured. */
const generateName = (given: unknown, name: string): unknown => {
  const isOpen =
    !given ||
    given === "-" ||
    given === "None-" ||
    (typeof given === "string" && placeholdersIn(given).length > 0)
  return isOpen ? generatedName(name) : given
}

/** The slug of a name, else "prefect-job". */
export const generatedName = (name: string): string => nameSlug(name) ?? fallbackName
