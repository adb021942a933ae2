import { describe, expect, it } from "vitest"
import { type Known, nothingKnown, resolveReferences } from "../../src/job/references.ts"
import { semanticsOf } from "../../src/job/semantics.ts"

const known: Known = {
  blocks: new Map<string, Readonly<Record<string, unknown>> | undefined>([
    ["secret/s", { value: "hush-hush" }],
    ["json/j", { value: { x: [1, 2], values: 5 } }],
    ["cfg/c", { token: "hush-hush", next: "{{ prefect.variables.v }}" }],
    ["id1", { token: "t" }],
    ["secret/gone", undefined]
  ]),
  variables: new Map([
    ["v", { value: "blue" }],
    ["n", { value: [1, null] }],
    ["gone", undefined]
  ])
}
const resolve = (value: unknown, version = "3.8.8") => resolveReferences(value, known, semanticsOf(version))
const rules = (value: unknown, version?: string) =>
  resolve(value, version).problems.map(({ path, rule }) => `${path}: ${rule}`)

describe("a reference to a block", () => {
  it("by id becomes the block's data, by name also one attribute of it", () => {
    const value = {
      config: { $ref: { block_document_id: "id1" } },
      whole: "{{ prefect.blocks.cfg.c }}",
      one: "{{ prefect.blocks.cfg.c.token }}"
    }
    expect(resolve(value).value).toEqual({
      config: { token: "t" },
      whole: { token: "hush-hush", next: "blue" },
      one: "hush-hush"
    })
  })

  it("to a block that holds only a value stands for the value", () => {
    expect(resolve(["{{ prefect.blocks.secret.s }}", "{{ prefect.blocks.secret.s.value }}"]).value).toEqual([
      "hush-hush",
      "hush-hush"
    ])
    expect(resolve("{{ prefect.blocks.json.j.x[1] }}").value).toBe(2)
  })

  it("may name a key that merely starts with value, from 3.x on", () => {
    expect(resolve("{{ prefect.blocks.json.j.values }}").value).toBe(5)
    expect(rules("{{ prefect.blocks.json.j.values }}", "2.20.25")).toHaveLength(1)
  })

  it("stands inside text from 3.7.0 on, where it is no object; before, it is a problem", () => {
    const text = "https://{{ prefect.blocks.secret.s }}@host/{{ prefect.variables.v }}"
    expect(resolve(text, "3.7.0").value).toBe("https://hush-hush@host/blue")
    expect(rules({ a: text }, "3.6.22")).toEqual([expect.stringContaining("a: Invalid template")])
    expect(rules({ a: "x{{ prefect.blocks.json.j }}" })).toEqual([expect.stringContaining("an object")])
  })

  it("that leads nowhere is a problem with its path, and no secret is told", () => {
    const told = rules({
      env: { A: "{{ prefect.blocks.secret.gone }}", B: "{{ prefect.blocks.cfg.c.nope }}" },
      list: ["{{ prefect.blocks.secret }}", { $ref: { block_document_id: 5 } }]
    })
    expect(told).toHaveLength(4)
    expect(told[0]).toBe('env.A: block "gone" of type "secret" does not exist')
    expect(told[1]).toMatch(/^env\.B: .*Could not resolve the keypath/u)
    expect(told[2]).toMatch(/^list\[0\]: /u)
    expect(told.join()).not.toContain("hush")
  })

  it("leaves a $ref of a JSON schema alone", () => {
    expect(resolve({ $ref: "#/definitions/X" }).value).toEqual({ $ref: "#/definitions/X" })
  })
})

describe("a reference to a variable", () => {
  it("becomes its value of any type, and text inside text", () => {
    expect(resolve(["{{ prefect.variables.n }}", "<{{ prefect.variables.n }}>"]).value).toEqual([
      [1, null],
      "<[1, None]>"
    ])
  })

  it("that does not exist is empty text", () => {
    expect(resolve(["{{ prefect.variables.gone }}", "x{{ prefect.variables.gone }}"]).value).toEqual([
      "",
      "x"
    ])
  })
})

describe("what is not read yet", () => {
  it("is asked for: blocks first, then variables, those in blocks too", () => {
    const value = ["{{ prefect.blocks.cfg.c }}", "{{ prefect.variables.w }}"]
    const first = resolveReferences(value, nothingKnown, semanticsOf("3.8.8"))
    expect(first.needs).toEqual({ blocks: [{ typeSlug: "cfg", name: "c" }], variables: [] })
    const second = resolveReferences(value, { ...nothingKnown, blocks: known.blocks }, semanticsOf("3.8.8"))
    expect(second.needs).toEqual({ blocks: [], variables: ["v", "w"] })
  })
})
