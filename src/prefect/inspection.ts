/**
 * Reads that only a look from outside needs: deployments by name and by pool, and blocks as the server shows them.
 *
 * Invariant: nothing is written, and no secret is read.
 */
import { Context, Effect, Layer, Schema } from "effect"
import type { HttpClient } from "effect/http"
import { json } from "../http/api.ts"
import type { ApiError } from "../http/errors.ts"
import type { Access } from "./access.ts"
import { connect } from "./connection.ts"
import { malformedIsMissing } from "./lines.ts"
import { everyPage } from "./pages.ts"
import type { Limits } from "./prefect.ts"
import { get, path, post } from "./requests.ts"

const maybe = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

export const DeploymentRow = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  flow_id: Schema.String,
  work_pool_name: maybe(Schema.String)
})
export type DeploymentRow = typeof DeploymentRow.Type

const ShownBlock = Schema.Struct({ data: Schema.Record(Schema.String, Schema.Unknown) })

export class Inspection extends Context.Service<
  Inspection,
  {
    deployment(id: string): Effect.Effect<DeploymentRow, ApiError>
    deploymentByName(flow: string, name: string): Effect.Effect<DeploymentRow, ApiError>
    /** All of the pool, every page. */
    deploymentsOf(pool: string): Effect.Effect<ReadonlyArray<DeploymentRow>, ApiError>
    /** Data of a block document with what its schema calls secret as asterisks. */
    shownBlock(id: string): Effect.Effect<Readonly<Record<string, unknown>>, ApiError>
  }
>()("agent/prefect/Inspection") {
  /** With a connection of its own; sends nothing until it is used. */
  static readonly layer = (
    access: Access,
    limits: Partial<Limits> = {}
  ): Layer.Layer<Inspection, never, HttpClient.HttpClient> =>
    Layer.effect(
      Inspection,
      Effect.map(connect(access, { ratePerSecond: 50, concurrency: 4, ...limits }), ({ api }) => {
        const read = <S extends Schema.Constraint>(url: string, schema: S) =>
          malformedIsMissing(api.repeatable(get(url))).pipe(
            Effect.flatMap(json(schema)),
            Effect.map(({ value }) => value)
          )
        return Inspection.of({
          deployment: (id) => read(path`/deployments/${id}`, DeploymentRow),
          deploymentByName: (flow, name) => read(path`/deployments/name/${flow}/${name}`, DeploymentRow),
          deploymentsOf: Effect.fn("Inspection.deploymentsOf")(function* (pool) {
            const all = yield* everyPage(
              (page) =>
                api
                  .repeatable(
                    post("/deployments/filter", { work_pools: { name: { any_: [pool] } }, ...page })
                  )
                  .pipe(Effect.flatMap(json(Schema.Array(DeploymentRow)))),
              (row) => row.id
            )
            return all.value
          }),
          shownBlock: (id) => Effect.map(read(path`/block_documents/${id}`, ShownBlock), ({ data }) => data)
        })
      })
    )
}
