/** Any JSON through the template engine and the infrastructure block: an answer of the known kinds, never a throw. */
import { describe, expect, it } from "vitest"
import { configure } from "../../src/job/configuration.ts"
import { convert } from "../../src/job/convert.ts"
import { prepareInfrastructure } from "../../src/job/infrastructure-block.ts"
import { type JsonRecord, recordOf } from "../../src/job/json.ts"
import { poolDefaults } from "../../src/job/pool-defaults.ts"
import { problemText } from "../../src/job/problem.ts"
import { blockKeyText, type Known, nothingKnown } from "../../src/job/references.ts"
import { officialTemplate } from "../../src/job/template.ts"
import { below, type Chance, pick, seeded } from "./manifest/arbitrary.ts"
import { sourceOf } from "./sources.ts"

/** Fewer (`FUZZ_CASES=1000`) while working on it. */
const cases = Number(process.env["FUZZ_CASES"] ?? 100_000)

/** Half a minute on a quiet machine, many more on a busy one. */
const patience = 600_000

const keys =
  "env labels name command config org namespace location job job_manifest metadata spec template containers image args token default properties customizations op path value env.A a.b[0] $ref block_document_id __proto__ constructor job_type".split(
    " "
  )
const texts = [
  "",
  "x",
  "{{ env }}",
  "{{ name }}-",
  "{{ a.b[0] }} {{ $HOME }}",
  "{{ prefect.blocks.secret.s }}",
  "x{{ prefect.blocks.json.j.a[1] }}",
  "{{ prefect.blocks. }}",
  "{{ prefect.variables.v }}",
  "{{ ctx.flow.name }}",
  "echo 'open",
  "\u0000\ud800",
  "🚀",
  "/org/acme/location/x",
  "12",
  "[]"
]

const anyJson = (chance: Chance, depth = 0): unknown => {
  const kind = chance()
  if (depth > 4 || kind < 0.4) return pick(chance, texts)
  if (kind < 0.5) return pick(chance, [null, true, false, 0, -1, 1.5, 1e300])
  if (kind < 0.65) return Array.from({ length: below(chance, 3) }, () => anyJson(chance, depth + 1))
  return anyRecord(chance, depth)
}

const anyRecord = (chance: Chance, depth = 0): JsonRecord =>
  Object.fromEntries(
    Array.from({ length: below(chance, 5) }, () => [pick(chance, keys), anyJson(chance, depth + 1)] as const)
  )

/** The official template with one part of its configuration, or of its variables, replaced by anything. */
const spoilt = (chance: Chance): JsonRecord => {
  const official = officialTemplate({ version: "3.8.8" })
  const part = pick(chance, ["job_configuration", "variables"])
  const inside = recordOf(official[part])
  const key = pick(chance, Object.keys(inside))
  return { ...official, [part]: { ...inside, [key]: anyJson(chance) } }
}

const answered = (chance: Chance) => {
  const source = sourceOf({
    version: pick(chance, ["2.20.25", "3.0.0", "3.6.5", "3.8.8"]),
    template: chance() < 0.3 ? anyRecord(chance) : spoilt(chance),
    deployment: anyRecord(chance),
    run: anyRecord(chance)
  })
  const before = JSON.stringify(source)
  poolDefaults(source.template, source.version, {})
  let known: Known = nothingKnown
  for (let round = 0; round < 4; round++) {
    const step = configure(source, known)
    expect(JSON.stringify(source)).toBe(before)
    if (step._tag !== "Needs") return step
    known = {
      blocks: new Map([
        ...known.blocks,
        ...step.blocks.map(
          (key) => [blockKeyText(key), chance() < 0.5 ? undefined : anyRecord(chance)] as const
        )
      ]),
      variables: new Map([
        ...known.variables,
        ...step.variables.map(
          (name) => [name, chance() < 0.5 ? undefined : { value: anyJson(chance) }] as const
        )
      ])
    }
  }
  throw new Error("asks for ever")
}

describe("any JSON", () => {
  it(
    "as template and variables is configured or refused with reasons, and then converted or refused",
    () => {
      const chance = seeded(1)
      const seen = { Configured: 0, Refused: 0 }
      for (let at = 0; at < cases; at++) {
        const step = answered(chance)
        seen[step._tag]++
        if (step._tag === "Refused") expect(problemText(step.problems)).not.toBe("")
        else {
          const context = {
            org: "o",
            gvc: "g",
            location: "l",
            jobType: undefined,
            poolId: "p",
            secretKeys: new Map()
          }
          convert(step.configuration.job_manifest, context)
        }
      }
      expect(seen.Configured).toBeGreaterThan(cases / 100)
      expect(seen.Refused).toBeGreaterThan(cases / 100)
    },
    patience
  )

  it(
    "as infrastructure block, overrides and patches is prepared or refused with reasons",
    () => {
      const chance = seeded(2)
      for (let at = 0; at < cases; at++) {
        const step = prepareInfrastructure({
          ...sourceOf(),
          block: anyRecord(chance),
          overrides: anyRecord(chance),
          version: "2.20.25"
        })
        if (step._tag === "Refused") expect(problemText(step.problems)).not.toBe("")
      }
    },
    patience
  )

  it("that is nested without end is refused, not recursed into", () => {
    let deep: unknown = "x"
    for (let level = 0; level < 50_000; level++) deep = [deep]
    for (const variation of [
      { deployment: { env: deep } },
      { template: { job_configuration: { a: deep } } }
    ]) {
      expect(configure(sourceOf(variation), nothingKnown)).toMatchObject({ _tag: "Refused" })
    }
    const known: Known = { ...nothingKnown, blocks: new Map([["b", { deep }]]) }
    expect(
      configure(sourceOf({ deployment: { config: { $ref: { block_document_id: "b" } } } }), known)
    ).toMatchObject({
      _tag: "Refused"
    })
    expect(
      prepareInfrastructure({ ...sourceOf(), block: { env: deep }, overrides: {}, version: "2.20.25" })
    ).toMatchObject({ _tag: "Refused" })
  })
})
