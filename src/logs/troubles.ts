/**
 * What is said when output cannot be read: once per org and kind of trouble, and once when it is over.
 *
 * Invariant: a log service that is down for hours costs two lines, however many jobs run meanwhile.
 */
import { Effect } from "effect"
import type { Place } from "../cpln/place.ts"
import type { ApiError } from "../http/errors.ts"
import { say } from "../observe/say.ts"

export interface Troubles {
  readonly readable: (place: Place) => Effect.Effect<void>
  readonly unreadable: (place: Place, error: ApiError) => Effect.Effect<void>
}

/** Orgs whose trouble is remembered; the first one is forgotten, and may be told again. */
const mostOrgs = 1_000

export const makeTroubles = (): Troubles => {
  const kinds = new Map<string, ApiError["_tag"]>()
  const keyOf = ({ access: { endpoint, org } }: Place): string => `${endpoint} ${org}`
  return {
    readable: (place) =>
      Effect.suspend(() =>
        kinds.delete(keyOf(place))
          ? say("info", "Logs", {}, `Output of jobs in org ${place.access.org} can be read again.`)
          : Effect.void
      ),
    unreadable: (place, error) =>
      Effect.suspend(() => {
        const key = keyOf(place)
        const detail = say("debug", "Logs", {}, `output is not readable now: ${error.message}`)
        if (kinds.get(key) === error._tag) return detail
        const [oldest] = kinds.keys()
        if (kinds.size >= mostOrgs && oldest !== undefined) kinds.delete(oldest)
        kinds.set(key, error._tag)
        return say("warning", "Logs", {}, warningOf(place.access.org, error))
      })
  }
}

const warningOf = (org: string, error: ApiError): string => {
  const isRefused = error._tag === "Unauthorised" || error._tag === "Forbidden"
  const remedy = isRefused
    ? ` Reading it needs the permission readLogs on org ${org}; a token that has it can be given in PREFECT_AGENT_CPLN_LOGS_TOKEN.`
    : ""
  return `Output of jobs in org ${org} cannot be read: ${error.message}. The jobs run on, and the agent tries again.${remedy}`
}
