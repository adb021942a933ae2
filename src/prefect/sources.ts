/** What a run is made from: its deployment and flow, and the blocks and variables that its job variables name. */
import { Effect, Option, Schema } from "effect"
import { type Api, json } from "../http/api.ts"
import { asDeployment, DeploymentAnswer, malformedIsMissing } from "./lines.ts"
import type { Prefect } from "./prefect.ts"
import { get, path } from "./requests.ts"
import { BlockDocument, Flow, RunContext } from "./schemas.ts"

type Sources = Pick<
  Prefect["Service"],
  "readDeployment" | "readFlow" | "readBlock" | "readBlockByName" | "readContext" | "readVariable"
>

/** 2.20 gives text, 3.x any JSON value. */
const Variable = Schema.Struct({ value: Schema.Unknown })

export const sources = ({ repeatable }: Api): Sources => ({
  readDeployment: Effect.fn("Prefect.readDeployment")(function* (id) {
    const { value } = yield* malformedIsMissing(repeatable(get(path`/deployments/${id}`))).pipe(
      Effect.flatMap(json(DeploymentAnswer))
    )
    return asDeployment(value)
  }),

  readFlow: Effect.fn("Prefect.readFlow")(function* (id) {
    const { value } = yield* malformedIsMissing(repeatable(get(path`/flows/${id}`))).pipe(
      Effect.flatMap(json(Flow))
    )
    return value
  }),

  readBlock: Effect.fn("Prefect.readBlock")(function* (id) {
    const { value } = yield* malformedIsMissing(
      repeatable(get(path`/block_documents/${id}?include_secrets=true`))
    ).pipe(Effect.flatMap(json(BlockDocument)))
    return value
  }),

  readBlockByName: Effect.fn("Prefect.readBlockByName")(function* (typeSlug, name) {
    const { value } = yield* repeatable(
      get(path`/block_types/slug/${typeSlug}/block_documents/name/${name}?include_secrets=true`)
    ).pipe(Effect.flatMap(json(BlockDocument)))
    return value
  }),

  readContext: Effect.fn("Prefect.readContext")(function* ({ flow_id, id }) {
    const [flow_run, flow] = yield* Effect.all(
      [path`/flow_runs/${id}`, path`/flows/${flow_id}`].map((each) =>
        malformedIsMissing(repeatable(get(each))).pipe(Effect.flatMap(json(RunContext.fields.flow)))
      ),
      { concurrency: 2 }
    )
    return { flow: flow?.value ?? {}, flow_run: flow_run?.value ?? {} }
  }),

  readVariable: Effect.fn("Prefect.readVariable")(function* (name) {
    return yield* repeatable(get(path`/variables/name/${name}`)).pipe(
      Effect.flatMap(json(Variable)),
      Effect.map(({ value }) => Option.some(value.value)),
      Effect.catchTag("NotFound", () => Effect.succeedNone)
    )
  })
})
