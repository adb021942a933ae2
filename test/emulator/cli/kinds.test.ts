/** The vendor's own CLI makes, reads, changes and deletes objects of every kind that the emulator keeps. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { location } from "../harness.ts"
import { vendor } from "./vendor.ts"

const isSlow = 120_000

/** One object of each kind, in an order that `apply` has to put right. */
const everything = `
kind: workload
name: web
gvc: dev
spec:
  type: standard
  identityLink: //identity/robot
  containers: [{ name: main, image: nginx, ports: [{ number: 8080, protocol: http }] }]
---
kind: policy
name: readers
targetKind: secret
targetLinks: ["//secret/words"]
bindings:
  - permissions: [reveal]
    principalLinks: [//gvc/dev/identity/robot]
---
kind: volumeset
name: disk
gvc: dev
spec: { fileSystemType: ext4, initialCapacity: 10, performanceClass: general-purpose-ssd }
---
kind: identity
name: robot
gvc: dev
---
kind: gvc
name: dev
spec: { staticPlacement: { locationLinks: [//location/${location}] } }
---
kind: secret
name: words
type: dictionary
data: { user: me, pass: hidden }
---
kind: agent
name: tunnel
spec: {}
---
kind: cloudaccount
name: cloud
provider: aws
data: { roleArn: "arn:aws:iam::123456789012:role/x" }
---
kind: serviceaccount
name: robots
---
kind: group
name: people
memberLinks: []
---
kind: domain
name: example.com
spec: { dnsMode: cname }
---
kind: ipset
name: addresses
spec: {}
---
kind: auditctx
name: audits
---
kind: location
name: ${location}
spec: { enabled: true }
---
kind: workload
name: nightly
gvc: dev
spec:
  type: cron
  containers: [{ name: main, image: busybox }]
  job: { schedule: "0 3 * * *" }
  defaultOptions: { suspend: true }
`

const kinds =
  "agent secret cloudaccount gvc identity volumeset policy workload serviceaccount group domain ipset auditctx location".split(
    " "
  )

describe("the cpln CLI", () => {
  it.live(
    "applies every kind in one file, in the order that it needs, and reads each back",
    () =>
      Effect.gen(function* () {
        const { does, file } = yield* vendor({ mode: "virtual" })
        const path = file("all.yaml", everything)
        const first = (yield* does("apply", "-f", path)).out
        expect(first.match(/^Created /gmu)).toHaveLength(14)
        expect(first).toContain(`Updated location '${location}'`)
        const again = (yield* does("apply", "-f", path)).out
        expect(again.match(/^Updated /gmu)).toHaveLength(15)
        const read = yield* Effect.forEach(
          kinds,
          (kind) => Effect.map(does(kind, "get", "-o", "json"), ({ json }) => [kind, json.items.length]),
          { concurrency: 2 }
        )
        expect(read.filter(([, count]) => count === 0)).toEqual([])
      }),
    isSlow
  )

  it.live(
    "keeps secrets hidden until they are revealed, and keys of service accounts shown once",
    () =>
      Effect.gen(function* () {
        const { does, file } = yield* vendor({ mode: "virtual" })
        yield* does("secret", "create-opaque", "--name", "s", "--file", file("payload", "hidden"))
        const revealed = (yield* does("secret", "reveal", "s", "-o", "json")).json.data
        expect(Buffer.from(revealed.payload, "base64").toString()).toBe("hidden")
        expect((yield* does("secret", "get", "s", "-o", "json")).json.data).toBeUndefined()
        yield* does("secret", "create-dictionary", "--name", "d", "--entry", "user=me")
        expect((yield* does("secret", "reveal", "d", "-o", "json")).json.data).toEqual({ user: "me" })
        yield* does("serviceaccount", "create", "--name", "sa")
        const added = yield* does("serviceaccount", "add-key", "sa", "--description", "d", "-o", "json")
        expect(added.json.key).toMatch(/^s/u)
        const account = yield* does("serviceaccount", "get", "sa", "-o", "json")
        expect(account.json.keys).toMatchObject([{ name: added.json.name, description: "d" }])
        expect(JSON.stringify(account.json)).not.toContain(added.json.key)
        yield* does("serviceaccount", "remove-key", "sa", "--key", added.json.name)
        expect((yield* does("serviceaccount", "get", "sa", "-o", "json")).json.keys).toEqual([])
      }),
    isSlow
  )

  it.live(
    "manages GVCs, identities, policies and volume sets",
    () =>
      Effect.gen(function* () {
        const { cpln, does } = yield* vendor({ mode: "virtual" })
        yield* does("gvc", "create", "--name", "dev", "--location", location)
        yield* does("gvc", "add-location", "dev", "--location", "gcp-us-east1")
        const links = (yield* does("gvc", "get", "dev", "-o", "json")).json.spec.staticPlacement.locationLinks
        expect(links).toEqual([`/org/acme/location/${location}`, "/org/acme/location/gcp-us-east1"])
        yield* does("gvc", "remove-location", "dev", "--location", location)
        yield* does("gvc", "tag", "dev", "--tag", "team=data")
        yield* does("gvc", "update", "dev", "--set", "description=for tests")
        expect((yield* does("gvc", "get", "dev", "-o", "json")).json).toMatchObject({
          description: "for tests",
          tags: { team: "data" },
          spec: { staticPlacement: { locationLinks: ["/org/acme/location/gcp-us-east1"] } }
        })
        yield* does("identity", "create", "--name", "robot")
        yield* does("policy", "create", "--name", "p", "--target-kind", "secret", "--all")
        const bind = ["--permission", "reveal", "--identity", "/org/acme/gvc/dev/identity/robot"]
        yield* does("policy", "add-binding", "p", ...bind)
        expect((yield* does("policy", "get", "p", "-o", "json")).json.bindings).toMatchObject([
          { permissions: ["reveal"], principalLinks: ["/org/acme/gvc/dev/identity/robot"] }
        ])
        yield* does("policy", "remove-binding", "p", ...bind)
        expect((yield* does("policy", "get", "p", "-o", "json")).json.bindings).toEqual([])
        yield* does("volumeset", "create", "--name", "disk", "--initial-capacity", "10")
        yield* does("volumeset", "get", "disk", "-o", "json")
        yield* does("volumeset", "delete", "disk")
        expect((yield* cpln("volumeset", "get", "disk")).code).toBe(1)
        yield* does("identity", "delete", "robot")
        yield* does("gvc", "delete", "dev")
        expect((yield* cpln("gvc", "get", "dev")).out).toContain("does not exist")
      }),
    isSlow
  )

  it.live(
    "queries by tag, property and GVC, reads orgs, and any path by rest",
    () =>
      Effect.gen(function* () {
        const { does, file } = yield* vendor({ mode: "virtual" })
        yield* does("apply", "-f", file("all.yaml", everything))
        yield* does("workload", "tag", "web", "--tag", "team=data")
        const named = (ran: {
          readonly json: { readonly items: ReadonlyArray<{ readonly name: string }> }
        }) => ran.json.items.map(({ name }) => name)
        expect(named(yield* does("workload", "query", "--prop", "type=cron", "-o", "json"))).toEqual([
          "nightly"
        ])
        expect(named(yield* does("workload", "query", "--tag", "team=data", "-o", "json"))).toEqual(["web"])
        expect(named(yield* does("workload", "query", "--rel", "gvc=dev", "-o", "json"))).toHaveLength(2)
        expect(named(yield* does("gvc", "query", "--property", "name=none", "-o", "json"))).toEqual([])
        expect(named(yield* does("secret", "query", "--prop", "type=dictionary", "-o", "json"))).toEqual([
          "words"
        ])
        expect((yield* does("org", "get", "acme", "-o", "json")).json.name).toBe("acme")
        expect((yield* does("rest", "get", "/org/acme/gvc/dev")).out).toContain("dev")
        expect((yield* does("workload", "eventlog", "web")).code).toBe(0)
      }),
    isSlow
  )

  it.live(
    "creates a workload, changes and suspends it, and stops a replica, which another follows",
    () =>
      Effect.gen(function* () {
        const { does } = yield* vendor({ images: { any: "sleep 600" } })
        yield* does("gvc", "create", "--name", "dev", "--location", location)
        yield* does(
          "workload",
          "create",
          "--name",
          "made",
          "--image",
          "any",
          "--container-name",
          "main",
          "--type",
          "standard",
          "--port",
          "8080"
        )
        expect((yield* does("workload", "get", "made", "-o", "json")).json.spec).toMatchObject({
          type: "standard",
          containers: [{ image: "any", ports: [{ number: 8080 }] }]
        })
        yield* does("workload", "update", "made", "--set", "spec.containers.main.cpu=100m")
        expect((yield* does("workload", "get", "made", "-o", "json")).json.spec.containers[0].cpu).toBe(
          "100m"
        )
        const replica = (other: string | undefined) =>
          Effect.map(
            Effect.repeat(does("workload", "replica", "get", "made", "-o", "json"), {
              until: ({ json }) => json.items.length === 1 && json.items[0] !== other
            }),
            ({ json }): string => json.items[0]
          )
        const first = yield* replica(undefined)
        const where = ["--replica-name", first, "--location", location]
        yield* does("workload", "replica", "stop", "made", ...where)
        expect(yield* replica(first)).not.toBe(first)
        yield* does("workload", "stop", "made")
        expect((yield* does("workload", "get", "made", "-o", "json")).json.spec.defaultOptions.suspend).toBe(
          true
        )
      }),
    isSlow
  )
})
