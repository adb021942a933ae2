import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Chronicle } from "./chronicle.ts"
import { PrefectModel } from "./prefect-model.ts"
import { pass, scenario } from "./scenario.ts"
import { begin } from "./world.ts"

/** Answers of real servers to an unforced proposal, as they were recorded: status, and the run's type afterwards. */
const answers = (line: "2" | "3", path: ReadonlyArray<string>, pid?: string) => {
  const model = new PrefectModel(new Chronicle(), line)
  model.add(0, { id: "r", ...(pid === undefined ? {} : { infrastructure_pid: pid }) })
  const last = path.map((type, index) => model.propose(index, "person", "r", { type })).at(-1)
  return `${last?.status} ${model.run("r")?.state_type}`
}

describe("the model of Prefect", () => {
  it("answers as the servers do", () => {
    for (const line of ["2", "3"] as const) {
      expect(answers(line, ["PENDING"])).toBe("ACCEPT PENDING")
      expect(answers(line, ["PENDING", "PENDING"])).toBe("ABORT PENDING")
      expect(answers(line, ["COMPLETED", "PENDING"])).toBe("ACCEPT PENDING")
      expect(answers(line, ["COMPLETED", "CRASHED"])).toBe("ABORT COMPLETED")
      expect(answers(line, ["COMPLETED", "CANCELLED"])).toBe("ACCEPT CANCELLED")
      expect(answers(line, ["RUNNING", "PENDING"])).toBe("ABORT RUNNING")
      expect(answers(line, ["CANCELLING"])).toBe("REJECT CANCELLED")
      expect(answers(line, ["CANCELLING"], "a:b:c:d")).toBe("ACCEPT CANCELLING")
      expect(answers(line, ["PENDING", "CANCELLING", "COMPLETED"])).toBe("REJECT CANCELLING")
      expect(answers(line, ["PENDING", "CANCELLING", "CANCELLED"])).toBe("ACCEPT CANCELLED")
      expect(answers(line, ["CANCELLED", "PENDING"])).toBe(
        line === "2" ? "REJECT CANCELLED" : "ABORT CANCELLED"
      )
      expect(answers(line, ["CANCELLED", "RUNNING"])).toBe(
        line === "2" ? "REJECT CANCELLED" : "ACCEPT RUNNING"
      )
    }
  })

  it("takes a transition id once", () => {
    const model = new PrefectModel(new Chronicle(), "3")
    model.add(0, { id: "r" })
    const claim = { type: "PENDING", transitionId: "t" }
    expect(model.propose(0, "person", "r", claim)?.status).toBe("ACCEPT")
    expect(model.propose(1, "person", "r", claim)).toMatchObject({
      status: "REJECT",
      state: { type: "PENDING" }
    })
  })

  it("lets a run start at its time only", () => {
    const model = new PrefectModel(new Chronicle(), "3")
    model.add(0, { id: "r", due: 60_000 })
    model.propose(0, "person", "r", { type: "PENDING" })
    expect(model.propose(0, "engine", "r", { type: "RUNNING" })).toMatchObject({
      status: "WAIT",
      details: { delay_seconds: 60 }
    })
    expect(model.propose(60_000, "engine", "r", { type: "RUNNING" })?.status).toBe("ACCEPT")
  })
})

describe("a world", () => {
  scenario("knows what was true at any time before", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      yield* pass("10 seconds")
      yield* world.propose("r1", "RUNNING")
      expect(world.prefect.run("r1", begin + 9_000)?.state_type).toBe("SCHEDULED")
      expect(world.prefect.run("r1", begin + 10_000)?.state_type).toBe("RUNNING")
    })
  )
})
