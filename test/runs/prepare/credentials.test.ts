import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { startAgent } from "../world/agents.ts"
import { pass, scenario } from "../world/scenario.ts"
import { org, type World } from "../world/world.ts"

const key = "pnu_the-key-itself"

const envOf = (world: World, runId: string) => {
  const [command] = world.platform.commandsOf(runId)
  const [container] = (command?.spec?.containerOverrides ?? []) as unknown as ReadonlyArray<{
    readonly env?: ReadonlyArray<{ readonly name: string; readonly value: string }>
  }>
  return Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value]))
}

const served = Effect.fnUntraced(function* (
  world: World,
  prefectSettings: Readonly<Record<string, string>>,
  jobApiKeySecret?: string
) {
  world.platform.secrets.set(`${org}/prefect`, { type: "dictionary", data: { KEY: key } })
  yield* world.addRun("r1")
  yield* world.addRun("r2")
  const agent = yield* startAgent(world, "agent-a", {
    prefectSettings,
    settings: jobApiKeySecret === undefined ? {} : { jobApiKeySecret }
  })
  yield* pass("10 minutes")
  expect(["r1", "r2"].map(world.stateOf)).toEqual(["COMPLETED", "COMPLETED"])
  return agent.lines.filter((line) => line.includes("as plain text"))
})

describe("the Prefect credential of jobs", () => {
  scenario("goes to them as it is, with one warning", (world) =>
    Effect.gen(function* () {
      expect(yield* served(world, { PREFECT_API_KEY: key })).toHaveLength(1)
      expect(envOf(world, "r1")["PREFECT_API_KEY"]).toBe(key)
    })
  )

  for (const name of ["PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"]) {
    scenario(`is a reference to a secret where one is named: ${name}`, (world) =>
      Effect.gen(function* () {
        expect(yield* served(world, { [name]: key }, "prefect.KEY")).toEqual([])
        expect(envOf(world, "r1")[name]).toBe("cpln://secret/prefect.KEY")
        expect(JSON.stringify([...world.platform.workloads, ...world.platform.commands()])).not.toContain(key)
        const [policy] = world.platform.policies.values()
        expect(policy?.body["targetLinks"]).toEqual(["//secret/prefect"])
      })
    )
  }

  scenario("is one: with both set, the reference stands for the key and the other one stays here", (world) =>
    Effect.gen(function* () {
      yield* served(world, { PREFECT_API_KEY: key, PREFECT_API_AUTH_STRING: "admin:other" }, "prefect.KEY")
      const env = envOf(world, "r1")
      expect(env["PREFECT_API_KEY"]).toBe("cpln://secret/prefect.KEY")
      expect(env).not.toHaveProperty("PREFECT_API_AUTH_STRING")
    })
  )

  scenario("is given to them where the agent itself needs none", (world) =>
    Effect.gen(function* () {
      yield* served(world, {}, "prefect.KEY")
      expect(envOf(world, "r1")["PREFECT_API_KEY"]).toBe("cpln://secret/prefect.KEY")
    })
  )

  scenario("is the deployment's own where that names one", (world) =>
    Effect.gen(function* () {
      world.deploy({ job_variables: { env: { PREFECT_API_KEY: null } } })
      yield* served(world, { PREFECT_API_KEY: key }, "prefect.KEY")
      expect(envOf(world, "r1")).not.toHaveProperty("PREFECT_API_KEY")
      expect(world.platform.policies.size).toBe(0)
    })
  )
})
