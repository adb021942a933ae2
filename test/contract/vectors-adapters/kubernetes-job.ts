/**
 * Adapter for `kubernetes-job.json`: manifest and options to workload, identity, policy, command and PID.
 *
 * Invariant: each case is converted twice, as the job of a flow run and as one that is none. Both have to fit; only a
 * restart policy binds for the second alone.
 */
import { Result } from "effect"
import { convert, type ConvertedJob, secretsToReveal } from "../../../src/job/convert.ts"
import { infrastructurePid } from "../../../src/job/infrastructure-pid.ts"
import { problemText } from "../../../src/job/problem.ts"
import {
  type Actual,
  at,
  bindingCommand,
  bindingIdentity,
  bindingPolicy,
  bindingTags,
  bindingWorkload,
  judge
} from "./compare.ts"
import {
  type Adapter,
  eachCase,
  type Json,
  type JsonObject,
  listOf,
  objectOf,
  textOf,
  type VectorCase
} from "./vector.ts"

const poolId = "0f3b6a52-97ea-4ffd-8d44-0cbf3d6e7b10"
const commandId = "11111111-2222-4333-8444-555555555555"

export const run: Adapter = eachCase((each) => {
  const asked = at(each.input, "/manifest/spec/template/spec/restartPolicy")
  const asFlowRun = asked === "OnFailure" ? [] : judgeAs(each, poolId)
  return [...judgeAs(each, undefined), ...asFlowRun.map((failure) => `as a flow run ${failure}`)]
})

const judgeAs = (each: VectorCase, pool: string | undefined): ReadonlyArray<string> => {
  const converted = convertInput(each.input, pool)
  if (Result.isFailure(converted)) {
    return judge(each, { refused: problemText(converted.failure) }, { binding })
  }
  const job = converted.success
  const reference = textOf(each.output["workloadName"])
  return judge(each, actual(each.input, job), {
    binding,
    workloadName: reference === undefined ? undefined : { reference, ours: job.name }
  })
}

const convertInput = (input: JsonObject, pool: string | undefined) => {
  const options = objectOf(input["options"])
  const secrets = objectOf(options["secrets"])
  const asked = new Set(secretsToReveal(input["manifest"]))
  const known = Object.entries(secrets).filter(([name]) => asked.has(name))
  return convert(input["manifest"], {
    org: textOf(options["org"]) ?? "",
    gvc: textOf(options["gvc"]) ?? textOf(options["namespace"]) ?? "",
    location: textOf(options["location"]) ?? "",
    jobType: textOf(options["jobType"]),
    poolId: pool,
    secretKeys: new Map(
      known
        .filter(([, secret]) => objectOf(secret)["type"] === "dictionary")
        .map(([name, secret]) => [name, Object.keys(objectOf(objectOf(secret)["data"]))])
    ),
    secretTypes: new Map(
      known
        .map(([name, secret]) => [name, textOf(objectOf(secret)["type"]) ?? "unknown"] as const)
        .filter(([, type]) => type !== "dictionary")
    )
  })
}

const actual = (input: JsonObject, job: ConvertedJob): Actual => {
  const options = objectOf(input["options"])
  const pid = {
    org: textOf(options["org"]) ?? "",
    gvc: textOf(options["gvc"]) ?? textOf(options["namespace"]) ?? "",
    workload: job.name,
    commandId
  }
  const found = listOf(options["queryItems"])[0]
  // A workload that exists under our name is used as it is, and nothing is written beside it.
  const written: JsonObject =
    found === undefined
      ? {
          tags: { ...job.tags },
          workload: { kind: "workload", name: job.name, tags: { ...job.tags }, spec: job.spec as JsonObject },
          identity: (job.identity?.body ?? null) as Json,
          policy: (job.policy?.body ?? null) as Json
        }
      : { tags: objectOf(found)["tags"] ?? {}, workload: null, identity: null, policy: null }
  return {
    output: {
      ...written,
      workloadName: job.name,
      specHash: job.specHash,
      warnings: job.warnings,
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
      infrastructurePid: infrastructurePid(pid)
    }
  }
}

const binding = (output: JsonObject): Json => ({
  workload: bindingWorkload(output["workload"]),
  specHash: output["specHash"] ?? null,
  tags: bindingTags(output["tags"]),
  command: bindingCommand(output["command"]),
  identity: bindingIdentity(output["identity"]),
  policy: bindingPolicy(output["policy"]),
  infrastructurePid: output["infrastructurePid"] ?? null
})
