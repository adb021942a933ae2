/**
 * By which credential the jobs of a run are reached: that of its own definition, else the agent's.
 *
 * Invariant: it is found out from the run where none is known for the org, which is so after a restart and after a
 * refusal; so a job is adopted, and a token exchanged, without anything being launched.
 */
import { Effect, Redacted } from "effect"
import { Access } from "../../cpln/control-plane.ts"
import type { Place } from "../../cpln/place.ts"
import { ofTheWhole } from "../../job/problem.ts"
import { tokenOf } from "../../job/where.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import { type Injected, RunsConfig } from "../config.ts"
import { type Definition, definitionOf, refuse } from "./definition.ts"
import { placeFromText, Places } from "../places.ts"
import type { Preparation } from "./preparation.ts"

/** The configuration block goes before the agent's own credential. */
export const accessOf = (
  { config, org }: Pick<Definition, "config" | "org">,
  { endpoint, token }: Injected
): Access => {
  const own = tokenOf(config)
  // Without either, the definition was refused.
  const credential = own === undefined ? (token ?? Redacted.make("")) : Redacted.make(own)
  return new Access({ endpoint, org, token: credential })
}

/** As `placeFromText`, for what this run's PID or claims name. */
export const placeOf = Effect.fn("runs.placeOf")(function* (
  run: FlowRun,
  text: string
): Effect.fn.Return<Place | "no credential" | undefined, never, Places | RunsConfig | Preparation> {
  const place = yield* placeFromText(text)
  const places = yield* Places
  const [org = ""] = text.split(":", 1)
  if (place === undefined || places.accessOf(org) !== undefined) return place
  const { injected } = yield* RunsConfig
  const defined = yield* definitionOf(run).pipe(
    // Met again, and told, where the run is prepared.
    Effect.catchDefect((defect) => Effect.fail(refuse([ofTheWhole(String(defect))]))),
    Effect.result
  )
  if (defined._tag === "Success") {
    // Its definition may name another org by now: the PID is followed where it points.
    places.trust(accessOf({ config: defined.success.config, org }, injected))
  } else if (
    place !== "no credential" &&
    (defined.failure._tag === "RunRefused" || defined.failure._tag === "OtherInfrastructure")
  ) {
    places.trust(place.access)
  }
  return yield* placeFromText(text)
})
