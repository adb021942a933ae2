/**
 * The Control Plane service: a keyed, scoped map of clients, one per endpoint, org and credential, because a pool's
 * runs may span several. Each has its own limiter; one that is not used for a while is closed.
 */
import { Data, type Redacted } from "effect"

/** Which API, which org, as whom. Equal keys share one client. */
export class Access extends Data.Class<{
  readonly endpoint: string
  readonly org: string
  readonly token: Redacted.Redacted
}> {}
