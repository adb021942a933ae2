/**
 * What can happen to a Prefect server as a whole: an older or an empty database, two servers behind one address, a pool
 * that is deleted, and made anew or not.
 *
 * Invariant: not drawn by chance: they end what a world is about, so that whoever wants one says so and what is to hold.
 */
import { Clock, Effect } from "effect"
import { poolName } from "../world.ts"
import { done, kind, later } from "./kind.ts"

export const events = {
  "database reset": kind<{ readonly poolId: string }>({
    weight: 0,
    draw: () => Effect.succeed({ poolId: "5a1d8f0e-0000-4000-8000-000000000001" }),
    apply: ({ world }, { poolId }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        world.prefect.reset(now, (name) => (name === poolName ? poolId : `again ${name}`))
        return true
      })
  }),

  /** To what it was that many seconds ago. */
  "database restored": kind<{ readonly ago: number }>({
    weight: 0,
    draw: () => Effect.succeed({ ago: 60 }),
    apply: ({ world }, { ago }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        world.prefect.restore(now - 1000 * ago, now)
        return true
      })
  }),

  /** A second server without the runs answers every other call; its pool has that id. */
  "database split": kind<{ readonly poolId: string; readonly seconds: number }>({
    weight: 0,
    draw: () => Effect.succeed({ poolId: "5a1d8f0e-0000-4000-8000-000000000002", seconds: 120 }),
    apply: ({ world }, { poolId, seconds }) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        world.split(now, poolId)
        return done(
          later(
            seconds,
            Effect.map(Clock.currentTimeMillis, (then) => world.join(then))
          )
        )
      })
  }),

  /** With an id, another of the same name is there a moment later. */
  "pool deleted": kind<{ readonly poolId: string | null }>({
    weight: 0,
    draw: () => Effect.succeed({ poolId: null }),
    apply: ({ world }, { poolId }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        world.prefect.deletePool(now, poolName)
        if (poolId !== null) world.addPool(poolName, poolId)
        return true
      })
  }),

  /** Its runs that have not begun go with it. */
  "deployment deleted": kind<{}>({
    weight: 0,
    draw: () => Effect.succeed({}),
    apply: ({ world }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        world.prefect.deleteDeployment(now, "deployment-1")
        return true
      })
  })
} as const
