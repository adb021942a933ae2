/** The two manifests that users of the Python reference have in production, to the letter, through the vendor's CLI. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { parse, parseAllDocuments } from "yaml"
import { root } from "../../../scripts/local/paths.ts"
import { vendor } from "./vendor.ts"

const folder = join(root, "test", "emulator", "manifests")
const text = (name: string) => readFileSync(join(folder, name), "utf8")

interface Sent {
  readonly kind: string
  readonly name: string
  readonly gvc?: string
  readonly spec?: Record<string, unknown>
}

const isSlow = 90_000

/** `//gvc/x` is read back as `/org/acme/gvc/x`, with the short links of images as they were sent. */
const expanded = (value: unknown, key = ""): unknown => {
  if (typeof value === "string") {
    return /links?$/iu.test(key) ? value.replace(/^\/\//u, "/org/acme/") : value
  }
  if (Array.isArray(value)) return value.map((each) => expanded(each, key))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, expanded(each, name)]))
}

const pathOf = ({ kind, name, gvc }: Sent) =>
  gvc === undefined ? `/org/acme/${kind}/${name}` : `/org/acme/gvc/${gvc}/${kind}/${name}`

describe("the manifests of the reference", () => {
  it.live(
    "are applied as they stand, and everything in them is read back",
    () =>
      Effect.gen(function* () {
        const { does, http } = yield* vendor({ mode: "virtual" })
        const applied = yield* does("apply", "--gvc", "prefect", "-f", join(folder, "server.yaml"))
        const sent = [
          ...parseAllDocuments(text("server.yaml")).map((each) => each.toJS() as Sent),
          parse(text("worker.yaml")) as Sent
        ]
        expect(sent.map(({ kind }) => kind)).toEqual([
          "gvc",
          "policy",
          "policy",
          "volumeset",
          "identity",
          "workload",
          "workload"
        ])
        const worker = yield* does("apply", "--gvc", "prefect", "-f", join(folder, "worker.yaml"))
        for (const each of sent) {
          expect(`${applied.out}${worker.out}`).toContain(`Created ${pathOf(each)}`)
          const { status, json } = yield* http.get(pathOf(each))
          expect(status).toBe(200)
          expect(json).toMatchObject(expanded(each) as object)
        }
        const manage = yield* http.get("/org/acme/policy/prefect-worker-manage-prefect")
        expect(manage.json).toMatchObject({
          targetKind: "workload",
          target: "all",
          bindings: [{ principalLinks: ["/org/acme/gvc/prefect/identity/prefect"] }]
        })
        expect(manage.json.bindings[0].permissions).toHaveLength(9)
        const again = yield* does("apply", "--gvc", "prefect", "-f", join(folder, "server.yaml"))
        expect(again.out.match(/^Updated /gmu)).toHaveLength(6)
      }),
    isSlow
  )

  it.live(
    "become ready, as `apply --ready` sees it",
    () =>
      Effect.gen(function* () {
        const { does } = yield* vendor({ mode: "virtual" })
        yield* does("apply", "--gvc", "prefect", "--ready", "-f", join(folder, "server.yaml"))
        const got = yield* does("workload", "get", "prefect-server", "--gvc", "prefect", "-o", "json")
        expect(got.json.spec.defaultOptions.autoscaling).toMatchObject({ minScale: 2, maxScale: 2 })
      }),
    isSlow
  )
})
