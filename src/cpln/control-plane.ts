/**
 * The Control Plane service: a keyed, scoped map of clients, one per endpoint, org and credential, because a pool's
 * runs may span several. Each has its own limiter; one that is not used for a while is closed.
 */
import { Context, Data, Duration, Effect, Layer, LayerMap, Redacted } from "effect"
import { HttpClientRequest } from "effect/http"
import { makeApi } from "../http/api.ts"
import { makeCommands, Commands } from "./commands.ts"
import { Logs, makeLogs } from "./logs.ts"
import { makeSecrets, Secrets } from "./secrets.ts"
import { bareToken } from "./token.ts"
import { makeWorkloads, Workloads } from "./workloads.ts"

/** Which API, which org, as whom. Equal keys share one client. */
export class Access extends Data.Class<{
  readonly endpoint: string
  readonly org: string
  readonly token: Redacted.Redacted
}> {}

export interface ControlPlaneSettings {
  /** 0 is off; the burst is twice that. */
  readonly ratePerSecond: number
  /** Instead of the host that `/discovery` names. */
  readonly logsEndpoint: string | undefined
  /** Instead of the credential in use: the token inside a workload does not open the log service. */
  readonly logsToken: Redacted.Redacted | undefined
}

/** Settings that all clients share. */
export const CurrentControlPlaneSettings = Context.Reference<ControlPlaneSettings>(
  "agent/cpln/ControlPlaneSettings",
  { defaultValue: () => ({ ratePerSecond: 50, logsEndpoint: undefined, logsToken: undefined }) }
)

/** Of one try; a start has its own, shorter one. */
const timeout = Duration.seconds(30)
const concurrency = 32

/** The clients of one access, over one gate. */
const clientsOf = (access: Access) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const settings = yield* CurrentControlPlaneSettings
      const token = bareToken(access.token)
      const authorise = (request: HttpClientRequest.HttpClientRequest) =>
        request.pipe(
          HttpClientRequest.bearerToken(token),
          // Stale answers were met behind caches.
          HttpClientRequest.setHeaders({
            "cache-control": "no-cache",
            pragma: "no-cache",
            accept: "application/json"
          })
        )
      const api = yield* makeApi({
        service: "Control Plane",
        baseUrl: access.endpoint,
        ratePerSecond: settings.ratePerSecond,
        concurrency,
        timeout,
        prepare: (request) => Effect.succeed(authorise(request))
      })
      return Context.make(Commands, makeCommands(api)).pipe(
        Context.add(Workloads, makeWorkloads(api, access.org)),
        Context.add(Secrets, makeSecrets(api, access.org)),
        Context.add(Logs, yield* makeLogs(access, settings))
      )
    })
  )

export class ControlPlane extends LayerMap.Service<ControlPlane>()("agent/cpln/ControlPlane", {
  lookup: clientsOf,
  idleTimeToLive: Duration.minutes(10)
}) {
  static readonly layerWith = (settings: ControlPlaneSettings) =>
    Layer.provide(ControlPlane.layer, Layer.succeed(CurrentControlPlaneSettings, settings))
}
