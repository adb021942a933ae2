import { describe, expect, it } from "@effect/vitest"
import { Schema } from "effect"
import { makeLineCutter } from "../../../src/emulator/jobs/processes/output.ts"

const cut = (chunks: ReadonlyArray<Uint8Array>): ReadonlyArray<readonly [string, number]> => {
  const lines: Array<readonly [string, number]> = []
  const cutter = makeLineCutter((line, unread) => lines.push([line, unread]))
  for (const chunk of chunks) cutter.push(chunk)
  cutter.end()
  return lines
}

const bytes = (text: string) => new TextEncoder().encode(text)

/** The bytes in pieces of the given sizes, in turn. */
const inPieces = (all: Uint8Array, sizes: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const pieces: Array<Uint8Array> = []
  for (let at = 0, n = 0; at < all.length; n++) {
    const size = sizes[n % sizes.length] ?? 1
    pieces.push(all.subarray(at, at + size))
    at += size
  }
  return pieces
}

describe("the output of a process", () => {
  it("is cut at newlines; what was begun when it ends is a line too", () => {
    expect(cut([bytes("a\nb\n\nc")])).toEqual([
      ["a", 0],
      ["b", 0],
      ["", 0],
      ["c", 0]
    ])
    expect(cut([bytes("a\n")])).toEqual([["a", 0]])
    expect(cut([])).toEqual([])
  })

  it("keeps of a line without end no more than the log service does, and counts the rest", () => {
    const line = "x".repeat(100_000)
    expect(cut(inPieces(bytes(`${line}\nnext`), [4096]))).toEqual([
      ["x".repeat(16_384), 100_000 - 16_384],
      ["next", 0]
    ])
  })

  it("is not cut within a character where it is too long", () => {
    const [[line, unread] = ["", 0]] = cut(inPieces(bytes(`x${"é".repeat(20_000)}`), [1000]))
    expect(line).toBe(`x${"é".repeat(8191)}`)
    expect(unread).toBe(40_001 - 16_383)
  })

  it("may hold bytes that are no text", () => {
    expect(cut([new Uint8Array([97, 0xff, 98, 10])])).toEqual([["a\ufffdb", 0]])
  })

  it.prop(
    "makes the same lines whatever chunks it comes in",
    {
      lines: Schema.Array(Schema.Literals(["", "plain", "é", "日本語", "😀😀", "a\tb", "x".repeat(17_000)])),
      sizes: Schema.NonEmptyArray(Schema.Literals([1, 2, 3, 5, 1000]))
    },
    ({ lines, sizes }) => {
      const all = bytes(lines.map((line) => `${line}\n`).join(""))
      expect(cut(inPieces(all, sizes))).toEqual(
        lines.map((line) => [line.slice(0, 16_384), Math.max(0, line.length - 16_384)])
      )
    }
  )
})
