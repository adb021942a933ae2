/** Puts the parts of the client together: one connection, and what each resource can do over it. */
import { Effect, type Scope } from "effect"
import type { HttpClient } from "effect/http"
import type { Access } from "./access.ts"
import { connect } from "./connection.ts"
import { pools } from "./pools.ts"
import type { Limits, Prefect } from "./prefect.ts"
import { reports } from "./reports.ts"
import { runs } from "./runs.ts"
import { sources } from "./sources.ts"

/** The rate of the settings table, and twice what stock clients keep open. */
const usual: Limits = { ratePerSecond: 50, concurrency: 32 }

export const makeClient = Effect.fn("Prefect.make")(function* (
  access: Access,
  limits: Partial<Limits>
): Effect.fn.Return<Prefect["Service"], never, HttpClient.HttpClient | Scope.Scope> {
  const { api, version } = yield* connect(access, { ...usual, ...limits })
  return {
    url: access.url,
    version,
    ...pools(api),
    ...runs(api, version),
    ...sources(api),
    ...(yield* reports(api, version))
  }
})
