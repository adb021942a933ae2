/** What is there before anybody made anything: the orgs, and the locations that the service offers to each. */
import { Clock, Effect, Layer } from "effect"
import { uuid } from "./ids.ts"
import type { JsonObject } from "./json.ts"
import { collectionPath } from "./links.ts"
import { Settings } from "./settings.ts"
import { Store } from "./store.ts"

const locations: ReadonlyArray<readonly [name: string, provider: string, region: string]> = [
  ["aws-us-west-2", "aws", "us-west-2"],
  ["aws-us-east-2", "aws", "us-east-2"],
  ["aws-eu-central-1", "aws", "eu-central-1"],
  ["gcp-us-east1", "gcp", "us-east1"],
  ["azure-eastus2", "azure", "eastus2"]
]

/** Fills the store, once. */
export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const store = yield* Store
    const { orgs } = yield* Settings
    const now = yield* Clock.currentTimeMillis
    const make = Effect.fnUntraced(function* (org: string, kind: string, name: string, body: JsonObject) {
      // A state folder may have brought it back.
      if (store.get(`${collectionPath({ org, gvc: undefined }, kind)}/${name}`) !== undefined) return
      store.create(
        { kind, org, gvc: undefined, name, description: undefined, tags: {}, body, id: yield* uuid },
        now
      )
    })
    for (const org of orgs) {
      yield* make(org, "org", org, { spec: {}, status: { active: true } })
      for (const [name, provider, region] of locations) {
        yield* make(org, "location", name, { provider, region, origin: "builtin", spec: { enabled: true } })
      }
    }
  })
)
