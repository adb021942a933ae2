import { defineConfig } from "vitest/config"

/** Projects are the suites of `scripts/test`: unit needs nothing but Node; contract replays recorded exchanges. */
const project = (name: string, include: ReadonlyArray<string>, exclude: ReadonlyArray<string> = []) => ({
  test: { name, include: [...include], exclude: [...exclude], testTimeout: 20_000 }
})

export default defineConfig({
  test: {
    projects: [
      project("unit", ["test/**/*.test.ts"], ["test/contract/**", "test/e2e/**", "test/binary/**"]),
      project("contract", ["test/contract/**/*.test.ts"]),
      project("binary", ["test/binary/**/*.test.ts"])
    ]
  }
})
