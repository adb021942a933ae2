/** The examples of `docs/blocks.md` do what the page says, in its order, on one server. */
import { readFileSync } from "node:fs"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { shellWords } from "../../src/job/shell-words.ts"
import { told, withFile } from "./person.ts"
import { PrefectBlocks } from "./server.ts"

const page = readFileSync(new URL("../../docs/blocks.md", import.meta.url), "utf8")

const fenced = (kind: string): ReadonlyArray<string> =>
  [...page.matchAll(/^```(.*)\n([^]*?)^```$/gmu)].flatMap(([, found, text = ""]) =>
    found === kind ? [text] : []
  )

const commands = fenced("sh")
  .join("")
  .replaceAll("\\\n", "")
  .split("\n")
  .filter((line) => line !== "")

it.effect("every command of docs/blocks.md succeeds", () =>
  Effect.gen(function* () {
    const [job = ""] = fenced("yaml")
    const [patch = ""] = fenced("yaml patch")
    const files: Readonly<Record<string, string>> = {
      "job_template.yaml": yield* withFile(job),
      "job.yaml": yield* withFile(job.replace("env: []", "image: acme/flows:1")),
      "patch.yaml": yield* withFile(patch)
    }
    const server = new PrefectBlocks()
    expect(commands.length).toBeGreaterThan(7)
    for (const command of commands) {
      const [before = "", line = ""] = command.split(/\bagent blocks /u)
      const split = shellWords(line)
      const args = "words" in split ? split.words : []
      // A token in front, as a variable or piped in, is given as piped in.
      const { text, failed } = yield* told(
        server,
        args.map((word) => files[word] ?? word),
        before === "" ? "" : "a-token"
      )
      expect(failed, text).toBe(false)
      expect(text, command).not.toContain("would refuse")
    }
    expect(server.document("control-plane-infrastructure", "cpln-infra").references).toHaveProperty("config")
    expect(server.document("cpln-job", "my-cpln-job").data).toMatchObject({ org: "acme", namespace: "dev" })
  }).pipe(Effect.scoped)
)
