/**
 * YAML and JSON files as users of Kubernetes write them.
 *
 * Invariant: a problem names the place in the file and never repeats what stands there: it may be a secret.
 */
import { Result } from "effect"
import { LineCounter, parseDocument, type ScalarTag } from "yaml"

/** `defaultMode: 0644` means 420 to kubectl and to Python, though YAML 1.2 has it as 644. */
const oldOctal: ScalarTag = {
  tag: "tag:yaml.org,2002:int",
  default: true,
  identify: () => false,
  test: /^[-+]?0[0-7]+$/u,
  resolve: (text) => Number.parseInt(text, 8)
}

/** The value of the one document in it, or what is wrong with it. */
export const parseYaml = (text: string): Result.Result<unknown, string> => {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    customTags: (tags) => [oldOctal, ...tags],
    merge: true,
    prettyErrors: false,
    lineCounter: lines
  })
  const [error] = document.errors
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0])
    const what =
      error.code === "MULTIPLE_DOCS"
        ? "a second document begins, and only one is taken"
        : `it is not YAML (${error.code.toLowerCase().replaceAll("_", " ")})`
    return Result.fail(`line ${line}, column ${col}: ${what}`)
  }
  try {
    return Result.succeed(document.toJS() as unknown)
  } catch {
    return Result.fail("it refers to parts of itself too often, or to a part that is not there")
  }
}
