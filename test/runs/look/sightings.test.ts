import { describe, expect } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { Access } from "../../../src/cpln/control-plane.ts"
import type { Place } from "../../../src/cpln/place.ts"
import { Sightings } from "../../../src/runs/look/sightings.ts"
import { injected } from "../world/agents.ts"
import { controlPlaneFor } from "../world/platform-service.ts"
import { pass, scenario } from "../world/scenario.ts"
import { org, type World } from "../world/world.ts"

const { endpoint, token } = injected
const access = new Access({ endpoint, org, token })

/** The sightings of one agent, and two workloads of which the first has a live job. */
const looking = Effect.fnUntraced(function* (world: World) {
  const [first, second] = [yield* world.addWorkload("w1"), yield* world.addWorkload("w2")]
  yield* world.addCommand(first, "r1")
  const line = { by: "agent agent-a", gate: Effect.void } as const
  const context = yield* Layer.build(Sightings.layer.pipe(Layer.provideMerge(controlPlaneFor(world, line))))
  const looks: Array<string> = []
  world.faults.on(({ name, subject }) => name === "find" && looks.push(subject) < 0, { kind: "refused" })
  const placeOf = (workload: typeof first): Place => ({ access, workload })
  return {
    looks,
    first: placeOf(first),
    second: placeOf(second),
    lookOnce: (place: Place) =>
      Sightings.use((sightings) => sightings.lookOnce(place)).pipe(Effect.provide(context)),
    of: (runId: string) =>
      Effect.map(Sightings, (sightings) => sightings.of(runId).map(({ workload }) => workload.name)).pipe(
        Effect.provide(context)
      )
  }
})

describe("the look before the first claim that goes to a workload", () => {
  scenario("is made once, however many launches wait for it, and finds what lives there", (world) =>
    Effect.gen(function* () {
      const { first, lookOnce, looks, of } = yield* looking(world)
      const all = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(lookOnce({ ...first })))
      yield* pass("5 seconds")
      yield* Fiber.joinAll(all)
      yield* Effect.forkChild(lookOnce(first))
      yield* pass("5 seconds")
      expect(looks).toEqual(["w1"])
      expect(yield* of("r1")).toEqual(["w1"])
    })
  )

  scenario("waits for that workload alone, and is made again when it failed", (world) =>
    Effect.gen(function* () {
      const { first, lookOnce, looks, second } = yield* looking(world)
      world.faults.on(({ subject }) => subject === "w2", { kind: "timeout", lands: "never" }, 1)
      const hanging = yield* Effect.forkChild(Effect.exit(lookOnce(second)))
      const quick = yield* Effect.forkChild(lookOnce(first))
      yield* pass("5 seconds")
      expect(quick.pollUnsafe()?._tag).toBe("Success")
      expect(hanging.pollUnsafe()).toBeUndefined()
      yield* pass("1 minute")
      expect((yield* Fiber.join(hanging))._tag).toBe("Failure")
      yield* Effect.forkChild(lookOnce(second))
      yield* pass("5 seconds")
      expect(looks).toEqual(["w2", "w1", "w2"])
    })
  )
})
