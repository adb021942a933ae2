/**
 * A workload in one location, as the service reports it: ready or not, and the executions of its job.
 *
 * Invariant: versions are numbers, because clients compare them as such; finished executions beyond the job's history limit
 * are left out, live ones never.
 */
import { isFinal, type RunState } from "../jobs/run-state.ts"
import { at, type Json, type JsonObject, listOf, numberOf, object, objectOf, textOf } from "../json.ts"
import { kept } from "../json-text.ts"
import { gvcOf } from "../resources/gvc.ts"
import { iso } from "../resources/reader.ts"
import { type Command, executionOf, type Resource, type ServedContainer, type Store } from "../store.ts"
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

/** Each version is read many times; what it says depends on the workload's containers too. */
const views = new WeakMap<
  Command,
  { readonly version: number; readonly body: JsonObject; readonly view: JsonObject }
>()

const executionView = (resource: Resource, command: Command): JsonObject => {
  const found = views.get(command)
  if (found?.version === command.version && found.body === resource.body) return found.view
  const view = kept(execution(resource, command))
  views.set(command, { version: command.version, body: resource.body, view })
  return view
}

const execution = (resource: Resource, command: Command): JsonObject => {
  const { run } = command
  return object({
    name: executionOf(command),
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

interface Executions {
  readonly changes: number
  readonly body: JsonObject
  readonly list: ReadonlyArray<Json>
}

/** By location: a deployment of hundreds of runs is read again and again while none of them changes. */
const lists = new WeakMap<Resource, Map<string, Executions>>()

/** Finished ones first, then the live ones, each oldest first. */
const executions = (resource: Resource, location: string, store: Store["Service"]): ReadonlyArray<Json> => {
  const known = lists.get(resource) ?? new Map<string, Executions>()
  lists.set(resource, known)
  const { body, path } = resource
  const changes = store.changes(path)
  const found = known.get(location)
  if (found?.changes === changes && found.body === body) return found.list
  const limit = numberOf(at(body, ["spec", "job", "historyLimit"])) ?? defaultHistory
  const past = store.history(path).filter((command) => command.location === location)
  const live = [...store.liveRuns(path).values()].filter((command) => command.location === location)
  const list = kept([...past.slice(-limit), ...live].map((command) => executionView(resource, command)))
  known.set(location, { changes, body, list })
  return list
}

const restartsOf = (state: ServedContainer | undefined): JsonObject =>
  state === undefined || state.exitCode === undefined
    ? {}
    : object({
        exitCode: state.exitCode,
        reason: state.reason,
        count: state.restarts,
        lastRestartTime: state.endedAt === undefined ? undefined : iso(state.endedAt)
      })

/** A container over all replicas: the one that is in trouble speaks for it. */
const servedView = (container: JsonObject, state: LocationState): JsonObject => {
  const name = textOf(container["name"]) ?? ""
  const states = state.replicas
    ?.filter(({ isCurrent }) => isCurrent)
    .map(({ containers }) => containers[name])
  const ready = states?.filter((each) => each?.ready === true).length ?? state.wanted
  const speaker = states?.find((each) => each?.ready !== true) ?? states?.[0]
  return object({
    name,
    image: container["image"],
    ready: isReady(state) && ready >= state.wanted,
    message: speaker?.message ?? "",
    resources: { ...resources(container, state.wanted), replicasReady: ready },
    restarts: restartsOf(speaker)
  })
}

const versions = (resource: Resource, state: LocationState, store: Store["Service"]): ReadonlyArray<Json> => {
  return [
    {
      name: `${resource.name}-${resource.version}`,
      created: iso(resource.lastModified),
      workload: resource.version,
      gvc: gvcOf(resource, store)?.version ?? 1,
      ready: isReady(state),
      message: "",
      zone: "",
      containers: Object.fromEntries(
        containersOf(resource).map((container) => [
          textOf(container["name"]) ?? "",
          servedView(container, state)
        ])
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
