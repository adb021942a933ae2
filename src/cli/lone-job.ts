/** What the commands about jobs that are no flow runs share: where a block is, and what went wrong in words for a person. */
import { Effect, Redacted } from "effect"
import { CannotStart, serverTrouble } from "../agent/start-up.ts"
import type { LoneJob } from "../cpln-job/block.ts"
import { Access } from "../cpln/control-plane.ts"
import type { ApiError } from "../http/errors.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { BlockDocument } from "../prefect/schemas.ts"
import type { Injected } from "../runs/config.ts"

export const isId = (text: string): boolean =>
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/iu.test(text)

const slug = "cpln-job"

/** A saved CplnJob block by its name, `cpln-job/NAME` or its id. Holds a token: never print it. */
export const readBlock = Effect.fn("cli.readJobBlock")(function* (
  block: string
): Effect.fn.Return<BlockDocument, CannotStart, Prefect> {
  const prefect = yield* Prefect
  const name = block.startsWith(`${slug}/`) ? block.slice(slug.length + 1) : block
  const trouble = serverTrouble(prefect.url)
  // Asked first, so that an address where no Prefect server answers is told as such.
  yield* prefect.version.pipe(Effect.mapError(trouble))
  const found = yield* (isId(name) ? prefect.readBlock(name) : prefect.readBlockByName(slug, name)).pipe(
    Effect.catchTag("NotFound", () =>
      Effect.fail(
        new CannotStart({
          reason: `There is no block ${slug}/${name} on ${prefect.url}.`,
          remedy: `See which there are: agent blocks list   Create it: agent blocks create ${slug} NAME --job FILE`
        })
      )
    ),
    Effect.mapError((error) => (error._tag === "CannotStart" ? error : trouble(error)))
  )
  const other = found.block_type?.slug
  if (other !== undefined && other !== slug) {
    return yield* new CannotStart({
      reason: `Block ${block} is of type ${other}.`,
      remedy: `This command runs blocks of type ${slug}.`
    })
  }
  return found
})

/** The job's own credential goes before that of the environment; one of the two is there. */
export const accessOf = ({ org, token }: LoneJob, injected: Injected): Access =>
  new Access({
    endpoint: injected.endpoint,
    org,
    token: token === undefined ? (injected.token ?? Redacted.make("")) : Redacted.make(token)
  })

/** What a person must know of a Control Plane that cannot be used. */
export const platformTrouble = (error: ApiError): CannotStart => {
  const remedy =
    error._tag === "Unauthorised" || error._tag === "Forbidden"
      ? "Check the token of the block's credentials, or CPLN_TOKEN, and what its principal may do."
      : error._tag === "Unavailable"
        ? "Check CPLN_ENDPOINT, and that it can be reached from here."
        : "Check org, GVC and location, and CPLN_ENDPOINT."
  return new CannotStart({ reason: error.message, remedy })
}
