/**
 * The modelled Control Plane as an agent's clients show it: with latency, faults, the service's clock, and a doubt after
 * a start whose answer was lost.
 */
import { Context, Effect, Layer, LayerMap, Redacted, Stream } from "effect"
import { Commands, StartInDoubt } from "../../../src/cpln/commands.ts"
import { type Access, ControlPlane } from "../../../src/cpln/control-plane.ts"
import { Logs } from "../../../src/cpln/logs.ts"
import type { WorkloadRef } from "../../../src/cpln/schemas.ts"
import { type Policy, Secrets } from "../../../src/cpln/secrets.ts"
import { Workloads } from "../../../src/cpln/workloads.ts"
import { type ApiError, Conflict, NotFound, Refused, Unauthorised } from "../../../src/http/errors.ts"
import { type Line, type Moment, served } from "./faults.ts"
import type { StoredObject, StoredWorkload } from "./platform-objects.ts"
import type { World } from "./world.ts"

/** Of one try of the real client, and of a start, in ms. */
const timeout = 30_000
const startTimeout = 15_000

export const controlPlaneFor = (world: World, line: Line): Layer.Layer<ControlPlane> =>
  Layer.effect(
    ControlPlane,
    LayerMap.make((access: Access) => clientsOf(world, line, access))
  ) as never

const clientsOf = (world: World, line: Line, access: Access) => {
  const { faults, platform: model } = world
  const { by } = line

  const call = <A>(
    name: string,
    subject: string,
    commit: (moment: Moment) => A | undefined,
    within: number = timeout
  ) =>
    served(faults, line, { service: "Control Plane", name, by, subject }, within, (moment) =>
      Effect.suspend((): Effect.Effect<A, ApiError> => {
        const request = `${name} ${subject}`
        if (world.refusedTokens.has(Redacted.value(access.token))) {
          return Effect.fail(new Unauthorised({ service: "Control Plane", request, detail: "not accepted" }))
        }
        const value = commit(moment)
        return value === undefined
          ? Effect.fail(new NotFound({ service: "Control Plane", request, detail: "not found" }))
          : Effect.succeed(value)
      })
    )

  /** A write that another was faster with. */
  const unlessTaken = (request: string) => (done: Effect.Effect<{ readonly made: boolean }, ApiError>) =>
    Effect.flatMap(done, ({ made }) =>
      made
        ? Effect.void
        : Effect.fail(new Conflict({ service: "Control Plane", request, detail: "it exists" }))
    )

  /** A workload may only link an identity that is there. */
  const linksNothing = (spec: Readonly<Record<string, unknown>>): boolean =>
    spec["identityLink"] !== undefined && !model.identities.has(String(spec["identityLink"]))
  const unlessUnlinked = (spec: Readonly<Record<string, unknown>>, made: Effect.Effect<void, ApiError>) =>
    Effect.suspend(() =>
      linksNothing(spec)
        ? Effect.fail(
            new Refused({
              service: "Control Plane",
              request: "write workload",
              status: 400,
              detail: `"spec.identityLink" is not an identity of this GVC`
            })
          )
        : made
    )

  const dated = (now: number) => Math.floor((now + world.skew.platform) / 1000) * 1000
  const seen = <A>(name: string, ref: WorkloadRef, commit: (moment: Moment) => A | undefined) =>
    call(name, ref.name, (moment) => {
      const value = commit(moment)
      return value === undefined ? undefined : { value, at: dated(moment.now) }
    })

  const commands = Commands.of({
    start: (ref, what) =>
      call("start", ref.name, ({ now, sent }) => model.start(now, by, ref, what, sent), startTimeout).pipe(
        // The id stands in a header: a success without it says as little as no answer.
        Effect.mapError((error) =>
          error._tag === "Undecodable" || (error._tag === "Unavailable" && error.mayHaveHappened)
            ? new StartInDoubt({ workload: ref, detail: error.detail })
            : error
        )
      ),
    get: (ref, id) =>
      seen("get", ref, ({ asOf }) => (model.workloads.has(ref.path) ? model.command(id, asOf) : undefined)),
    find: (ref, terms) => seen("find", ref, ({ asOf }) => model.find(asOf, ref, terms)),
    latest: (ref) => seen("latest", ref, ({ asOf }) => model.latest(asOf, ref)),
    stopReplica: (ref, what) =>
      call("stopReplica", ref.name, ({ now }) => model.stop(now, by, ref, what)).pipe(
        Effect.map((answer) => (answer === "asked" ? ("asked" as const) : ("already" as const))),
        // What the client makes of answers: the body of a success is not read.
        Effect.catchTag("Undecodable", () => Effect.succeed("asked" as const)),
        Effect.catchTag(["NotFound", "Conflict"], () => Effect.succeed("already" as const))
      )
  })

  const iso = (ms: number) => new Date(ms).toISOString()
  const shown = ({ ref, version, tags, spec, madeAt, changedAt }: StoredWorkload) => ({
    name: ref.name,
    version,
    tags,
    spec,
    created: iso(madeAt),
    lastModified: iso(changedAt)
  })

  const workloads = Workloads.of({
    readOrg: Effect.asVoid(call("readOrg", access.org, () => true)),
    readGvc: (gvc) =>
      call("readGvc", gvc, () => {
        const locations = model.gvcs.get(`${access.org}/${gvc}`)
        return locations === undefined
          ? undefined
          : {
              name: gvc,
              spec: {
                staticPlacement: {
                  locationLinks: locations.map((each) => `/org/${access.org}/location/${each}`)
                }
              }
            }
      }),
    readLocation: (name) => Effect.asVoid(call("readLocation", name, () => true)),
    read: (ref) =>
      call("readWorkload", ref.name, () => {
        const stored = model.workloads.get(ref.path)
        return stored === undefined ? undefined : shown(stored)
      }),
    create: (ref, body) =>
      unlessUnlinked(
        body.spec,
        call("createWorkload", ref.name, ({ now }) => ({
          made: model.makeWorkload(now, by, ref, body)
        })).pipe(unlessTaken("create workload"))
      ),
    replace: (ref, read, body) =>
      unlessUnlinked(
        body.spec,
        call("replaceWorkload", ref.name, ({ now }) => ({
          made: model.replaceWorkload(now, by, ref, read.version ?? undefined, body)
        })).pipe(unlessTaken("replace workload"))
      ),
    tag: (ref, read, tags) =>
      call("tagWorkload", ref.name, ({ now }) => {
        const made = model.tagWorkload(now, by, ref, read.version ?? undefined, tags)
        return made === undefined ? undefined : { made }
      }).pipe(unlessTaken("tag workload")),
    removeOnce: (ref) =>
      Effect.asVoid(
        call("removeWorkload", ref.name, ({ now }) => {
          model.deleteWorkload(now, by, ref.path)
          return true
        })
      ),
    remove: (ref) =>
      Effect.asVoid(
        call("removeWorkload", ref.name, ({ now }) => {
          model.deleteWorkload(now, by, ref.path)
          return true
        })
      ),
    find: (gvc, terms) =>
      call("findWorkloads", gvc, () =>
        [...model.workloads.values()]
          .filter(
            ({ ref, tags }) =>
              ref.gvc === gvc &&
              terms.every((term) => term.tag === undefined || tags[term.tag] === term.value)
          )
          .map(shown)
      ),
    deployments: (ref) => seen("deployments", ref, ({ asOf }) => model.deployments(asOf, ref))
  })

  const policyOf = (key: string) => {
    const stored = model.policies.get(key)
    return stored === undefined
      ? undefined
      : ({ ...stored.body, version: stored.version } as unknown as Policy)
  }
  const secretOf = (name: string) => model.secrets.get(`${access.org}/${name}`)
  const identityPath = (gvc: string, name: string) => `/org/${access.org}/gvc/${gvc}/identity/${name}`
  const identityOf = ({ body, madeAt }: StoredObject) => ({
    name: String(body["name"]),
    tags: (body["tags"] ?? {}) as Readonly<Record<string, unknown>>,
    created: iso(madeAt ?? 0)
  })
  const secrets = Secrets.of({
    look: (name) => Effect.asVoid(call("readSecret", name, () => secretOf(name))),
    shape: (name) =>
      call("revealSecret", name, () => {
        const found = secretOf(name)
        return found === undefined ? undefined : { type: found.type, keys: Object.keys(found.data) }
      }),
    readIdentity: (gvc, name) =>
      call("readIdentity", name, () => {
        const stored = model.identities.get(identityPath(gvc, name))
        return stored === undefined ? undefined : identityOf(stored)
      }),
    createIdentity: (gvc, body) =>
      call("createIdentity", String(body["name"]), ({ now }) => ({
        made: model.writeObject(now, by, "identity", identityPath(gvc, String(body["name"])), body)
      })).pipe(unlessTaken("create identity")),
    identities: (gvc) =>
      call("identities", gvc, ({ now }) => ({
        value: [...model.identities]
          .filter(([path]) => path.startsWith(identityPath(gvc, "")))
          .map(([, stored]) => identityOf(stored)),
        at: dated(now)
      })),
    removeIdentity: (gvc, name) =>
      Effect.asVoid(
        call("removeIdentity", name, ({ now }) => {
          model.deleteObject(now, "identity", identityPath(gvc, name), by)
          return true
        })
      ),
    removePolicy: (name) =>
      Effect.asVoid(
        call("removePolicy", name, ({ now }) => {
          model.deleteObject(now, "policy", `${access.org}/${name}`, by)
          return true
        })
      ),
    readPolicy: (name) => call("readPolicy", name, () => policyOf(`${access.org}/${name}`)),
    policies: call("policies", access.org, () =>
      [...model.policies.keys()].flatMap((key) => policyOf(key) ?? [])
    ),
    createPolicy: (body) =>
      call("createPolicy", String(body["name"]), ({ now }) => ({
        made: model.writeObject(now, by, "policy", `${access.org}/${String(body["name"])}`, body)
      })).pipe(unlessTaken("create policy")),
    replacePolicy: (read, body) =>
      call("replacePolicy", read.name, ({ now }) => ({
        made: model.writeObject(now, by, "policy", `${access.org}/${read.name}`, body, {
          version: read.version ?? undefined
        })
      })).pipe(unlessTaken("replace policy"))
  })

  const logs = Logs.of({
    range: ({ end, start }) =>
      Effect.sync(() => world.platform.output.filter(({ at }) => at >= start && at < end)),
    tail: () => Stream.never
  })
  return Layer.succeedContext(
    Context.make(Commands, commands).pipe(
      Context.add(Workloads, workloads),
      Context.add(Secrets, secrets),
      Context.add(Logs, logs)
    )
  )
}
