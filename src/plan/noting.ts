/**
 * Prefect as it is, with every block that is read noted for what of it is secret.
 *
 * Invariant: a block is given out only when its secrets are noted; where the server does not say which they are, all of it
 * counts.
 */
import { Effect } from "effect"
import { Inspection } from "../prefect/inspection.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { BlockDocument } from "../prefect/schemas.ts"
import { secretsIn } from "./masking.ts"

export const notingSecrets = Effect.fn("plan.notingSecrets")(function* (noted: Set<string>) {
  const prefect = yield* Prefect
  const inspection = yield* Inspection
  const note = ({ data, id }: BlockDocument) =>
    Effect.map(inspection.shownBlock(id).pipe(Effect.orElseSucceed(() => undefined)), (shown) => {
      for (const each of secretsIn(data, shown, shown === undefined)) noted.add(each)
    })
  return Prefect.of({
    ...prefect,
    readBlock: (id) => Effect.tap(prefect.readBlock(id), note),
    readBlockByName: (slug, name) => Effect.tap(prefect.readBlockByName(slug, name), note)
  })
})
