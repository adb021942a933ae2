/** What a container finds in its environment. */
import { expect, it } from "@effect/vitest"
import { describe } from "vitest"
import { composePod } from "../../src/emulator/jobs/pod.ts"
import { pending } from "../../src/emulator/jobs/run-state.ts"
import type { JsonObject } from "../../src/emulator/json.ts"
import { runType, Store } from "../../src/emulator/store.ts"
import { Context, Effect, Layer } from "effect"

const at = 1_700_000_000_000
const location = "aws-us-west-2"

/** A run of the containers with the overrides, in a GVC with the environment. */
const composed = (
  containers: ReadonlyArray<JsonObject>,
  containerOverrides: ReadonlyArray<JsonObject> = [],
  world: {
    readonly gvcEnv?: ReadonlyArray<JsonObject>
    readonly secrets?: Readonly<Record<string, JsonObject>>
  } = {}
) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(Store.layer({ orgs: ["acme"], keepCommands: 10 }))
    const store = Context.get(context, Store)
    const make = (kind: string, name: string, body: JsonObject, gvc?: string) =>
      store.create(
        { kind, org: "acme", gvc, name, id: `0000-${name}`, description: undefined, tags: {}, body },
        at
      )
    make("location", location, { provider: "aws" })
    make("gvc", "dev", { spec: { env: world.gvcEnv ?? [] } })
    for (const [name, body] of Object.entries(world.secrets ?? {})) make("secret", name, body)
    const identityLink = make("identity", "robot", {}, "dev").path
    make("policy", "reveal", {
      targetKind: "secret",
      target: "all",
      bindings: [{ permissions: ["reveal"], principalLinks: [identityLink] }]
    })
    const workload = make("workload", "runner", { spec: { type: "cron", containers, identityLink } }, "dev")
    workload.version = 7
    const command = store.addCommand({
      id: "c1",
      workload: workload.path,
      type: runType,
      tags: {},
      spec: { location, containerOverrides },
      location,
      workloadVersion: 7,
      created: at,
      lastModified: at,
      version: 1,
      run: pending(["main"])
    })
    return composePod(workload, command, "command-c1-abcde", { store, endpoint: "http://here", token: "t" })
  })

const podOf = (...args: Parameters<typeof composed>) =>
  Effect.map(composed(...args), (result) => {
    if (result._tag !== "Pod") throw new Error(result.message)
    return result.pod
  })

const main = { name: "main", image: "own:1" }
const env = (values: Readonly<Record<string, string>>) =>
  Object.entries(values).map(([name, value]) => ({ name, value }))

describe("a pod", () => {
  it.effect("gets what the platform injects: names bare, location and workload as links", () =>
    Effect.gen(function* () {
      const pod = yield* podOf([main, { name: "side", image: "side:1" }])
      expect(pod).toMatchObject({ org: "acme", gvc: "dev", workload: "runner", location, workloadVersion: 7 })
      expect(pod.containers[0]?.env).toEqual({
        CPLN_TOKEN: "t",
        CPLN_ENDPOINT: "http://here",
        CPLN_ORG: "acme",
        CPLN_GVC: "dev",
        CPLN_GVC_ALIAS: "a0000dev",
        CPLN_LOCATION: `/org/acme/location/${location}`,
        CPLN_WORKLOAD: "/org/acme/gvc/dev/workload/runner",
        CPLN_WORKLOAD_VERSION: "7",
        CPLN_PROVIDER: "aws",
        CPLN_NAMESPACE: "a0000dev",
        CPLN_IMAGE: "own:1",
        CPLN_GLOBAL_ENDPOINT: "runner-a0000dev.cpln.app",
        CPLN_NAME: "main",
        CPLN_MAIN: "main"
      })
      expect(pod.containers[1]?.env["CPLN_NAME"]).toBe("side")
      expect(pod.containers[1]?.env["CPLN_MAIN"]).toBeUndefined()
    })
  )

  it.effect(
    "takes image, command and args of the override, and the container's own where it gives none",
    () =>
      Effect.gen(function* () {
        const own = { ...main, command: "sh", args: ["-c", "own"], workingDir: "/work" }
        const plain = yield* podOf([own])
        expect(plain.containers[0]).toMatchObject({
          image: "own:1",
          command: "sh",
          args: ["-c", "own"],
          workingDir: "/work"
        })
        const changed = yield* podOf([own], [{ name: "main", image: "other:2", args: ["-c", "other"] }])
        expect(changed.containers[0]).toMatchObject({
          image: "other:2",
          command: "sh",
          args: ["-c", "other"],
          workingDir: "/work"
        })
        expect(changed.containers[0]?.env["CPLN_IMAGE"]).toBe("other:2")
      })
  )

  it.effect(
    "merges environments by name: the GVC's only when inherited, then its own, then the override's",
    () =>
      Effect.gen(function* () {
        const own = { ...main, env: env({ A: "own", B: "own" }) }
        const world = { gvcEnv: env({ A: "gvc", B: "gvc", C: "gvc", D: "gvc" }) }
        const overrides = [{ name: "main", env: env({ B: "run", E: "run" }) }]
        const values = (pod: {
          readonly containers: ReadonlyArray<{ readonly env: Readonly<Record<string, string>> }>
        }) => ["A", "B", "C", "E"].map((name) => pod.containers[0]?.env[name])
        expect(values(yield* podOf([own], overrides, world))).toEqual(["own", "run", undefined, "run"])
        expect(values(yield* podOf([{ ...own, inheritEnv: true }], overrides, world))).toEqual([
          "own",
          "run",
          "gvc",
          "run"
        ])
      })
  )

  it.effect("gets secrets by name and key, also from an override, and waits for one that is not there", () =>
    Effect.gen(function* () {
      const secrets: Readonly<Record<string, JsonObject>> = {
        login: { type: "dictionary", data: { user: "me", "dotted.key": "yes" } },
        plain: { type: "opaque", data: { payload: "text" } },
        packed: { type: "opaque", data: { payload: "aGVsbG8=", encoding: "base64" } }
      }
      const own = {
        ...main,
        env: env({ USER: "cpln://secret/login.user", DOTTED: "cpln://secret/login.dotted.key" })
      }
      const overrides = [
        { name: "main", env: env({ PLAIN: "cpln://secret/plain", PACKED: "cpln://secret/packed.payload" }) }
      ]
      const pod = yield* podOf([own], overrides, { secrets })
      expect(pod.containers[0]?.env).toMatchObject({
        USER: "me",
        DOTTED: "yes",
        PLAIN: "text",
        PACKED: "hello"
      })
      for (const value of ["cpln://secret/none", "cpln://secret/login.password"]) {
        const waits = yield* composed([{ ...main, env: env({ A: value }) }], [], { secrets })
        expect(waits).toMatchObject({
          _tag: "Waits",
          container: "main",
          message: expect.stringContaining(value)
        })
      }
    })
  )

  it.effect("expands $(NAME) from other values and leaves unknown names and $$(NAME) alone", () =>
    Effect.gen(function* () {
      const own = {
        ...main,
        env: env({
          HOST: "db",
          URL: "http://$(HOST)/$(CPLN_ORG)",
          KEEP: "$(date) $$(HOST)",
          POD: "cpln://reference/metadata.name"
        })
      }
      const pod = yield* podOf([own])
      expect(pod.containers[0]?.env).toMatchObject({
        URL: "http://db/acme",
        KEEP: "$(date) $(HOST)",
        POD: "command-c1-abcde"
      })
    })
  )
})
