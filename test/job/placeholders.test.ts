import { describe, expect, it } from "vitest"
import { fillIn, lookUp, missing, placeholdersIn, variablesIn } from "../../src/job/placeholders.ts"

const variables = { a: { b: [1, { c: null }], "0": "key" }, text: "x", list: [], __proto: 1, env: { A: "1" } }
const environment = { HOME: "/root" }
const fill = (template: unknown) => fillIn(template, { variables, environment })

describe("a placeholder that is the whole text", () => {
  it("becomes the value as it is, null too", () => {
    expect(fill({ p: "{{ a.b[0] }}", q: "{{a.b[1].c}}", r: "{{ env }}" })).toEqual({
      p: 1,
      q: null,
      r: { A: "1" }
    })
  })

  it("takes its key or its list item with it where the value is missing", () => {
    expect(fill({ p: "{{ gone }}", q: ["{{ gone }}", "{{ text }}", { r: "{{ a.gone }}" }] })).toEqual({
      q: ["x", {}]
    })
  })
})

describe("a placeholder inside text", () => {
  it("becomes Python's text, and nothing where the value is missing", () => {
    expect(fill("<{{ a.b }}|{{ gone }}|{{text}}>")).toBe("<[1, {'c': None}]||x>")
    expect(fill(" {{ text }}")).toBe(" x")
  })

  it("of the environment is text even alone, empty where it is not set", () => {
    expect(fill(["{{ $HOME }}", "{{ $NOPE }}", "~{{$HOME}}"])).toEqual(["/root", "", "~/root"])
  })
})

describe("placeholders", () => {
  it("have names of letters of any script, digits and _.-[]$; other braces are text", () => {
    expect(placeholdersIn("{{ größe }}{{a b}}{{ }}{{x-1[0].y}}").map(({ name }) => name)).toEqual([
      "größe",
      "x-1[0].y"
    ])
    expect(fill("{{ a b }} {{}} {{ a")).toBe("{{ a b }} {{}} {{ a")
  })

  it("are not looked for in values that were just put in, nor in keys", () => {
    const values = { variables: { x: "{{ y }}", y: "secret" }, environment: {} }
    expect(fillIn({ "{{ y }}": "{{ x }}-{{ x }}" }, values)).toEqual({ "{{ y }}": "{{ y }}-{{ y }}" })
  })

  it("leave those of blocks and variables to the next passes", () => {
    const text = "{{ prefect.blocks.secret.s }} {{ prefect.variables.v }}"
    expect(fill(text)).toBe(text)
  })

  it("name the variables that a template asks for", () => {
    const template = { p: "{{ a.b[0] }} {{ $HOME }} {{ prefect.variables.v }}", q: ["{{ list[1] }}"] }
    expect([...variablesIn(template)]).toEqual(["a", "list"])
  })
})

describe("a path", () => {
  it("reads whole numbers as indices only, negative ones from the end, in lists and texts", () => {
    expect(lookUp(variables, "a.0")).toBe(missing)
    expect(lookUp({ l: [1, 2] }, "l[-1]")).toBe(2)
    expect(lookUp({ t: "añz" }, "t[1]")).toBe("ñ")
    expect(lookUp({ l: [1] }, "l[1]")).toBe(missing)
  })

  it("sees own keys only", () => {
    expect(lookUp({}, "constructor")).toBe(missing)
    expect(lookUp({}, "__proto__")).toBe(missing)
  })
})
