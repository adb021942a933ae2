/**
 * Adapter for `job-configuration.json`: template, variables and run to configuration, workload and command.
 *
 * Invariant: blocks and variables are handed over only when the code asks for them, as in the agent; and a template is
 * prepared for the earlier runs of a case first, with the same object.
 */
import { Result } from "effect"
import { type Configuration, configure, type ConfigurationSource } from "../../../src/job/configuration.ts"
import { convert, secretsToReveal } from "../../../src/job/convert.ts"
import { infrastructurePid } from "../../../src/job/infrastructure-pid.ts"
import { locationsOf, nameOfLink } from "../../../src/job/places.ts"
import { problemText } from "../../../src/job/problem.ts"
import { blockKeyText, type Known, nothingKnown } from "../../../src/job/references.ts"
import { type Actual, bindingCommand, bindingPolicy, bindingWorkload, judge } from "./compare.ts"
import {
  type Adapter,
  eachCase,
  isObject,
  type Json,
  type JsonObject,
  listOf,
  objectOf,
  textOf,
  type VectorFile
} from "./vector.ts"

const poolId = "0f3b6a52-97ea-4ffd-8d44-0cbf3d6e7b10"
const commandId = "11111111-2222-4333-8444-555555555555"

export const run: Adapter = eachCase((each, file) => {
  const template = templateOf(each.input["baseJobTemplate"], file)
  const version = textOf(file.content["prefectVersion"]) ?? "2.20.25"
  for (const earlier of listOf(each.input["earlierRuns"])) {
    configured(sourceOf({ ...each.input, ...objectOf(earlier) }, template, version), each.input)
  }
  const actual = actualOf(configured(sourceOf(each.input, template, version), each.input), each.input)
  const reference = textOf(objectOf(each.output["sharedWorkload"])["workloadName"])
  const ours =
    "refused" in actual ? undefined : textOf(objectOf(actual.output["sharedWorkload"])["workloadName"])
  const workloadName = reference === undefined || ours === undefined ? undefined : { reference, ours }
  return judge(each, actual, { binding, workloadName })
})

/** Outputs of one workload per run are the older worker's, for information. */
const binding = (output: JsonObject): Json => {
  const shared = objectOf(output["sharedWorkload"])
  return {
    configuration: output["configuration"] ?? null,
    specHash: shared["specHash"] ?? null,
    workload: bindingWorkload(shared["workload"]),
    policy: bindingPolicy(shared["policy"]),
    command: bindingCommand(shared["command"]),
    infrastructurePid: shared["infrastructurePid"] ?? null
  }
}

const templateOf = (named: Json | undefined, file: VectorFile): JsonObject =>
  isObject(named) ? named : objectOf(file.sibling("base-job-template")?.[String(named)])

const textsOf = (value: Json | undefined): Readonly<Record<string, string>> =>
  objectOf(value) as Readonly<Record<string, string>>

const injectedFrom = (environment: Readonly<Record<string, string>>) => ({
  org: nameOfLink(environment["CPLN_ORG"]),
  gvc: nameOfLink(environment["CPLN_GVC"]),
  location: nameOfLink(environment["CPLN_LOCATION"]),
  // The cases never name CPLN_TOKEN; it is the documented default credential.
  hasToken: true
})

const sourceOf = (input: JsonObject, template: JsonObject, version: string): ConfigurationSource => {
  const [deployment, flow, flowRun] = [
    input["deployment"],
    objectOf(input["flow"]),
    objectOf(input["flowRun"])
  ]
  const given = objectOf(deployment)
  return {
    template,
    version,
    run: {
      id: String(flowRun["id"]),
      name: String(flowRun["name"]),
      jobVariables: objectOf(flowRun["jobVariables"])
    },
    flow: { id: String(flow["id"]), name: String(flow["name"]) },
    deployment: isObject(deployment)
      ? {
          id: String(given["id"]),
          name: String(given["name"]),
          updated: textOf(given["updated"]),
          jobVariables: objectOf(given["jobVariables"])
        }
      : undefined,
    pool: undefined,
    workerName: undefined,
    settings: textsOf(input["workerSettings"]),
    environment: textsOf(input["workerEnvironment"]),
    injected: injectedFrom(textsOf(input["workerEnvironment"])),
    context: { flow, flow_run: flowRun }
  }
}

/** Gives what is asked for, until the code has all it needs. */
const configured = (source: ConfigurationSource, input: JsonObject) => {
  let known: Known = nothingKnown
  for (;;) {
    const step = configure(source, known)
    if (step._tag !== "Needs") return step
    const [blocks, variables] = [objectOf(input["blockDocuments"]), objectOf(input["variables"])]
    const read = step.blocks.map((key) => [blockKeyText(key), blocks[blockKeyText(key)]] as const)
    known = {
      blocks: new Map([
        ...known.blocks,
        ...read.map(([key, data]) => [key, isObject(data) ? data : undefined] as const)
      ]),
      variables: new Map([
        ...known.variables,
        ...step.variables.map(
          (name) => [name, Object.hasOwn(variables, name) ? { value: variables[name] } : undefined] as const
        )
      ])
    }
  }
}

const actualOf = (step: ReturnType<typeof configured>, input: JsonObject): Actual => {
  if (step._tag === "Refused") return { refused: problemText(step.problems) }
  const location = step.configuration.location ?? locationsOf(objectOf(input["gvc"])["object"])[0]
  if (location === undefined) return { refused: "no location" }
  const configuration = { ...step.configuration, location }
  const converted = sharedWorkload(configuration)
  return Result.isFailure(converted)
    ? { refused: problemText(converted.failure.map(step.explainManifest)) }
    : { output: { configuration: configuration as unknown as Json, sharedWorkload: converted.success } }
}

const sharedWorkload = (configuration: Configuration & { readonly location: string }) => {
  const { org, namespace: gvc, location, job_manifest } = configuration
  const secretKeys = new Map(secretsToReveal(job_manifest).map((name) => [name, []] as const))
  return Result.map(
    convert(job_manifest, { org, gvc, location, jobType: undefined, poolId, secretKeys }),
    (job): JsonObject => ({
      workloadName: job.name,
      specHash: job.specHash,
      workload: { kind: "workload", name: job.name, tags: { ...job.tags }, spec: job.spec as JsonObject },
      policy: (job.policy?.body ?? null) as Json,
      command: {
        type: "runCronWorkload",
        tags: { ...job.labels },
        spec: {
          location: job.location,
          containerOverrides: job.overrides as unknown as Json,
          ...(job.activeDeadlineSeconds === undefined
            ? {}
            : { activeDeadlineSeconds: job.activeDeadlineSeconds })
        }
      },
      infrastructurePid: infrastructurePid({ org, gvc, workload: job.name, commandId })
    })
  )
}
