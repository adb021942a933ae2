import { describe, expect, it } from "@effect/vitest"
import type { LogLine } from "../../src/cpln/logs.ts"
import { clear, newGate, type Room, wait } from "../../src/logs/gate.ts"

const line = (length: number, at = 1n): LogLine => ({ at, line: "x".repeat(length), labels: {} })

const mebibyte = 1024 * 1024

describe("lines that wait for their turn", () => {
  it("are given back in the order in which they came, and their room with them", () => {
    const room: Room = { bytes: 0 }
    const gate = newGate()
    const lines = [line(10, 3n), line(20, 2n)]
    for (const each of lines) wait(gate, room, each)
    expect(room.bytes).toBeGreaterThan(60)
    expect(clear(gate, room)).toEqual(lines)
    expect(clear(gate, room)).toEqual([])
    expect(room.bytes).toBe(0)
  })

  it("of one job take a quarter of a MiB at most; then none is kept, and that is known", () => {
    const room: Room = { bytes: 0 }
    const gate = newGate()
    for (let n = 0; n < 1_000; n++) {
      wait(gate, room, line(1_000))
      expect(room.bytes).toBeLessThanOrEqual(mebibyte / 4)
    }
    expect(gate).toMatchObject({ seen: true, spilled: true, lines: [] })
    expect(room.bytes).toBe(0)
  })

  it("of all jobs take 16 MiB at most", () => {
    const room: Room = { bytes: 0 }
    const gates = Array.from({ length: 200 }, newGate)
    for (let n = 0; n < 120; n++) {
      for (const gate of gates) wait(gate, room, line(1_000))
      expect(room.bytes).toBeLessThanOrEqual(16 * mebibyte)
    }
    expect(gates.some(({ spilled }) => spilled)).toBe(true)
    for (const gate of gates) clear(gate, room)
    expect(room.bytes).toBe(0)
  })
})
