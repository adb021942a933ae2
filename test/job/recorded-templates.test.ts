/** Templates and variables of chance, as Prefect 2.20.25 and 3.8.8 themselves read them (`recorded/`). */
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import type { JsonRecord } from "../../src/job/json.ts"
import { populate } from "../../src/job/populate.ts"
import type { Problem } from "../../src/job/problem.ts"
import { type Known, resolveReferences } from "../../src/job/references.ts"
import { semanticsOf } from "../../src/job/semantics.ts"
import { mergeVariables } from "../../src/job/variables.ts"

interface Recorded {
  readonly blocks: Readonly<Record<string, JsonRecord>>
  readonly variables: JsonRecord
  readonly cases: ReadonlyArray<{
    readonly in: {
      readonly template: { readonly job_configuration: JsonRecord; readonly variables: JsonRecord }
      readonly deployment: JsonRecord
      readonly run: JsonRecord
    }
    readonly out?: JsonRecord
    readonly refused?: true
  }>
}

const recorded = (version: string) =>
  JSON.parse(readFileSync(new URL(`recorded/templates-${version}.json`, import.meta.url), "utf8")) as Recorded

describe.each(["2.20.25", "3.8.8"])("templates read by Prefect %s", (version) => {
  const { blocks, variables, cases } = recorded(version)
  const semantics = semanticsOf(version)
  const known: Known = {
    blocks: new Map(Object.entries(blocks)),
    variables: new Map([
      ["none", undefined],
      ...Object.entries(variables).map(([name, value]) => [name, { value }] as const)
    ])
  }

  const read = ({ template, deployment, run }: Recorded["cases"][number]["in"]) => {
    const merged = mergeVariables({ schema: template.variables, deployment, run }, semantics)
    const problems: Array<Problem> = [...merged.problems]
    const environment = { FOO: "foo-env" }
    const filled = populate(template.job_configuration, merged, semantics, environment, problems)
    const { job_manifest: _ours, ...configuration } = filled.value
    const resolved = resolveReferences(configuration, known, semantics)
    return { configuration: resolved.value, problems: [...problems, ...resolved.problems] }
  }

  it("become the same configuration here, and what it raises on is refused", () => {
    for (const each of cases) {
      const { configuration, problems } = read(each.in)
      if (each.refused === true) expect(problems, JSON.stringify(each.in)).not.toEqual([])
      else expect({ configuration, problems }).toEqual({ configuration: each.out, problems: [] })
    }
  })

  it("stay as they are", () => {
    const before = JSON.stringify(cases)
    cases.forEach((each) => read(each.in))
    expect(JSON.stringify(cases)).toBe(before)
  })
})
