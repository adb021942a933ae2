/**
 * Everything that differs between servers of the lines 2.20 and 3.x, and nowhere else.
 *
 * Invariant: callers of the client see one server. The paths are the same on both lines; what differs are fields, routes
 * that came later, and how a server says that it has not got something.
 */
import { Effect, Option, Schema } from "effect"
import { NotFound, type ApiError } from "../http/errors.ts"
import type { ServerVersion } from "./prefect.ts"
import { Deployment } from "./schemas.ts"

/** "3.8.8", "2.20.25", "3.9.0.dev1+4.gabc". A line after 3 is taken for a 3; before 2 there were no work pools. */
export const parseVersion = (text: string): Option.Option<ServerVersion> => {
  const major = Number(/^(\d+)\.\d+/u.exec(text)?.[1])
  if (!(major >= 2)) return Option.none()
  return Option.some({ line: major === 2 ? "2" : "3", text })
}

const atLeast = (version: ServerVersion, ...wanted: readonly [number, number, number]): boolean => {
  const have = version.text.split(".", 3).map((part) => Number.parseInt(part, 10) || 0)
  const differs = wanted.findIndex((part, index) => (have[index] ?? 0) !== part)
  return differs === -1 || (have[differs] ?? 0) > wanted[differs]!
}

/** `PATCH /flow_runs/{id}/labels` came with 3.1.2; before, it is a 404 that means the route and not the run. */
export const hasLabels = (version: ServerVersion): boolean => atLeast(version, 3, 1, 2)

/** 2.20 calls a deployment's job variables `infra_overrides` and sends nothing else; 3.x sends `job_variables`. */
const { job_variables: _, ...sameOnBothLines } = Deployment.fields
const variables = Schema.optionalKey(Schema.NullOr(Deployment.fields.job_variables))
export const DeploymentAnswer = Schema.Struct({
  ...sameOnBothLines,
  job_variables: variables,
  infra_overrides: variables
})

export const asDeployment = ({
  job_variables,
  infra_overrides,
  ...same
}: typeof DeploymentAnswer.Type): Deployment => ({
  ...same,
  job_variables: job_variables ?? infra_overrides ?? {}
})

/** A filter on tags that both lines take: 3.x also has `any_`, which 2.20 answers with 422. */
export const withAllTags = (tags: ReadonlyArray<string>) => ({ all_: tags })

/** An id that is not a UUID cannot exist: 2.20 answers 422 to a read of it, 3.x 404. Here it is `NotFound`. */
export const malformedIsMissing = <A, R>(
  self: Effect.Effect<A, ApiError, R>
): Effect.Effect<A, ApiError, R> =>
  Effect.catchTag(self, "Refused", (error) =>
    Effect.fail(
      error.status === 422
        ? new NotFound({ service: error.service, request: error.request, detail: "not an id" })
        : error
    )
  )

/** 2.20 takes events only with `PREFECT_EXPERIMENTAL_EVENTS` on; otherwise it answers 404. Gives false then. */
export const unlessEventsAreOff = <A, R>(
  self: Effect.Effect<A, ApiError, R>
): Effect.Effect<boolean, ApiError, R> =>
  self.pipe(
    Effect.as(true),
    Effect.catchTag("NotFound", () => Effect.succeed(false))
  )
