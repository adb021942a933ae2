/**
 * Adapter for `infrastructure-pid.json`: building and parsing PIDs, whose job one is, and which replica a stop names.
 *
 * Invariant: of requests only the stop that is sent counts; the agent deletes no workload to stop a job, so of a delete
 * only whether it is refused is judged.
 */
import {
  flowRunTags,
  infrastructurePid,
  outOfScope,
  parseInfrastructurePid
} from "../../../src/job/infrastructure-pid.ts"
import { type ListedDeployment, stopTarget } from "../../../src/job/stop-target.ts"
import { type Actual, judge } from "./compare.ts"
import {
  eachCase,
  isObject,
  type Json,
  type JsonObject,
  listOf,
  objectOf,
  textOf,
  type VectorCase
} from "./vector.ts"

export const run = eachCase((each) => {
  switch (each.family) {
    case "build":
      return judge(each, build(each.input), { binding: ({ agent }) => agent ?? null })
    case "parse":
      return judgeParse(each)
    case "scope":
      return judge(each, scope(each.input), { binding: ({ agent }) => isObject(objectOf(agent)["error"]) })
    case "stop":
      return judge(each, stop(each.input), { binding: bindingStop, messages: false })
    default:
      return [`no adapter for the family "${each.family}"`]
  }
})

/** The reference puts Python's text of a missing part into the PID. */
const part = (value: Json | undefined): string => textOf(value) ?? "None"

const build = (input: JsonObject): Actual => ({
  output: {
    agent: infrastructurePid({
      org: part(input["org"]),
      gvc: part(input["gvc"]),
      workload: part(input["workload"]),
      commandId: part(input["commandId"])
    })
  }
})

const parse = (input: JsonObject): Actual => {
  const pid = parseInfrastructurePid(textOf(input["pid"]))
  return pid === undefined
    ? { refused: "not a PID of this agent" }
    : { output: { agent: { ...pid }, flowRunTags: flowRunTags(pid), acceptedBySync: true } }
}

/** The reference's output holds the error of a PID that is not understood beside its (missing) tags. */
const judgeParse = (each: VectorCase): ReadonlyArray<string> => {
  const actual = parse(each.input)
  if (each.defect !== undefined || !("refused" in actual))
    return judge(each, actual, { binding: bindingParse })
  const output = { agent: { error: {} }, flowRunTags: [], acceptedBySync: false }
  return judge(each, { output }, { binding: bindingParse })
}

const bindingParse = (output: JsonObject): Json => ({
  agent: isObject(objectOf(output["agent"])["error"]) ? "error" : (output["agent"] ?? null),
  flowRunTags: output["flowRunTags"] ?? null,
  acceptedBySync: output["acceptedBySync"] ?? null
})

const scope = (input: JsonObject): Actual => {
  const pid = parseInfrastructurePid(textOf(input["pid"]))
  const place = { org: textOf(input["org"]) ?? "", gvc: textOf(input["gvc"]) ?? "" }
  const message = pid === undefined ? "not a PID of this agent" : outOfScope(pid, place)
  return { output: { agent: message === undefined ? {} : { error: { message } } } }
}

const stop = (input: JsonObject): Actual => {
  const gone = objectOf(input["deploymentAnswer"])["status"] === 404
  const deployments = listOf(input["deployments"]) as unknown as ReadonlyArray<ListedDeployment>
  const target = stopTarget(textOf(input["commandId"]) ?? "", gone ? undefined : deployments)
  const path = `${textOf(input["workload"]) ?? ""}`
  const sent: ReadonlyArray<JsonObject> =
    target._tag === "Replica"
      ? [
          {
            method: "POST",
            path: `${path}/-command`,
            body: { type: "stopReplica", spec: { replica: target.replica, location: target.location } }
          }
        ]
      : []
  return {
    output: {
      reportedAsStopped: target._tag !== "NoReplicaYet",
      requests: [{ method: "GET", path: `${path}/deployment` }, ...sent]
    }
  }
}

const bindingStop = (output: JsonObject): Json => ({
  reportedAsStopped: output["reportedAsStopped"] ?? null,
  stops: listOf(output["requests"]).filter((request) => objectOf(request)["method"] === "POST")
})
