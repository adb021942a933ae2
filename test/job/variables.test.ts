import { describe, expect, it } from "vitest"
import { semanticsOf } from "../../src/job/semantics.ts"
import { mergeVariables } from "../../src/job/variables.ts"

const merge = (
  schema: Record<string, unknown>,
  deployment: Record<string, unknown>,
  run: Record<string, unknown>,
  version = "3.8.8"
) => {
  const properties = Object.fromEntries(
    Object.entries(schema).map(([name, value]) => [name, { default: value }])
  )
  return mergeVariables({ schema: { properties }, deployment, run }, semanticsOf(version))
}

describe("job variables", () => {
  it("of the run win over those of the deployment, and these over the pool's defaults", () => {
    const { values, originOf } = merge({ a: 1, b: 1, c: 1 }, { b: 2, c: 2 }, { c: 3 })
    expect(values).toEqual({ a: 1, b: 2, c: 3 })
    expect(["a", "b", "c", "d"].map(originOf)).toEqual(["pool", "deployment", "run", undefined])
  })

  it("replace each other whole, but for env, which is merged key by key", () => {
    const { values, originOf } = merge(
      {},
      { env: { A: 1, B: 1 }, labels: { x: 1 } },
      { env: { B: 2 }, labels: {} }
    )
    expect(values).toEqual({ env: { A: 1, B: 2 }, labels: {} })
    expect([originOf("env.A"), originOf("env.B")]).toEqual(["deployment", "run"])
  })

  it("leave what is given as it is, so that no run sees another run's values", () => {
    const deployment = { env: { A: "1" } }
    merge({}, deployment, { env: { LEAK: "yes" }, "env.B": "2" })
    expect(deployment).toEqual({ env: { A: "1" } })
  })

  it("with a default of null are null on 2.20 and not set on 3.x", () => {
    expect(merge({ a: null }, {}, {}, "2.20.25").values).toEqual({ a: null })
    expect(merge({ a: null }, {}, {}, "3.0.0").values).toEqual({})
  })

  it("with dotted names are nested from 3.6.5 on, under those that are nested already", () => {
    const given = { "env.A": "dotted", "env.B": "dotted", env: { B: "nested" }, "a[0].b": 1 }
    expect(merge({}, given, {}, "3.6.5").values).toEqual({
      env: { A: "dotted", B: "nested" },
      a: { "0": { b: 1 } }
    })
    const before = merge({}, given, {}, "3.6.4")
    expect(before.values).toMatchObject({ "env.A": "dotted", env: { B: "nested" } })
    expect(before.dotted).toEqual(["env.A", "env.B", "a[0].b"])
  })

  it("that are set whole and in part at once are a problem", () => {
    expect(merge({}, { "a.b": 1, "a.b.c": 2 }, {}).problems).toMatchObject([{ path: "a.b.c" }])
    expect(merge({}, { env: { A: 1 } }, { env: "x" }).problems).toMatchObject([{ path: "env" }])
  })

  it("may be named like parts of JavaScript", () => {
    const { values } = merge(
      {},
      JSON.parse('{"__proto__": 1, "constructor.x": 2}') as Record<string, unknown>,
      {}
    )
    expect(Object.entries(values)).toEqual([
      ["constructor", { x: 2 }],
      ["__proto__", 1]
    ])
  })
})
