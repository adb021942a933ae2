import { describe, expect, it } from "@effect/vitest"
import { isFinal, observe } from "../../../src/runs/decide/normalise.ts"

const at = Date.UTC(2026, 2, 1)
const remembered = { stopAsked: true, stopWanted: false, failedLooks: 2, mainEndedAge: 60_000 }
const commandIn = (lifecycleStage: string, containers = 1) => ({
  id: "c1",
  type: "runCronWorkload",
  created: new Date(at - 1_000_000).toISOString(),
  lastModified: new Date(at - 1_000_000).toISOString(),
  lifecycleStage,
  tags: {},
  spec: {
    location: "l",
    containerOverrides: Array.from({ length: containers }, (_, n) => ({
      name: `c${n}`,
      args: ["prefect", "flow-run", "execute"]
    }))
  }
})
const failed = {
  name: "command-c1",
  status: "failed",
  containers: { c0: { restarts: { exitCode: 1 } } }
}

describe("a command in a stage that nobody knows", () => {
  for (const stage of ["suspended", "cancelling", "COMPLETED", ""]) {
    it(`lives, whatever else is said of it: ${JSON.stringify(stage)}`, () => {
      const command = commandIn(stage)
      expect(isFinal(command)).toBe(false)
      for (const execution of [undefined, failed]) {
        expect(observe(command, at, execution, true, remembered)).toEqual({
          _tag: "Live",
          runner: true,
          stopWanted: false
        })
      }
    })
  }
})
