import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { parse } from "yaml"
import { problemText } from "../../../src/job/problem.ts"
import { toApply } from "../../../src/job/to-apply.ts"
import { accepted, problems } from "./convert-one.ts"

const page = readFileSync(join(import.meta.dirname, "../../../docs/jobs.md"), "utf8")

/** The blocks of the page with this mark, in order. */
const blocks = (mark: string): ReadonlyArray<string> =>
  [...page.matchAll(/^```(.+)\n([^]*?)^```$/gmu)]
    .filter(([, given]) => given === mark)
    .map(([, , text]) => text ?? "")

describe("the examples of docs/jobs.md", () => {
  it("give the workload, command and policy that the page shows", () => {
    const [manifest, ...others] = blocks("yaml manifest")
    expect(others).toEqual([])
    const job = accepted(parse(manifest ?? ""))
    const { name, tags, spec } = job
    expect({ name, tags, spec }).toEqual(parse(blocks("yaml workload")[0] ?? ""))
    expect({
      tags: job.labels,
      spec: {
        location: job.location,
        containerOverrides: job.overrides,
        activeDeadlineSeconds: job.activeDeadlineSeconds
      }
    }).toEqual(parse(blocks("yaml command")[0] ?? ""))
    expect(job.policy?.body).toEqual(parse(blocks("yaml policy")[0] ?? ""))
    expect(job.warnings).toHaveLength(1)
  })

  it("give what is to be applied where the agent may write neither identity nor policy", () => {
    const { identity, policy } = accepted(parse(blocks("yaml manifest")[0] ?? ""))
    expect(page).toContain(`\n${toApply({ ...identity?.body, gvc: "dev" }, policy?.body ?? {})}\n\`\`\``)
  })

  it("are refused at the paths and in the words that the page shows", () => {
    const refused = blocks("yaml refused")
    expect(refused.length).toBeGreaterThan(0)
    for (const text of refused) {
      const paths = [...text.matchAll(/^# (.+)$/gmu)].map(([, path]) => path)
      expect(problems(parse(text)).map(({ path }) => path)).toEqual(paths)
    }
    expect(page).toContain(problemText(problems(parse(refused[0] ?? ""))))
  })
})
