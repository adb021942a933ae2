import { describe, expect } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { parseAllDocuments } from "yaml"
import { Forbidden, QuotaReached } from "../../../src/http/errors.ts"
import { startAgent } from "../world/agents.ts"
import { makeBench } from "../world/bench.ts"
import type { Call, Fault } from "../world/faults.ts"
import { pass, scenario, within } from "../world/scenario.ts"
import { gvc, org, type World } from "../world/world.ts"

const forbidden: Fault = {
  kind: "error",
  error: (call: Call) => new Forbidden({ service: call.service, request: call.name, detail: "not permitted" })
}

const always = Number.POSITIVE_INFINITY

/** The usual deployment reads a secret, which exists. */
const withSecret = (world: World, more: Readonly<Record<string, unknown>> = {}) => {
  world.platform.secrets.set(`${org}/db`, { type: "dictionary", data: { password: "the-password" } })
  world.deploy({ job_variables: { env: { DB: "cpln://secret/db.password" }, ...more } })
}

const made = (world: World) =>
  world.chronicle.entries.flatMap((each) =>
    /^(?:identity|policy|workload|job) (?:made|changed)$/u.test(each.what) ? [each.what] : []
  )

const theWorkload = (world: World) => {
  const [workload] = world.platform.workloads.values()
  if (workload === undefined) throw new Error("no workload")
  return workload
}

/** What a refusal says to apply. */
const applied = (message: string): ReadonlyArray<Readonly<Record<string, unknown>>> =>
  parseAllDocuments(message.slice(message.indexOf("\nkind:") + 1)).map(
    (each) => each.toJS() as Readonly<Record<string, unknown>>
  )

/** A person does what the refusal says. */
const apply = (world: World, message: string) => {
  for (const body of applied(message)) {
    const isIdentity = body["kind"] === "identity"
    const name = String(body["name"])
    world.platform.writeObject(
      0,
      "person",
      isIdentity ? "identity" : "policy",
      isIdentity ? `/org/${org}/gvc/${gvc}/identity/${name}` : `${org}/${name}`,
      body
    )
  }
}

const messageOf = (world: World, runId: string) => world.run(runId).state?.message ?? ""

describe("the identity of a job", () => {
  scenario("is made before its workload, which links it; without secrets there is no policy", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      expect(world.stateOf("r1")).toBe("COMPLETED")
      expect(made(world)).toEqual(["identity made", "workload made", "job made"])
      expect([...world.platform.identities.keys()]).toEqual([theWorkload(world).spec["identityLink"]])
      const [identity] = world.platform.identities.values()
      expect(identity?.body["tags"]).toEqual({
        "prefect.io/work-pool-id": theWorkload(world).tags["prefect.io/work-pool-id"]
      })
    })
  )

  scenario("may reveal the secrets of the job by a policy, which is written once", (world) =>
    Effect.gen(function* () {
      withSecret(world)
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      yield* world.addRun("r2")
      yield* pass("20 minutes")
      yield* world.addRun("r3")
      yield* pass("1 minute")
      expect(["r1", "r2", "r3"].map(world.stateOf)).toEqual(["COMPLETED", "COMPLETED", "COMPLETED"])
      expect(made(world)).toEqual([
        "identity made",
        "policy made",
        "workload made",
        "job made",
        "job made",
        "job made"
      ])
      const [policy] = world.platform.policies.values()
      expect(policy?.body).toMatchObject({
        targetKind: "secret",
        targetLinks: ["//secret/db"],
        bindings: [{ permissions: ["reveal"], principalLinks: [theWorkload(world).spec["identityLink"]] }]
      })
    })
  )

  scenario("is made once by agents that race, and all their runs are started", (world) =>
    Effect.gen(function* () {
      withSecret(world)
      world.faults.latency = { least: 5, most: 200 }
      const ids = Array.from({ length: 12 }, (_, n) => `r${n}`)
      yield* Effect.forEach(ids, (id) => world.addRun(id))
      yield* Effect.forEach(["agent-a", "agent-b", "agent-c"], (name) => startAgent(world, name))
      yield* pass("2 minutes")
      expect(ids.map(world.stateOf)).toEqual(ids.map(() => "COMPLETED"))
      expect(made(world).filter((what) => what !== "job made")).toEqual([
        "identity made",
        "policy made",
        "workload made"
      ])
    })
  )

  scenario("that went away with its workload is made again with it", (world) =>
    Effect.gen(function* () {
      withSecret(world)
      const bench = yield* makeBench(world, "agent-a")
      yield* world.addRun("r1")
      yield* within("1 minute", bench.launchNow("r1"))
      world.platform.deleteWorkload(0, "person", theWorkload(world).ref.path)
      world.platform.identities.clear()
      world.platform.policies.clear()
      yield* world.addRun("r2")
      yield* within("1 minute", bench.launchNow("r2"))
      expect(world.stages("r2")).toHaveLength(1)
      expect([world.platform.identities.size, world.platform.policies.size]).toEqual([1, 1])
    })
  )

  scenario("that goes away between the look and the write of its workload is made again", (world) =>
    Effect.gen(function* () {
      const bench = yield* makeBench(world, "agent-a")
      yield* world.addRun("r1")
      world.faults.onCall("createIdentity", { kind: "slow", before: 0, after: 1_000 })
      const launched = yield* Effect.forkChild(bench.launchNow("r1"))
      yield* pass("500 millis")
      world.platform.identities.clear()
      yield* pass("30 seconds")
      yield* Fiber.join(launched)
      expect(world.stages("r1")).toHaveLength(1)
      expect(world.platform.identities.size).toBe(1)
    })
  )

  scenario("has its policy put right when somebody took a secret out of it", (world) =>
    Effect.gen(function* () {
      withSecret(world)
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      for (const [key, { body, version }] of world.platform.policies) {
        world.platform.policies.set(key, { body: { ...body, targetLinks: [] }, version: version + 1 })
      }
      yield* pass("10 minutes")
      yield* world.addRun("r2")
      yield* pass("1 minute")
      expect(world.stateOf("r2")).toBe("COMPLETED")
      const [policy] = world.platform.policies.values()
      expect(policy?.body["targetLinks"]).toEqual(["//secret/db"])
      expect(agent.lines.filter((line) => line.includes("put right"))).toHaveLength(1)
    })
  )
})

describe("where the agent may make no identities", () => {
  const cases: ReadonlyArray<readonly [string, "manage" | "given"]> = [
    ["because the service forbids it", "manage"],
    ["because it is told so", "given"]
  ]
  for (const [why, identities] of cases) {
    const world403 = (world: World) => {
      if (identities === "manage") {
        world.faults.onCall("createIdentity", forbidden, always)
        world.faults.onCall("createPolicy", forbidden, always)
      }
    }

    scenario(`${why}, a job that needs secrets is refused with what to apply, and then runs`, (world) =>
      Effect.gen(function* () {
        withSecret(world)
        world403(world)
        yield* world.addRun("r1")
        yield* startAgent(world, "agent-a", { settings: { identities } })
        yield* pass("1 minute")
        expect(world.stateOf("r1")).toBe("CRASHED")
        expect(made(world)).toEqual([])
        const message = messageOf(world, "r1")
        expect(message).toContain("it needs the secret db, and may not read it")
        expect(message).not.toContain("the-password")
        expect(world.logOf("r1")).toContain("kind: policy")
        expect(applied(message)).toMatchObject([
          { kind: "identity", gvc },
          { kind: "policy", targetLinks: ["//secret/db"] }
        ])
        apply(world, message)
        yield* world.addRun("r2")
        yield* pass("1 minute")
        expect(world.stateOf("r2")).toBe("COMPLETED")
        expect(made(world)).toContain("workload made")
      })
    )

    scenario(`${why}, a job without secrets runs without one`, (world) =>
      Effect.gen(function* () {
        world403(world)
        yield* world.addRun("r1")
        yield* startAgent(world, "agent-a", { settings: { identities } })
        yield* pass("1 minute")
        expect(world.stateOf("r1")).toBe("COMPLETED")
        expect(made(world)).toEqual(["workload made", "job made"])
        expect(theWorkload(world).spec).not.toHaveProperty("identityLink")
      })
    )
  }

  scenario("because a quota is reached, a job without secrets runs without one, and that is said", (world) =>
    Effect.gen(function* () {
      world.faults.onCall("createIdentity", {
        kind: "error",
        error: (call) =>
          new QuotaReached({ service: call.service, request: call.name, detail: "quota of identities" })
      })
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      expect(world.stateOf("r1")).toBe("COMPLETED")
      expect(agent.lines.filter((line) => line.includes("the job needs none"))).toHaveLength(1)
    })
  )

  scenario("what somebody else granted its identity is enough", (world) =>
    Effect.gen(function* () {
      withSecret(world)
      world.faults.onCall("createPolicy", forbidden, always)
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      const [identityLink] = world.platform.identities.keys()
      world.platform.writeObject(0, "person", "policy", `${org}/all-secrets`, {
        name: "all-secrets",
        targetKind: "secret",
        target: "all",
        bindings: [{ permissions: ["reveal"], principalLinks: [identityLink] }]
      })
      yield* world.addRun("r2")
      yield* pass("1 minute")
      expect([world.stateOf("r1"), world.stateOf("r2")]).toEqual(["CRASHED", "COMPLETED"])
    })
  )
})

describe("a service account", () => {
  const link = `/org/${org}/gvc/${gvc}/identity/runner`
  const withAccount = (world: World, exists = true) => {
    withSecret(world, { service_account_name: "runner" })
    if (exists) world.platform.identities.set(link, { body: { name: "runner" }, version: 1 })
  }
  const policy = (world: World, name: string, body: Readonly<Record<string, unknown>>) =>
    world.platform.policies.set(`${org}/${name}`, {
      body: { name, targetKind: "secret", ...body },
      version: 1
    })
  const run = (world: World) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      return agent
    })

  scenario("that may reveal the secrets is used, and nothing of it is written", (world) =>
    Effect.gen(function* () {
      withAccount(world)
      policy(world, "given", {
        targetLinks: [`/org/${org}/secret/db`],
        bindings: [{ permissions: ["reveal"], principalLinks: [`//gvc/${gvc}/identity/runner`] }]
      })
      yield* run(world)
      expect(world.stateOf("r1")).toBe("COMPLETED")
      expect(made(world)).toEqual(["workload made", "job made"])
    })
  )

  scenario("that does not exist is refused before anything is made", (world) =>
    Effect.gen(function* () {
      withAccount(world, false)
      yield* run(world)
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect(messageOf(world, "r1")).toContain(`service account runner is no identity of GVC ${gvc}`)
      expect(made(world)).toEqual([])
    })
  )

  scenario("that may not reveal a secret is refused, with the policy to apply", (world) =>
    Effect.gen(function* () {
      withAccount(world)
      policy(world, "other", { target: "all", bindings: [{ permissions: ["view"], principalLinks: [link] }] })
      yield* run(world)
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect(made(world)).toEqual([])
      expect(messageOf(world, "r1")).toContain("[refused-secret]")
      apply(world, messageOf(world, "r1"))
      yield* world.addRun("r2")
      yield* pass("1 minute")
      expect(world.stateOf("r2")).toBe("COMPLETED")
    })
  )

  scenario("whose rights cannot be seen is used, and that is said once", (world) =>
    Effect.gen(function* () {
      withAccount(world)
      world.faults.onCall("policies", forbidden, always)
      const agent = yield* run(world)
      yield* pass("20 minutes")
      yield* world.addRun("r2")
      yield* pass("1 minute")
      expect([world.stateOf("r1"), world.stateOf("r2")]).toEqual(["COMPLETED", "COMPLETED"])
      expect(
        agent.lines.filter((line) => line.includes("may reveal the secret db cannot be checked"))
      ).toHaveLength(1)
    })
  )
})
