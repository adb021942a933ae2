import { describe, expect, it } from "@effect/vitest"
import { Result } from "effect"
import {
  atLeast,
  checkInfrastructure,
  checkJob,
  given,
  manifestProblems,
  nameProblems,
  pairs,
  patchProblems,
  words
} from "../../src/blocks/documents.ts"
import { parseYaml } from "../../src/blocks/yaml-text.ts"
import { skeleton } from "../../src/job/job-manifest.ts"
import { type Problem, problemText } from "../../src/job/problem.ts"

const parsed = (text: string) => Result.getOrThrow(parseYaml(text))
const refused = (text: string) => Result.getOrElse(Result.flip(parseYaml(text)), () => "accepted")

describe("YAML files", () => {
  it("are read as kubectl and Python read them: old octals, merge keys, anchors; JSON too", () => {
    expect(parsed("mode: 0644\nversion: 010\nname: '0644'\nzero: 0\nkey: 09")).toEqual({
      mode: 420,
      version: 8,
      name: "0644",
      zero: 0,
      key: 9
    })
    expect(parsed("base: &b {a: 1}\nmore:\n  <<: *b\n  c: 2")).toEqual({
      base: { a: 1 },
      more: { a: 1, c: 2 }
    })
    expect(parsed('{"kind": "Job"}')).toEqual({ kind: "Job" })
  })

  it("keep words and times as the texts that they are", () => {
    expect(parsed("a: no\nb: 12:30\nc: 2026-01-01")).toEqual({ a: "no", b: "12:30", c: "2026-01-01" })
  })

  it("that cannot be used are refused with the place and without what stands there", () => {
    expect(refused("a: 1\nb: [s3cret")).toMatch(/^line 2, column \d+: it is not YAML/u)
    expect(refused("a: *s3cret")).not.toContain("s3cret")
    expect(refused("a: 1\n---\nb: 2")).toMatch(/line \d, column 1: a second document begins/u)
  })

  it("that would grow without end are refused", () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for (let level = 1; level < 9; level++)
      lines.push(`a${level}: &a${level} [${Array.from({ length: 9 }, () => `*a${level - 1}`).join(", ")}]`)
    expect(refused(lines.join("\n"))).toContain("refers to parts of itself too often")
  })
})

describe("fields of a block", () => {
  const collect = <A>(read: (problems: Array<Problem>) => A) => {
    const problems: Array<Problem> = []
    return [read(problems), problemText(problems)] as const
  }

  it("are left out when they were not given", () => {
    expect(given({ a: undefined, b: null, c: 0, d: false })).toEqual({ b: null, c: 0, d: false })
    expect(collect((problems) => pairs("env", [], problems))[0]).toBeUndefined()
    expect(collect((problems) => words("command", undefined, problems))[0]).toBeUndefined()
  })

  it("of the form KEY=VALUE may have = in the value; a malformed one is not repeated", () => {
    expect(collect((problems) => pairs("env", ["A=b=c", "B="], problems))[0]).toEqual({ A: "b=c", B: "" })
    const [, text] = collect((problems) => pairs("env", ["s3cret", "=s3cret"], problems))
    expect(text).toContain("--env")
    expect(text).not.toContain("s3cret")
  })

  it("that are command lines become words", () => {
    expect(collect((problems) => words("command", "sh -c 'a b'", problems))[0]).toEqual(["sh", "-c", "a b"])
    expect(collect((problems) => words("command", "sh 'a", problems))[1]).toContain("No closing quotation")
  })

  it("that are seconds have a least value", () => {
    expect(collect((problems) => atLeast("timeout", 0, 1, problems))[1]).toContain("1 or more")
    expect(collect((problems) => atLeast("timeout", 1, 1, problems))).toEqual([1, problemText([])])
  })

  it("that come from files must have the right form", () => {
    expect(manifestProblems("job.yaml", [1])[0]?.path).toBe("job.yaml")
    expect(manifestProblems("job.yaml", {})).toEqual([])
    expect(patchProblems("p.yaml", { op: "add" })).toHaveLength(1)
    expect(patchProblems("p.yaml", [{ op: "add", path: "/a", value: 1 }])).toEqual([])
  })

  it("include a name that a server takes", () => {
    expect(nameProblems("cpln-infra-2")).toEqual([])
    for (const name of ["", "Cpln", "a_b", "a/b", "a b"]) expect(nameProblems(name)).toHaveLength(1)
  })
})

const job = skeleton({ env: [] })

describe("an infrastructure block", () => {
  it("may leave to the agent where its jobs run and with which token", () => {
    expect(checkInfrastructure({ type: "cpln-infrastructure", job, image: "i:1" })).toEqual({
      problems: [],
      warnings: []
    })
  })

  it("is refused for what the Python class refuses, all at once", () => {
    const { problems } = checkInfrastructure({
      job: { apiVersion: "batch/v1", kind: "Job" },
      job_type: "A_B",
      customizations: [{ op: "add", path: "/a", value: 1 }]
    })
    expect(problemText(problems)).toContain("Job is missing required attributes at the following paths")
    expect(problemText(problems)).toContain("job_type must contain only lowercase")
  })

  it("is not warned of a service account that is given by its link", () => {
    for (const service_account_name of ["runner", "/org/acme/gvc/dev/identity/runner", "//identity/runner"])
      expect(checkInfrastructure({ job, image: "i:1", service_account_name }).warnings).toEqual([])
    expect(checkInfrastructure({ job, image: "i:1", service_account_name: "A B" }).warnings).toHaveLength(1)
  })

  it("is warned of what Control Plane would refuse, because a deployment may override it", () => {
    const reserved = skeleton({ env: [{ name: "K_REVISION", value: "1" }] })
    const { problems, warnings } = checkInfrastructure({ job: reserved, image: "i:1" })
    expect(problems).toEqual([])
    expect(problemText(warnings)).toContain("K_REVISION")
  })
})

describe("a CplnJob block", () => {
  it("needs a container and no name", () => {
    expect(checkJob(skeleton({ image: "i:1" }))).toEqual({ problems: [], warnings: [] })
    for (const manifest of [{}, { spec: { template: { spec: { containers: [] } } } }, 1])
      expect(problemText(checkJob(manifest).problems)).toContain("there is no container")
  })

  it("is not warned of what `agent job run` fills in", () => {
    const { spec } = skeleton({ image: "i:1" }) as { readonly spec: unknown }
    const kubectl = { apiVersion: "batch/v1", kind: "Job", spec }
    for (const metadata of [undefined, null, {}, { name: "nightly" }, { labels: null, generateName: null }])
      expect(checkJob({ ...kubectl, metadata })).toEqual({ problems: [], warnings: [] })
  })

  it("is warned of what Control Plane would refuse; keys of whole secrets are seen when it runs", () => {
    expect(problemText(checkJob(skeleton({})).warnings)).toContain("image")
    expect(checkJob(skeleton({ image: "i:1", envFrom: [{ secretRef: { name: "app" } }] })).warnings).toEqual(
      []
    )
  })
})
