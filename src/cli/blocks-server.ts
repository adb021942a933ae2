/** What the commands of `agent blocks` share: the server they speak to, and how they tell what they registered. */
import { Console, Effect } from "effect"
import { CannotStart, serverTrouble } from "../agent/start-up.ts"
import type { BlockExists, NoSuchBlock } from "../blocks/create.ts"
import { isUnchanged, type Registered } from "../blocks/register.ts"
import type { ApiError } from "../http/errors.ts"
import { readAccess } from "../prefect/access.ts"
import { Blocks } from "../prefect/blocks.ts"
import { readSettings } from "./environment.ts"

type Known = BlockExists | NoSuchBlock | CannotStart

/** Provides the server that environment and profile name, and puts its troubles in words for a person. */
export const onServer = Effect.fn("cli.onServer")(function* <A, E extends Known | ApiError>(
  work: Effect.Effect<A, E, Blocks>
) {
  const { prefectSettings, settings } = yield* readSettings({})
  const layer = Blocks.layer(yield* readAccess(prefectSettings), {
    ratePerSecond: settings.prefectRate,
    // A server on SQLite answers 503 while somebody else writes.
    tries: 8
  })
  return yield* Effect.gen(function* () {
    const blocks = yield* Blocks
    // Asked first, so that an address where no Prefect server answers is told as such.
    return yield* blocks.version.pipe(
      Effect.andThen(work),
      Effect.mapError((error) => inWords(blocks.url, error))
    )
  }).pipe(Effect.provide(layer))
})

const inWords = (url: string, error: Known | ApiError): Known =>
  error._tag === "BlockExists" || error._tag === "NoSuchBlock" || error._tag === "CannotStart"
    ? error
    : serverTrouble(url)(error)

/** One line for each block type. */
export const tellRegistered = (registered: ReadonlyArray<Registered>) =>
  Effect.forEach(registered, (each) => Console.log(`  ${each.slug.padEnd(37)}${outcomeOf(each)}`), {
    discard: true
  })

const outcomeOf = (registered: Registered): string => {
  if (isUnchanged(registered)) return "unchanged"
  if (registered.type === "created") return "registered"
  return [
    ...(registered.type === "updated" ? ["texts updated"] : []),
    ...(registered.schema === "created" ? ["new schema added"] : [])
  ].join(", ")
}
