import { expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { keptRows } from "../../src/http/rows.ts"

const Row = Schema.Struct({
  id: Schema.String,
  size: Schema.Number,
  updated: Schema.optionalKey(Schema.String)
})

const rows = () =>
  keptRows(Row, ({ updated }, decoded) => updated !== undefined && updated === decoded.updated)

it.effect("a row that did not change is given as it was decoded before, in its place", () =>
  Effect.gen(function* () {
    const read = rows()
    const first = yield* read([
      { id: "a", size: 1, updated: "1" },
      { id: "b", size: 2, updated: "1" }
    ])
    const second = yield* read([
      { id: "c", size: 3, updated: "1" },
      { id: "b", size: 2, updated: "1" },
      { id: "a", size: 7, updated: "2" }
    ])
    expect(second.map(({ size }) => size)).toEqual([3, 2, 7])
    expect(second[1]).toBe(first[1])
  })
)

it.effect("a row of which it cannot be told whether it changed is decoded each time", () =>
  Effect.gen(function* () {
    const read = rows()
    const [first] = yield* read([{ id: "a", size: 1 }])
    const [second] = yield* read([{ id: "a", size: 2 }])
    expect([first?.size, second?.size]).toEqual([1, 2])
  })
)

it.effect("a changed row that is not as it should be is an error, whatever was known of it", () =>
  Effect.gen(function* () {
    const read = rows()
    yield* read([{ id: "a", size: 1, updated: "1" }])
    const error = yield* Effect.flip(read([{ id: "a", size: "large", updated: "2" }]))
    expect(Schema.isSchemaError(error)).toBe(true)
  })
)

it.effect("a row that was not read for two minutes is forgotten", () =>
  Effect.gen(function* () {
    const read = rows()
    yield* TestClock.adjust("61 seconds")
    const [first] = yield* read([{ id: "a", size: 1, updated: "1" }])
    for (const _ of [1, 2]) {
      yield* TestClock.adjust("61 seconds")
      yield* read([])
    }
    const [later] = yield* read([{ id: "a", size: 1, updated: "1" }])
    expect(later).not.toBe(first)
    expect(later).toEqual(first)
  })
)
