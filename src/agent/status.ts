/**
 * What the status server tells of this agent: the flight of one run.
 *
 * Invariant: it is up before the agent knows whether it can start, and answers from memory alone.
 */
import { Effect, type Redacted, type Scope } from "effect"
import { type Address, parseAddress } from "../observe/address.ts"
import { serveStatus, type StatusRoutes } from "../observe/server.ts"
import { Flight } from "../runs/flight/flight.ts"

const flightPath = /^\/flow_runs\/([0-9a-f-]{36})\/flight$/iu

/** `listen` is the setting: an address, or `off`. */
export const startStatus = Effect.fn("agent.startStatus")(function* (
  listen: string,
  token: Redacted.Redacted | undefined
): Effect.fn.Return<Address | undefined, never, Scope.Scope> {
  const address = parseAddress(listen)
  if (address === undefined) return undefined
  const flight = yield* Flight
  const routes: StatusRoutes = (path) => {
    const id = flightPath.exec(path)?.[1]?.toLowerCase()
    if (id === undefined) return undefined
    const record = flight.record(id)
    return record === undefined
      ? { status: 404, body: { detail: "this agent has no record of that flow run" } }
      : { status: 200, body: record }
  }
  return yield* serveStatus(address, token, routes)
})
