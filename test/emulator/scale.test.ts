/** A thousand live jobs; `scripts/bench` and the figures of the docs are about ten times that. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { cron, gvc, idOf, withRunner } from "./harness.ts"

const jobs = 1000
const workloads = 20
const live = [
  { op: "=", property: "type", value: "runCronWorkload" },
  ...["completed", "failed", "cancelled"].map((value) => ({ op: "!=", property: "lifecycleStage", value }))
]

describe("a thousand virtual jobs", () => {
  it.live(
    "start, are all found by queries over pages, and end each with its own exit code",
    () =>
      Effect.gen(function* () {
        const cpln = yield* withRunner()
        const names = Array.from({ length: workloads }, (_, index) => `w-${index}`)
        yield* Effect.forEach(names, (name) => cpln.post(`${gvc}/workload`, cron(name)), { concurrency: 8 })
        const paths = yield* Effect.forEach(
          Array.from({ length: jobs }, (_, index) => index),
          (index) => cpln.start(names[index % workloads]!, {}, { "prefect.io/flow-run-id": `run-${index}` }),
          { concurrency: 32 }
        )
        const running = Effect.map(cpln.get("/emulator/jobs?running"), ({ json }) => json.items.length)
        yield* Effect.repeat(running, { until: (count) => count === jobs })
        const counts = yield* Effect.forEach(
          names,
          (name) =>
            Effect.gen(function* () {
              const first = yield* cpln.post(`${gvc}/workload/${name}/-command/-query`, {
                spec: { terms: live }
              })
              const items = (yield* cpln.pages(first)).flatMap(({ json }) => json.items)
              return new Set(items.map(({ id }: { id: string }) => id)).size
            }),
          { concurrency: 8 }
        )
        expect(counts).toEqual(names.map(() => jobs / workloads))
        yield* Effect.forEach(
          paths,
          (path, index) => cpln.post(`/emulator/jobs/${idOf(path)}/end`, { exitCode: index % 2 }),
          { concurrency: 32 }
        )
        const stages = yield* Effect.forEach(
          paths,
          (path) => Effect.map(cpln.get(path), ({ json }) => json.lifecycleStage),
          { concurrency: 32 }
        )
        expect(stages).toEqual(paths.map((_, index) => (index % 2 === 0 ? "completed" : "failed")))
      }),
    30_000
  )
})
