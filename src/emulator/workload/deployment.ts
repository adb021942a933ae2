/**
 * A workload in one location, as the service reports it: ready or not, and the executions of its job.
 *
 * Invariant: versions are numbers, because clients compare them as such; finished executions beyond the job's history limit
 * are left out, live ones never.
 */
import { isFinal, type RunState } from "../jobs/run-state.ts"
import { at, type Json, type JsonObject, listOf, numberOf, object, objectOf, textOf } from "../json.ts"
import { gvcOf } from "../resources/gvc.ts"
import { iso } from "../resources/reader.ts"
import { type Command, type Resource, runType, type Store } from "../store.ts"
import { defaultCpu, defaultMemory } from "./container-rules.ts"
import { mebibytes, millicores } from "./quantity.ts"
import { isReady, type LocationState, locationStates } from "./readiness.ts"

const defaultHistory = 5

const containersOf = (resource: Resource): ReadonlyArray<JsonObject> =>
  listOf(at(resource.body, ["spec", "containers"])).map(objectOf)

const resources = (container: JsonObject, replicas: number): JsonObject => ({
  replicas,
  replicasReady: replicas,
  cpu: millicores(textOf(container["cpu"]) ?? defaultCpu) ?? 0,
  memory: mebibytes(textOf(container["memory"]) ?? defaultMemory) ?? 0
})

/** What was asked for in the run, over what the workload has. */
const overridden = (container: JsonObject, command: Command): JsonObject => {
  const overrides = listOf(command.spec["containerOverrides"]).map(objectOf)
  return { ...container, ...overrides.find((each) => each["name"] === container["name"]) }
}

const statusOf = ({ stage, startTime }: RunState): string => {
  switch (stage) {
    case "completed":
      return "successful"
    case "failed":
      return "failed"
    case "cancelled":
      return "removed"
    default:
      return startTime === undefined ? "pending" : "active"
  }
}

const conditions = ({ stage, completionTime, deadlinePassed, message }: RunState): ReadonlyArray<Json> => {
  if (!isFinal(stage)) return []
  const time = iso(completionTime ?? 0)
  return [
    object({
      type: stage === "completed" ? "Complete" : "Failed",
      status: "True",
      reason:
        stage === "completed"
          ? undefined
          : deadlinePassed === true
            ? "DeadlineExceeded"
            : "BackoffLimitExceeded",
      message,
      lastDetectionTime: time,
      lastTransitionTime: time
    })
  ]
}

const containerViews = (resource: Resource, command: Command): JsonObject =>
  Object.fromEntries(
    containersOf(resource).flatMap((own) => {
      const name = textOf(own["name"]) ?? ""
      const state = command.run.containers[name]
      if (state === undefined) return []
      const container = overridden(own, command)
      const restarts = object({
        exitCode: state.exitCode,
        reason: state.reason,
        count: state.restarts ?? 0,
        lastRestartTime: state.endedAt === undefined ? undefined : iso(state.endedAt)
      })
      const view = object({
        name,
        image: container["image"],
        ready: state.ready,
        message: state.message ?? "",
        resources: resources(container, state.ready ? 1 : 0),
        restarts
      })
      return [[name, view]]
    })
  )

export const executionView = (resource: Resource, command: Command): JsonObject => {
  const { run } = command
  return object({
    name: `command-${command.id}`,
    workloadVersion: command.workloadVersion,
    status: statusOf(run),
    startTime: run.startTime === undefined ? undefined : iso(run.startTime),
    completionTime: run.completionTime === undefined ? undefined : iso(run.completionTime),
    replica: run.replica,
    message: run.message ?? "",
    conditions: conditions(run),
    containers: containerViews(resource, command)
  })
}

/** Finished ones first, then the live ones, each oldest first. */
const executions = (resource: Resource, location: string, store: Store["Service"]): ReadonlyArray<Json> => {
  const limit = numberOf(at(resource.body, ["spec", "job", "historyLimit"])) ?? defaultHistory
  const past = store.history(resource.path).filter((command) => command.location === location)
  const live = [...store.liveCommands(resource.path).values()].filter(
    (command) => command.type === runType && command.location === location
  )
  return [...past.slice(-limit), ...live].map((command) => executionView(resource, command))
}

const versions = (resource: Resource, state: LocationState, store: Store["Service"]): ReadonlyArray<Json> => {
  const ready = isReady(state)
  return [
    {
      name: `${resource.name}-${resource.version}`,
      created: iso(resource.lastModified),
      workload: resource.version,
      gvc: gvcOf(resource, store)?.version ?? 1,
      ready,
      message: "",
      zone: "",
      containers: Object.fromEntries(
        containersOf(resource).map((container) => {
          const name = textOf(container["name"]) ?? ""
          const view = object({
            name,
            image: container["image"],
            ready,
            message: "",
            resources: resources(container, ready ? 1 : 0),
            restarts: {}
          })
          return [name, view]
        })
      )
    }
  ]
}

/** `remote` is where replicas are listed and terminals are. */
export const deploymentViews = (
  resource: Resource,
  store: Store["Service"],
  remote: string
): ReadonlyArray<JsonObject> =>
  locationStates(resource, store).map((state) => {
    const { location } = state
    const ready = isReady(state)
    return {
      kind: "deployment",
      name: location,
      lastModified: iso(resource.lastModified),
      links: [
        { rel: "self", href: `${resource.path}/deployment/${location}` },
        { rel: "workload", href: resource.path }
      ],
      status: {
        endpoint: `https://${resource.name}.invalid`,
        remote,
        ready,
        deploying: !ready,
        message: "",
        lastProcessedVersion: resource.version,
        expectedDeploymentVersion: resource.version,
        internal: {
          podStatus: {},
          podsValidZone: true,
          timestamp: iso(resource.lastModified),
          syncFailed: false
        },
        versions: versions(resource, state, store),
        jobExecutions: executions(resource, location, store)
      }
    }
  })
