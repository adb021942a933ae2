import { describe, expect, it } from "@effect/vitest"
import { rankOf } from "../../../src/runs/act/rendezvous.ts"

const workers = ["cpln-a", "cpln-b", "cpln-c", "cpln-d", "cpln-e"]
const keys = Array.from({ length: 1_000 }, (_, n) => `run-${n}`)

describe("the order of workers for a key", () => {
  it("gives each worker a place of its own, whoever computes it", () => {
    for (const key of keys) {
      expect(workers.map((self) => rankOf(key, self, workers)).sort()).toEqual([0, 1, 2, 3, 4])
    }
  })

  it("counts oneself, whatever the list says", () => {
    for (const key of keys.slice(0, 100)) {
      expect(rankOf(key, "cpln-a", [])).toBe(0)
      expect(rankOf(key, "cpln-a", ["cpln-a", "cpln-a"])).toBe(0)
      const others = workers.slice(1)
      expect(rankOf(key, "cpln-a", others)).toBe(rankOf(key, "cpln-a", workers))
    }
  })

  it("spreads the first places evenly", () => {
    for (const self of workers) {
      const first = keys.filter((key) => rankOf(key, self, workers) === 0).length
      expect(first).toBeGreaterThan(130)
      expect(first).toBeLessThan(270)
    }
  })

  it("moves only what a worker held when that worker goes", () => {
    const left = workers.slice(0, 4)
    for (const key of keys) {
      for (const self of left) {
        const before = rankOf(key, self, workers)
        const after = rankOf(key, self, left)
        expect(before - after).toBe(rankOf(key, "cpln-e", workers) < before ? 1 : 0)
      }
    }
  })
})
