/**
 * Deployment concurrency leases of 3.x servers: a claimed run holds one until it is RUNNING, and the server takes it away,
 * or cancels the run, when nobody renews it while an image is pulled.
 *
 * Invariant: only runs that are PENDING are renewed, by their age on the server's clock, so that it goes on after a restart.
 */
import { Effect } from "effect"
import type { Seen } from "../http/seen.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import type { AttemptMemory } from "./board.ts"
import { timeOf } from "./phase.ts"
import { steadyMillis } from "./steady.ts"

/** The first lease lives 300 s, or as short as the deployment's grace period says, which may be a minute; ours live 300 s. */
const firstRenewal = 30_000
const renewEvery = 100_000
const leaseSeconds = 300

/** Does nothing for a run without a lease, or whose lease is fresh. A lease that is gone is the server's decision. */
export const renewLease = Effect.fn("runs.renewLease")(function* (
  { at, value: run }: Seen<FlowRun>,
  memory: AttemptMemory
) {
  const lease = run.state?.state_details?.deployment_concurrency_lease_id ?? undefined
  if (run.state_type !== "PENDING" || lease === undefined) return
  const now = yield* steadyMillis
  const last = memory.leaseRenewedAt
  const tooEarly =
    last === undefined ? at - (timeOf(run.state?.timestamp) ?? at) < firstRenewal : now - last < renewEvery
  if (tooEarly) return
  memory.leaseRenewedAt = now
  yield* Prefect.use((prefect) => prefect.renewLease(lease, leaseSeconds)).pipe(
    Effect.catch((error) => Effect.logDebug(`lease of run ${run.id} not renewed: ${error.message}`))
  )
})
