/**
 * Ten thousand live jobs over fifty workloads, in an emulator of its own process as users run it: what it holds in memory, and
 * what reading many of them costs beside reading one. Rates themselves depend on the machine: `scripts/bench-emulator`.
 */
import { join } from "node:path"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { measured } from "../../scripts/local/emulator-load.ts"
import { root } from "../../scripts/local/paths.ts"

const isLinux = process.platform === "linux"

describe("ten thousand live jobs over fifty workloads", () => {
  it.live.skipIf(!isLinux)(
    "fit into 300 MB; a page of fifty or a deployment of two hundred runs is not much dearer than one command",
    () =>
      Effect.gen(function* () {
        const { memory, memoryAfter, rates } = yield* measured(
          join(root, "node_modules", ".bin", "bun"),
          ["src/main.ts"],
          600
        )
        expect(memory).toBeLessThan(300)
        expect(memoryAfter).toBeLessThan(300)
        // Without kept texts: a thirteenth, and a twentieth.
        expect(rates["live page"]).toBeGreaterThan(rates.command / 9)
        expect(rates.deployment).toBeGreaterThan(rates.command / 9)
        expect(rates["by tag"]).toBeGreaterThan(rates.command / 9)
        expect(Math.min(...Object.values(rates))).toBeGreaterThan(150)
      }),
    400_000
  )
})
