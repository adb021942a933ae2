/** Where a client finds the other hosts: they are all this one. `/discovery` needs no token. */
import { Effect } from "effect"
import { ok } from "./answer.ts"
import { Listener } from "./listener.ts"
import { route } from "./router.ts"

export const discoveryRoutes = Effect.gen(function* () {
  const { url, port } = yield* Listener
  const endpoints = {
    api: url,
    logs: url,
    // A client puts the org's name into the braces; an address of numbers would not be one then.
    registry: `http://{org}.localhost:${port}`,
    console: url,
    hub: url,
    audit: url,
    billing: url,
    metrics: url,
    grafana: url
  }
  const discovery = ok({ endpoints, firebase: {} })
  const about = ok({ name: "Control Plane emulator", version: "1" })
  return [
    route("/discovery", { GET: () => Effect.succeed(discovery) }),
    route("/about", { GET: () => Effect.succeed(about) })
  ]
})
