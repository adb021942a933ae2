/**
 * What runs are prepared from, read from both services and kept for a short while: many runs of one deployment are due
 * at once.
 *
 * Invariant: every cache is bounded and short-lived, so that an edit of a deployment, a block or a token takes effect
 * within half a minute; a failure is never kept.
 */
import { Cache, Context, Data, Duration, Effect, type Exit, Layer, Option } from "effect"
import type { Access, ControlPlane } from "../../cpln/control-plane.ts"
import type { ApiError } from "../../http/errors.ts"
import type { JsonRecord } from "../../job/json.ts"
import type { BlockKey } from "../../job/references.ts"
import { Prefect } from "../../prefect/prefect.ts"
import type { BlockDocument, Deployment, Flow, FlowRun, RunContext, WorkPool } from "../../prefect/schemas.ts"
import { CurrentPool } from "../pool.ts"
import { orUndefined, type PlatformReads, platformReads } from "./to-send.ts"

/** What does not exist is undefined, never an error. */
export class Preparation extends Context.Service<
  Preparation,
  PlatformReads & {
    readonly pool: Effect.Effect<WorkPool>
    deployment(id: string): Effect.Effect<Deployment | undefined, ApiError>
    flow(id: string): Effect.Effect<Flow | undefined, ApiError>
    /** With secrets in clear: never log what this gives. */
    block(key: BlockKey): Effect.Effect<JsonRecord | undefined, ApiError>
    /** The same by its id, with its type. */
    document(id: string): Effect.Effect<BlockDocument | undefined, ApiError>
    /** All of a run and its flow; not kept, because parameters may be large. */
    context(run: FlowRun): Effect.Effect<RunContext | undefined, ApiError>
    variable(name: string): Effect.Effect<{ readonly value: unknown } | undefined, ApiError>
  }
>()("agent/runs/Preparation") {
  static readonly layer: Layer.Layer<Preparation, never, Prefect | CurrentPool | ControlPlane> = Layer.effect(
    Preparation,
    Effect.suspend(() => make)
  )
}

/** Equal keys are one entry. */
class BlockEntry extends Data.Class<{ readonly typeSlug: string | undefined; readonly name: string }> {}
/** A GVC, or a secret. */
class PlatformEntry extends Data.Class<{ readonly access: Access; readonly name: string }> {}

const kept = (seconds: number) => (exit: Exit.Exit<unknown, unknown>) =>
  exit._tag === "Success" ? Duration.seconds(seconds) : Duration.zero

const make = Effect.gen(function* () {
  const prefect = yield* Prefect
  const currentPool = yield* CurrentPool
  const reads = yield* platformReads
  const deployments = yield* Cache.makeWith((id: string) => orUndefined(prefect.readDeployment(id)), {
    capacity: 2_000,
    timeToLive: kept(10)
  })
  // A flow is never renamed.
  const flows = yield* Cache.makeWith((id: string) => orUndefined(prefect.readFlow(id)), {
    capacity: 2_000,
    timeToLive: kept(300)
  })
  const blocks = yield* Cache.makeWith(
    ({ typeSlug, name }: BlockEntry) =>
      orUndefined(typeSlug === undefined ? prefect.readBlock(name) : prefect.readBlockByName(typeSlug, name)),
    { capacity: 500, timeToLive: kept(20) }
  )
  const variables = yield* Cache.makeWith(
    (name: string) =>
      Effect.map(prefect.readVariable(name), (found) =>
        Option.getOrUndefined(Option.map(found, (value) => ({ value })))
      ),
    { capacity: 500, timeToLive: kept(20) }
  )
  const gvcs = yield* Cache.makeWith(({ access, name }: PlatformEntry) => reads.gvc(access, name), {
    capacity: 200,
    timeToLive: kept(30)
  })
  const secrets = yield* Cache.makeWith(({ access, name }: PlatformEntry) => reads.secret(access, name), {
    capacity: 1_000,
    timeToLive: kept(30)
  })
  const shapes = yield* Cache.makeWith(({ access, name }: PlatformEntry) => reads.secretShape(access, name), {
    capacity: 1_000,
    timeToLive: kept(20)
  })
  const blockOf = (entry: BlockEntry) => Effect.map(Cache.get(blocks, entry), (found) => found?.data)
  return Preparation.of({
    pool: currentPool.get,
    deployment: (id) => Cache.get(deployments, id),
    flow: (id) => Cache.get(flows, id),
    block: (key) =>
      blockOf(
        "id" in key
          ? new BlockEntry({ typeSlug: undefined, name: key.id })
          : new BlockEntry({ typeSlug: key.typeSlug, name: key.name })
      ),
    document: (id) => Cache.get(blocks, new BlockEntry({ typeSlug: undefined, name: id })),
    context: (run) => orUndefined(prefect.readContext(run)),
    variable: (name) => Cache.get(variables, name),
    gvc: (access, name) => Cache.get(gvcs, new PlatformEntry({ access, name })),
    secret: (access, name) => Cache.get(secrets, new PlatformEntry({ access, name })),
    secretShape: (access, name) => Cache.get(shapes, new PlatformEntry({ access, name }))
  })
})
