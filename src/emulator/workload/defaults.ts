/**
 * A workload as the service reads it back: with everything filled in that was left out.
 *
 * Invariant: what was sent is never lost, and a client that compares what it reads with what it sent finds a difference.
 */
import { isObject, type Json, type JsonObject, listOf, objectOf, textOf } from "../json.ts"
import { defaultCpu, defaultMemory } from "./container-rules.ts"
import { typeOf } from "./rules.ts"

const container = (given: Json): Json => {
  if (!isObject(given)) return given
  const volumes = given["volumes"]
  return {
    cpu: defaultCpu,
    memory: defaultMemory,
    inheritEnv: false,
    ...given,
    ...(volumes === undefined
      ? {}
      : {
          volumes: listOf(volumes).map((each) =>
            isObject(each) && textOf(each["uri"])?.startsWith("cpln://volumeset/") === true
              ? { recoveryPolicy: "retain", ...each }
              : each
          )
        })
  }
}

const firewall = (given: JsonObject): JsonObject => ({
  external: {
    inboundAllowCIDR: [],
    inboundBlockedCIDR: [],
    outboundAllowCIDR: [],
    outboundAllowHostname: [],
    outboundAllowPort: [],
    outboundBlockedCIDR: [],
    ...objectOf(given["external"])
  },
  internal: { inboundAllowType: "none", inboundAllowWorkload: [], ...objectOf(given["internal"]) }
})

const scaling = (type: string): JsonObject => ({
  metric: type === "serverless" ? "concurrency" : "disabled",
  minScale: 1,
  maxScale: type === "serverless" ? 3 : 1,
  maxConcurrency: 0,
  scaleToZeroDelay: 300,
  target: 100
})

export const grace = 90

/** The body with the defaults filled in. */
export const withDefaults = (body: JsonObject): JsonObject => {
  const spec = objectOf(body["spec"])
  const type = typeOf(body)
  const options = objectOf(spec["defaultOptions"])
  return {
    ...body,
    spec: {
      type,
      supportDynamicTags: false,
      ...spec,
      containers: listOf(spec["containers"]).map(container),
      firewallConfig: firewall(objectOf(spec["firewallConfig"])),
      defaultOptions: {
        capacityAI: true,
        debug: false,
        suspend: false,
        timeoutSeconds: 5,
        ...options,
        ...(type === "cron" && options["autoscaling"] === undefined
          ? {}
          : { autoscaling: { ...scaling(type), ...objectOf(options["autoscaling"]) } })
      },
      rolloutOptions: { terminationGracePeriodSeconds: grace, ...objectOf(spec["rolloutOptions"]) },
      ...(type === "cron"
        ? {
            job: {
              concurrencyPolicy: "Forbid",
              historyLimit: 5,
              restartPolicy: "Never",
              ...objectOf(spec["job"])
            }
          }
        : {})
    }
  }
}
