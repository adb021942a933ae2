/**
 * Deployment concurrency leases of 3.x servers: a claimed run holds one until it is RUNNING, and the server takes it away,
 * or cancels the run, when nobody renews it while an image is pulled.
 *
 * Invariant: only runs that are PENDING are renewed, by their age on the server's clock, so that it goes on after a restart.
 */
import { Effect } from "effect"
import { isTransient } from "../../http/errors.ts"
import type { Seen } from "../../http/seen.ts"
import { Prefect } from "../../prefect/prefect.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import type { AttemptMemory } from "../look/board.ts"
import { isClaimed } from "./judge.ts"
import { timeOf } from "../decide/phase.ts"
import { steadyMillis } from "../steady.ts"

/** The first lease lives 300 s, or as short as its deployment or the server says, which may be 30 s; ours live 300 s. */
const firstRenewal = 10_000
const renewEvery = 100_000
const leaseSeconds = 300

const leaseOf = ({ state, state_type }: FlowRun) =>
  state_type === "PENDING" ? (state?.state_details?.deployment_concurrency_lease_id ?? undefined) : undefined

/** Whether it is claimed by our kind and holds a slot that somebody has to keep. */
export const holdsLease = (run: FlowRun): boolean => leaseOf(run) !== undefined && isClaimed(run)

/** Does nothing for a run without a lease, or whose lease is fresh. A lease that is gone is the server's decision. */
export const renewLease = Effect.fn("runs.renewLease")(function* (
  { at, value: run }: Seen<FlowRun>,
  memory: AttemptMemory
) {
  const lease = leaseOf(run)
  if (lease === undefined) return
  const now = yield* steadyMillis
  const last = memory.leaseRenewedAt
  const tooEarly =
    last === undefined ? at - (timeOf(run.state?.timestamp) ?? at) < firstRenewal : now - last < renewEvery
  if (tooEarly) return
  yield* Prefect.use((prefect) => prefect.renewLease(lease, leaseSeconds)).pipe(
    Effect.as(true),
    Effect.catch((error) =>
      Effect.logDebug(`lease of run ${run.id} not renewed: ${error.message}`).pipe(
        Effect.as(!isTransient(error))
      )
    ),
    // What was not answered is sent again with the next look.
    Effect.map((settled) => {
      if (settled) memory.leaseRenewedAt = now
    })
  )
})
