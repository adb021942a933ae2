import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { ids, jobOf, keyOf, linesOf, look, makeService, pass, withRelay } from "./world.ts"

describe("a job that looks do not show", () => {
  it.effect("is not given up for overlapping looks, nor for looks before it was seen again", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1))
        for (let n = 0; n < 5; n++) yield* relay.retain(ids())
        yield* pass(30)
        for (let n = 0; n < 5; n++) yield* relay.retain(ids())
        yield* look(relay, 60, 1)
        yield* look(relay, 20)
        yield* look(relay, 60, 1)
        yield* service.arrive({ job: 1, line: "still here", at: 170_000 })
        yield* pass(1)
        expect(linesOf(printed, 1)).toEqual(["still here"])
      })
    )
  })

  it.effect("is looked at once more after its last read", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1))
        yield* relay.retain(ids())
        yield* pass(120)
        yield* service.arrive({ job: 1, line: "it lives", at: 120_000 })
        yield* pass(1)
        yield* relay.retain(ids(1))
        yield* look(relay, 20)
        yield* service.arrive({ job: 1, line: "and goes on", at: 145_000 })
        yield* pass(1)
        expect(linesOf(printed, 1)).toEqual(["it lives", "and goes on"])
      })
    )
  })

  it.effect("and that is followed again later goes on where it was", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1))
        yield* service.arrive({ job: 1, line: "a", at: 1_000 })
        yield* look(relay, 60)
        expect(service.tails()).toBe(0)
        yield* service.arrive({ job: 1, line: "b", at: 70_000 })
        yield* relay.follow(jobOf(1))
        yield* pass(1)
        yield* service.arrive({ job: 1, line: "c", at: 71_000 })
        yield* pass(1)
        expect(linesOf(printed, 1)).toEqual(["a", "b", "c"])
      })
    )
  })

  it.effect("is kept while its place does not answer, and only that place's jobs are", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1, { workload: "deaf" }))
        yield* relay.follow(jobOf(2, { workload: "runner" }))
        for (let n = 0; n < 24; n++) {
          yield* relay.retain(ids(), new Set([keyOf("deaf")]))
          yield* pass(5)
        }
        expect(service.tails()).toBe(1)
        yield* service.arrive({ job: 1, line: "after all that", at: 120_000, workload: "deaf" })
        yield* pass(1)
        expect(linesOf(printed, 1)).toEqual(["after all that"])
      })
    )
  })
})
