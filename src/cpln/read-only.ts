/**
 * Control Plane for a program that only looks: reads pass, and of a write is told what it would have been.
 *
 * Invariant: every method stands here by name, so that a new one is a write until somebody says otherwise; no write ever
 * reaches the service.
 */
import { Context, Duration, Effect, Layer, LayerMap } from "effect"
import { Refused } from "../http/errors.ts"
import type { Foreteller } from "../observe/foresight.ts"
import type { Area } from "../observe/say.ts"
import { Commands } from "./commands.ts"
import { type Access, ControlPlane } from "./control-plane.ts"
import { Logs } from "./logs.ts"
import type { WorkloadRef } from "./schemas.ts"
import { type Body, Secrets } from "./secrets.ts"
import { Workloads } from "./workloads.ts"

/** Tells what it would have been, and fails as a service does that does not let it. */
const instead =
  ({ tell }: Foreteller) =>
  (area: Area, about: { readonly gvc?: string; readonly workload?: string }, words: string) =>
    Effect.andThen(
      tell(`${about.gvc}/${about.workload} ${words}`, area, about, `Would ${words}.`),
      new Refused({
        service: "Control Plane",
        request: words,
        status: 403,
        detail: "nothing is written in observe mode"
      })
    )

const of = ({ gvc, name }: WorkloadRef) => ({ gvc, workload: name })
const nameIn = (body: Body) => String(body["name"])

export const readOnlyCommands = (
  commands: Commands["Service"],
  foreteller: Foreteller
): Commands["Service"] => {
  const would = instead(foreteller)
  return {
    get: commands.get,
    find: commands.find,
    latest: commands.latest,
    start: (workload) => would("Job", of(workload), "start a job"),
    stopReplica: (workload, { replica }) => would("Kill", of(workload), `send stopReplica for ${replica}`)
  }
}

export const readOnlyWorkloads = (
  workloads: Workloads["Service"],
  foreteller: Foreteller
): Workloads["Service"] => {
  const would = instead(foreteller)
  return {
    readOrg: workloads.readOrg,
    readGvc: workloads.readGvc,
    readLocation: workloads.readLocation,
    read: workloads.read,
    find: workloads.find,
    deployments: workloads.deployments,
    create: (workload) => would("Workload", of(workload), "create the workload"),
    replace: (workload) => would("Workload", of(workload), "put the workload right"),
    tag: (workload) => would("Workload", of(workload), "tag the workload"),
    remove: (workload) => would("Cleanup", of(workload), "delete the workload"),
    removeOnce: (workload) => would("Cleanup", of(workload), "delete the workload")
  }
}

export const readOnlySecrets = (secrets: Secrets["Service"], foreteller: Foreteller): Secrets["Service"] => {
  const would = instead(foreteller)
  return {
    look: secrets.look,
    shape: secrets.shape,
    readIdentity: secrets.readIdentity,
    identities: secrets.identities,
    readPolicy: secrets.readPolicy,
    policies: secrets.policies,
    createIdentity: (gvc, body) => would("Workload", { gvc }, `create identity ${nameIn(body)}`),
    removeIdentity: (gvc, name) => would("Cleanup", { gvc }, `delete identity ${name}`),
    createPolicy: (body) => would("Workload", {}, `create policy ${nameIn(body)}`),
    replacePolicy: ({ name }) => would("Workload", {}, `put policy ${name} right`),
    removePolicy: (name) => would("Cleanup", {}, `delete policy ${name}`)
  }
}

/** Nothing of the logs is ever written. */
const readOnly = (
  clients: Context.Context<Commands | Workloads | Secrets | Logs>,
  foreteller: Foreteller
): Context.Context<Commands | Workloads | Secrets | Logs> =>
  Context.make(Commands, readOnlyCommands(Context.get(clients, Commands), foreteller)).pipe(
    Context.add(Workloads, readOnlyWorkloads(Context.get(clients, Workloads), foreteller)),
    Context.add(Secrets, readOnlySecrets(Context.get(clients, Secrets), foreteller)),
    Context.add(Logs, Context.get(clients, Logs))
  )

/** The same clients, of which none writes. */
export const readOnlyControlPlane = (
  foreteller: Foreteller
): Layer.Layer<ControlPlane, never, ControlPlane> =>
  Layer.effect(
    ControlPlane,
    Effect.gen(function* () {
      const base = yield* ControlPlane
      return yield* LayerMap.make(
        (access: Access) =>
          Layer.effectContext(
            Effect.map(Effect.context<Commands | Workloads | Secrets | Logs>(), (clients) =>
              readOnly(clients, foreteller)
            )
          ).pipe(Layer.provide(base.get(access))),
        { idleTimeToLive: Duration.minutes(10) }
      )
    })
  ) as never
