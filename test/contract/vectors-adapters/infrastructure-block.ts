/** Adapter for `infrastructure-block.json`: block, overrides and run to the prepared block, job, workload and command. */
import { Result } from "effect"
import { convert, secretsToReveal } from "../../../src/job/convert.ts"
import { prepareInfrastructure } from "../../../src/job/infrastructure-block.ts"
import { infrastructurePid } from "../../../src/job/infrastructure-pid.ts"
import { nameOfLink } from "../../../src/job/places.ts"
import { problemText } from "../../../src/job/problem.ts"
import { type Actual, bindingCommand, bindingPolicy, bindingWorkload, judge } from "./compare.ts"
import { type Adapter, eachCase, isObject, type Json, type JsonObject, objectOf, textOf } from "./vector.ts"

const poolId = "0f3b6a52-97ea-4ffd-8d44-0cbf3d6e7b10"
const commandId = "11111111-2222-4333-8444-555555555555"

export const run: Adapter = eachCase((each, file) => {
  const actual = actualOf(each.input, textOf(file.content["prefectVersion"]) ?? "2.20.25")
  const reference = textOf(each.output["workloadName"])
  const ours = "refused" in actual ? undefined : textOf(actual.output["workloadName"])
  const workloadName = reference === undefined || ours === undefined ? undefined : { reference, ours }
  return judge(each, actual, { binding, workloadName })
})

const binding = (output: JsonObject): Json => ({
  prepared: output["prepared"] ?? null,
  job: output["job"] ?? null,
  specHash: output["specHash"] ?? null,
  workload: bindingWorkload(output["workload"]),
  policy: bindingPolicy(output["policy"]),
  command: bindingCommand(output["command"]),
  infrastructurePid: output["infrastructurePid"] ?? null
})

const textsOf = (value: Json | undefined): Readonly<Record<string, string>> =>
  objectOf(value) as Readonly<Record<string, string>>

const actualOf = (input: JsonObject, version: string): Actual => {
  const [run, flow, deployment] = [
    objectOf(input["flowRun"]),
    objectOf(input["flow"]),
    objectOf(input["deployment"])
  ]
  const environment = textsOf(input["agentEnvironment"])
  const prepared = prepareInfrastructure({
    block: objectOf(input["block"]),
    overrides: objectOf(deployment["overrides"]),
    version,
    run: { id: String(run["id"]), name: String(run["name"]) },
    flow: { id: String(flow["id"]), name: String(flow["name"]) },
    deployment: isObject(input["deployment"])
      ? {
          id: String(deployment["id"]),
          name: String(deployment["name"]),
          updated: textOf(deployment["updated"])
        }
      : undefined,
    settings: textsOf(input["agentSettings"]),
    injected: {
      org: nameOfLink(environment["CPLN_ORG"]),
      gvc: nameOfLink(environment["CPLN_GVC"]),
      location: nameOfLink(environment["CPLN_LOCATION"]),
      // The cases never name CPLN_TOKEN; it is the documented default credential.
      hasToken: true
    }
  })
  if (prepared._tag === "Refused") return { refused: problemText(prepared.problems) }
  const { org, namespace: gvc, location, job_type } = prepared.prepared
  const converted = convert(prepared.job, {
    org,
    gvc,
    location,
    jobType: job_type ?? undefined,
    poolId,
    secretKeys: new Map(secretsToReveal(prepared.job).map((name) => [name, []] as const))
  })
  if (Result.isFailure(converted)) return { refused: problemText(converted.failure) }
  const job = converted.success
  return {
    output: {
      prepared: prepared.prepared as unknown as Json,
      job: prepared.job as JsonObject,
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
    }
  }
}
