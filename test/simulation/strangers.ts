/**
 * What is in a world that is none of our agents' business: another pool of the same server with its runs and jobs,
 * somebody's own workload, and a job of the reference whose run this server does not know.
 *
 * Invariant: all of it looks as much like ours as it can, and nothing of it ever ends by itself.
 */
import { Effect } from "effect"
import { location, pid, workload, type World } from "../runs/world/world.ts"

const otherPool = "5d0c2b7e-1c1f-4b7e-9a58-2f6d1c9b0a11"

export const addStrangers = Effect.fnUntraced(function* (world: World) {
  world.addPool("other", otherPool)
  const theirs = yield* world.addWorkload("p5d0c2b7e-job-0123456789ab", {
    "prefect.io/work-pool-id": otherPool
  })
  for (const [id, type] of [
    ["stranger-running", "RUNNING"],
    ["stranger-over", "COMPLETED"],
    ["stranger-cancelling", "CANCELLING"],
    ["stranger-pending", "PENDING"]
  ] as const) {
    yield* world.addRun(id, { work_pool_id: otherPool })
    const job = yield* world.addCommand(theirs, id, {
      tags: { "prefect.io/work-pool-id": otherPool, "cpln/prefectAgent": "agent-1" }
    })
    yield* world.change(id, { infrastructure_pid: pid(theirs.name, job) })
    yield* world.propose(id, type, { force: true, transitionId: `of ${id}` })
  }
  // By hand, without any of our tags.
  const own = workload("somebodys-own")
  world.platform.makeWorkload(0, "person", own, { tags: {}, spec: {} })
  yield* world.addCommand(own, "stranger-unknown", { tags: { "prefect.io/work-pool-id": "" } })
  // A job that is no flow run, as `agent job run` starts them: it has none of the tags.
  const lone = workload("j-job-0123456789ab")
  world.platform.makeWorkload(0, "person", lone, { tags: { "cpln/createdByPrefect": "true" }, spec: {} })
  world.platform.addCommand(0, "person", lone, {
    id: "lone-job",
    type: "runCronWorkload",
    created: new Date(0).toISOString(),
    lastModified: new Date(0).toISOString(),
    lifecycleStage: "running",
    tags: {},
    spec: { location, containerOverrides: [{ name: "job", args: ["sleep", "infinity"] }] },
    status: { replica: "command-lone-job-replica" }
  })
})
