import { describe, expect, it } from "vitest"
import { shellWords } from "../../src/job/shell-words.ts"

describe("a command line", () => {
  it.each([
    ["prefect flow-run execute", ["prefect", "flow-run", "execute"]],
    [`python -c 'print("a b")' --name="x y"`, ["python", "-c", 'print("a b")', "--name=x y"]],
    [`a\\ b "c\\"d\\e" ''  "" '\\'`, ["a b", 'c"d\\e', "", "", "\\"]],
    ["  $HOME * # ; | \n x ", ["$HOME", "*", "#", ";", "|", "x"]],
    ["", []]
  ])("%j has the words %j", (line, words) => {
    expect(shellWords(line)).toEqual({ words })
  })

  it("with an open quote or a lone backslash at its end is a problem", () => {
    expect(shellWords("echo 'oops")).toEqual({ problem: "No closing quotation" })
    expect(shellWords("echo \\")).toEqual({ problem: "No escaped character" })
  })
})
