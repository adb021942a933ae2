import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { type Agent, startAgent } from "../world/agents.ts"
import { pass, scenario } from "../world/scenario.ts"
import { gvc, org, type World } from "../world/world.ts"

const job = {
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: { labels: { team: "data" } },
  spec: {
    template: {
      spec: {
        parallelism: 1,
        completions: 1,
        restartPolicy: "Never",
        containers: [{ name: "prefect-job", env: [] }]
      }
    }
  }
}

const infrastructure = "control-plane-infrastructure"

const addBlock = (world: World, id: string, slug: string, data: Readonly<Record<string, unknown>>) => {
  world.prefect.blocks.set(id, data)
  world.prefect.blockTypes.set(id, slug)
}

/** A pool for agents, whose usual deployment has such a block. */
const agentPool = (world: World, data: Readonly<Record<string, unknown>> = {}, slug = infrastructure) => {
  world.makePoolForAgents()
  addBlock(world, "block-1", slug, { type: "cpln-infrastructure", job, image: "flows:1", ...data })
  world.deploy({ infrastructure_document_id: "block-1" })
}

const served = Effect.fnUntraced(function* (world: World): Effect.fn.Return<Agent> {
  yield* world.addRun("r1")
  const agent = yield* startAgent(world, "agent-a")
  yield* pass("2 minutes")
  return agent
})

const commandOf = (world: World, runId = "r1") => {
  const [command] = world.platform.commandsOf(runId)
  if (command === undefined) throw new Error(`no job of ${runId}`)
  return command
}

const overrideOf = (world: World, runId?: string) =>
  commandOf(world, runId).spec?.containerOverrides?.[0] as unknown as Readonly<Record<string, unknown>>

/** What our agent did to the run: every state that it wrote. */
const written = (world: World, runId: string) =>
  world.chronicle.entries.filter(
    (each) =>
      (each.what === "state" || each.what === "run changed") &&
      each.runId === runId &&
      each.by.startsWith("agent ")
  )

const line2 = { line: "2" } as const

describe("a pool for agents", () => {
  scenario(
    "is served: a run of a deployment with our infrastructure block runs to its end",
    (world) =>
      Effect.gen(function* () {
        agentPool(world, { env: { STAGE: "production" }, job_type: "etl" })
        yield* served(world)
        expect(world.types("r1")).toEqual(["SCHEDULED", "PENDING", "RUNNING", "COMPLETED"])
        expect(world.run("r1").infrastructure_pid).toMatch(
          new RegExp(`^${org}:${gvc}:p[0-9a-f]{8}-etl-`, "u")
        )
        expect(commandOf(world).tags).toMatchObject({ team: "data", "prefect.io/flow-name": "etl" })
        expect(overrideOf(world)).toMatchObject({
          image: "flows:1",
          args: ["prefect", "flow-run", "execute"]
        })
        expect(overrideOf(world)["env"]).toContainEqual({ name: "STAGE", value: "production" })
      }),
    line2
  )

  scenario(
    "has no worker of ours, and gets no template",
    (world) =>
      Effect.gen(function* () {
        agentPool(world)
        const agent = yield* served(world)
        yield* agent.stop
        yield* pass("1 minute")
        expect(world.prefect.workers.size).toBe(0)
        expect(world.chronicle.of("worker seen")).toEqual([])
        expect(world.prefect.pools.get("cpln")?.pool.base_job_template).toEqual({})
        expect(agent.hasEnded()).toBe(true)
      }),
    line2
  )

  scenario(
    "takes overrides of the deployment and JSON patches of the block, and not what stands on the run",
    (world) =>
      Effect.gen(function* () {
        agentPool(world, {
          env: { STAGE: "test" },
          customizations: [
            {
              op: "add",
              path: "/spec/template/spec/containers/0/resources",
              value: { limits: { memory: "2Gi" } }
            }
          ]
        })
        world.deploy({ job_variables: { image: "flows:2", "env.STAGE": "production" } })
        addBlock(world, "block-2", infrastructure, { job, image: "of-the-run" })
        yield* world.addRun("r1", {
          infrastructure_document_id: "block-2",
          job_variables: { image: "of-the-run-too" }
        })
        yield* startAgent(world, "agent-a")
        yield* pass("2 minutes")
        expect(world.stateOf("r1")).toBe("COMPLETED")
        expect(overrideOf(world)).toMatchObject({ image: "flows:2", memory: "2Gi" })
        expect(overrideOf(world)["env"]).toContainEqual({ name: "STAGE", value: "production" })
      }),
    line2
  )

  scenario(
    "reaches Control Plane by the block's own config, nested or named by an override",
    (world) =>
      Effect.gen(function* () {
        const gvcs = world.platform.gvcs
        gvcs.set("other/jobs", ["aws-us-west-2"])
        agentPool(world, { config: { token: "token-of-the-block" }, org: "other", namespace: "jobs" })
        addBlock(world, "config-2", "control-plane-infrastructure-config", { token: "token-of-another" })
        yield* served(world)
        expect(world.run("r1").infrastructure_pid).toMatch(/^other:jobs:/u)
        world.deploy({ job_variables: { config: { $ref: { block_document_id: "config-2" } } } })
        yield* pass("1 minute")
        yield* world.addRun("r2")
        yield* pass("1 minute")
        expect(world.stateOf("r2")).toBe("COMPLETED")
        world.deploy({ job_variables: { config: { $ref: { block_document_id: "gone" } } } })
        yield* pass("1 minute")
        yield* world.addRun("r3")
        yield* pass("1 minute")
        expect(world.stateOf("r3")).toBe("CRASHED")
        expect(world.run("r3").state?.message).toContain("block document gone does not exist")
      }),
    line2
  )

  scenario(
    "has a run whose block cannot be a job refused as elsewhere: every problem, before anything is made",
    (world) =>
      Effect.gen(function* () {
        agentPool(world, { job_type: "Not A Type", labels: { a: {} } })
        yield* served(world)
        expect(world.types("r1")).toEqual(["SCHEDULED", "PENDING", "CRASHED"])
        const message = world.run("r1").state?.message ?? ""
        expect(message).toContain("job_type")
        expect(message).toContain("labels.a")
        expect(world.platform.workloads.size).toBe(0)
      }),
    line2
  )
})

describe("infrastructure of another kind", () => {
  const foreign: ReadonlyArray<readonly [string, (world: World) => void]> = [
    ["of another block type", (world) => agentPool(world, {}, "docker-container")],
    [
      "that is none at all: a process",
      (world) => {
        world.makePoolForAgents()
      }
    ]
  ]
  for (const [what, make] of foreign) {
    scenario(
      `${what} is left alone, and that is said once`,
      (world) =>
        Effect.gen(function* () {
          make(world)
          yield* Effect.forEach(["r1", "r2", "r3"], (id) => world.addRun(id))
          const agent = yield* startAgent(world, "agent-a")
          yield* pass("20 minutes")
          for (const id of ["r1", "r2", "r3"]) {
            expect(world.stateOf(id)).toBe("SCHEDULED")
            expect(written(world, id)).toEqual([])
            expect(world.logOf(id)).toBe("")
          }
          expect(agent.lines.filter((line) => line.includes("left to other agents"))).toHaveLength(1)
        }),
      line2
    )
  }

  scenario(
    "is nothing to judge: neither running, nor cancelled, nor with a PID of its own kind",
    (world) =>
      Effect.gen(function* () {
        agentPool(world, {}, "docker-container")
        yield* world.addRun("running")
        yield* world.addRun("with a PID")
        yield* world.addRun("cancelled")
        for (const id of ["running", "with a PID", "cancelled"]) {
          yield* world.propose(id, "PENDING")
          yield* world.propose(id, "RUNNING")
        }
        yield* world.change("with a PID", { infrastructure_pid: "host:4711" })
        yield* world.propose("cancelled", "CANCELLING")
        yield* startAgent(world, "agent-a")
        yield* pass("30 minutes")
        expect(["running", "with a PID", "cancelled"].map(world.stateOf)).toEqual([
          "RUNNING",
          "RUNNING",
          "CANCELLING"
        ])
        for (const id of ["running", "with a PID", "cancelled"]) {
          expect(written(world, id)).toEqual([])
          expect(world.logOf(id)).toBe("")
        }
      }),
    line2
  )

  scenario(
    "does not keep ours in the same pool from running, and a block that becomes ours is served",
    (world) =>
      Effect.gen(function* () {
        agentPool(world, {}, "docker-container")
        addBlock(world, "ours", infrastructure, { job, image: "flows:1" })
        world.prefect.deployments.set("deployment-2", {
          id: "deployment-2",
          name: "ours",
          flow_id: "flow-1",
          job_variables: {},
          infrastructure_document_id: "ours"
        })
        yield* world.addRun("r1")
        yield* world.addRun("r2", { deployment_id: "deployment-2" })
        yield* startAgent(world, "agent-a")
        yield* pass("1 minute")
        expect([world.stateOf("r1"), world.stateOf("r2")]).toEqual(["SCHEDULED", "COMPLETED"])
        world.deploy({ infrastructure_document_id: "ours" })
        yield* pass("6 minutes")
        expect(world.stateOf("r1")).toBe("COMPLETED")
      }),
    line2
  )
})
