/**
 * What stands beside the containers: restart policy, deadlines, user, identity.
 *
 * Invariant: the job of a flow run is never restarted by the platform: an engine that is started again on a finished run
 * runs the flow again.
 */
import { highestUserId, isResourceName, longestDeadline, reservedUserId } from "../limits.ts"
import { isUnset, mappingIn, member, type Node, pathOf, shown, textIn } from "./read.ts"

export type RestartPolicy = "Never" | "OnFailure"

export const convertRestartPolicy = (pod: Node, ofFlowRun: boolean): RestartPolicy => {
  const asked = textIn(pod, "restartPolicy") ?? ""
  const path = pathOf(pod, "restartPolicy")
  if (asked === "" || asked === "Never") return "Never"
  if (asked !== "OnFailure") {
    pod.report.refuse(path, `${shown(asked)} is not known for jobs.`, "Use Never or OnFailure.")
    return "Never"
  }
  if (!ofFlowRun) return "OnFailure"
  pod.report.warn(
    path,
    "OnFailure becomes Never: started again, the engine could run a finished flow a second time. Let Prefect retry."
  )
  return "Never"
}

/**
 * Seconds of `activeDeadlineSeconds` in the Job's spec or the pod's. 0 is taken for none, as the reference does;
 * undefined without one.
 */
export const deadlineIn = (node: Node): number | undefined => {
  const value = member(node.value, "activeDeadlineSeconds")
  const path = pathOf(node, "activeDeadlineSeconds")
  if (value === undefined || value === null) return undefined
  if (value === 0) {
    node.report.warn(path, "0 is taken for no deadline.")
    return undefined
  }
  if (typeof value === "number" && Number.isInteger(value) && value > 0 && value <= longestDeadline) {
    return value
  }
  node.report.refuse(
    path,
    `${shown(value)} is not a whole number of seconds from 1 to ${longestDeadline}.`,
    "Give such a number, or leave it out; job_watch_timeout_seconds may be longer."
  )
  return undefined
}

export interface SecurityOptions {
  readonly runAsUser?: number
  readonly filesystemGroupId?: number
}

/** Of the pod; undefined when it asks for nothing that the platform has. */
export const convertSecurity = (pod: Node): SecurityOptions | undefined => {
  const context = mappingIn(pod, "securityContext")
  if (context === undefined) return undefined
  for (const key of Object.keys(context.value)) {
    if (key !== "runAsUser" && key !== "fsGroup" && !isUnset(context.value[key])) {
      context.report.ignore(
        pathOf(context, key),
        "securityOptions of the platform has the user and the file system group of the whole workload only"
      )
    }
  }
  const runAsUser = userId(context, "runAsUser")
  const filesystemGroupId = userId(context, "fsGroup")
  if (runAsUser === undefined && filesystemGroupId === undefined) return undefined
  return {
    ...(runAsUser === undefined ? {} : { runAsUser }),
    ...(filesystemGroupId === undefined ? {} : { filesystemGroupId })
  }
}

const userId = (context: Node, key: "runAsUser" | "fsGroup"): number | undefined => {
  const value = member(context.value, key)
  if (value === undefined || value === null) return undefined
  const valid =
    typeof value === "number" &&
    Number.isInteger(value) &&
    value >= 1 &&
    value <= highestUserId &&
    value !== reservedUserId
  if (valid) return value
  context.report.refuse(
    pathOf(context, key),
    `${shown(value)} is not a whole number from 1 to ${highestUserId} other than ${reservedUserId}.`,
    "Leave it out to use the image's own user, root included."
  )
  return undefined
}

/** The link of the service account's identity; undefined without one. `identity` is its name. */
export const serviceAccount = (
  pod: Node,
  { org, gvc }: { readonly org: string; readonly gvc: string }
): string | undefined => {
  const key = isUnset(member(pod.value, "serviceAccountName")) ? "serviceAccount" : "serviceAccountName"
  const given = textIn(pod, key) ?? ""
  if (given === "") return undefined
  const full = `/org/${org}/gvc/${gvc}/identity/`
  const prefix = [full, `//gvc/${gvc}/identity/`, "//identity/"].find((each) => given.startsWith(each)) ?? ""
  const name = given.slice(prefix.length)
  if (!isResourceName(name)) {
    pod.report.refuse(
      pathOf(pod, key),
      `${shown(given)} is no identity of GVC ${gvc}.`,
      `Give the name of an identity of that GVC, or its link ${full}NAME.`
    )
  }
  return `${full}${name}`
}

/** Work that would never happen is refused, not left out. */
export const refuseExtraContainers = (pod: Node): void => {
  if (!isUnset(member(pod.value, "initContainers"))) {
    pod.report.refuse(
      pathOf(pod, "initContainers"),
      "the platform has no initContainers: their work would never happen.",
      "Do it at the start of the job's own command, or in the image."
    )
  }
  if (!isUnset(member(pod.value, "ephemeralContainers"))) {
    pod.report.refuse(pathOf(pod, "ephemeralContainers"), "the platform has none.", "Leave them out.")
  }
}
