/** Policies, as those meet them who are not the operator: service accounts and processes in pods. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { WebSocket } from "ws"
import { type Client, client, cron, emulator, gvc, location, org, runner, withRunner } from "../harness.ts"

const commands = `${runner}/-command`
const run = { type: "runCronWorkload", spec: { location } }
const account = `${org}/serviceaccount/robot`
const logs = `/logs/org/acme/loki/api/v1`
const query = encodeURIComponent(`{gvc="dev"}`)

/** A service account without any policy, and a client with its key. */
const robot = Effect.fnUntraced(function* (cpln: Client) {
  yield* cpln.post(`${org}/serviceaccount`, { name: "robot" })
  const { json } = yield* cpln.post(`${account}/-addKey`, { description: "d" })
  return { ...client(cpln.url, json.key), key: json.key as string, keyName: json.name as string }
})

const grant = Effect.fnUntraced(function* (
  cpln: Client,
  targetKind: string,
  policy: Record<string, unknown>
) {
  const { permissions, to = account, ...rest } = policy
  const answer = yield* cpln.put(`${org}/policy`, {
    kind: "policy",
    name: `for-${targetKind}`,
    targetKind,
    ...(rest["targetLinks"] === undefined && rest["targetQuery"] === undefined ? { target: "all" } : {}),
    ...rest,
    bindings: [{ permissions, principalLinks: [to] }]
  })
  if (answer.status > 201) throw new Error(answer.text)
})

const names = ({ json }: { readonly json: { readonly items: ReadonlyArray<{ readonly name: string }> } }) =>
  json.items.map(({ name }) => name)

/** The status of the upgrade, 101 when it is accepted. */
const tailStatus = ({ url }: Client, authorization: string) =>
  Effect.callback<number>((resume) => {
    const socket = new WebSocket(`${url.replace("http", "ws")}${logs}/tail?query=${query}`, {
      headers: { authorization }
    })
    const end = (status: number) => {
      resume(Effect.succeed(status))
      socket.terminate()
    }
    socket.on("open", () => end(101))
    socket.on("unexpected-response", (_, { statusCode }) => end(statusCode ?? 0))
    socket.on("error", () => {})
  })

describe("a service account without policies", () => {
  it.live("is known, reads its own org, and is told for everything else which permission is missing", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      yield* cpln.post(`${org}/secret`, { name: "s", type: "opaque", data: { payload: "hidden" } })
      const key = yield* robot(cpln)
      expect((yield* key.get(org)).status).toBe(200)
      const workload = `workload ${runner}`
      const cases: ReadonlyArray<readonly [string, string, unknown, string]> = [
        ["GET", "/org/empty", undefined, `"view" in org empty`],
        ["GET", `${gvc}/workload`, undefined, `"view" in workload`],
        ["POST", `${org}/workload/-query`, {}, `"view" in workload`],
        ["GET", `${org}/gvc`, undefined, `"view" in gvc`],
        ["GET", gvc, undefined, `"view" in gvc ${gvc}`],
        ["GET", runner, undefined, `"view" in ${workload}`],
        ["GET", `${runner}/deployment/${location}`, undefined, `"view" in ${workload}`],
        ["GET", `/replicas${runner}`, undefined, `"view" in ${workload}`],
        ["GET", `/replicas/${runner}`, undefined, `"view" in ${workload}`],
        ["GET", commands, undefined, `"view" in ${workload}`],
        ["POST", `${commands}/-query`, {}, `"view" in ${workload}`],
        ["POST", commands, run, `"exec.runCronWorkload" in ${workload}`],
        ["POST", commands, { type: "stopReplica", spec: {} }, `"exec.stopReplica" in ${workload}`],
        ["POST", `${gvc}/workload`, cron("new"), `"create" in workload ${gvc}/workload/new`],
        ["PUT", `${gvc}/workload`, cron("new"), `"create" in workload ${gvc}/workload/new`],
        ["PUT", `${gvc}/workload`, cron("runner"), `"edit" in ${workload}`],
        ["PATCH", runner, { tags: { a: "b" } }, `"edit" in ${workload}`],
        ["DELETE", runner, undefined, `"delete" in ${workload}`],
        ["GET", `${org}/secret/s`, undefined, `"view" in secret ${org}/secret/s`],
        ["GET", `${org}/secret/s/-reveal`, undefined, `"reveal" in secret ${org}/secret/s`],
        ["POST", `${account}/-addKey`, {}, `"addKey" in serviceaccount ${account}`],
        ["POST", `${org}/policy`, { name: "mine" }, `"create" in policy ${org}/policy/mine`],
        ["GET", `${logs}/query_range?query=${query}`, undefined, `"readLogs" in org acme`]
      ]
      for (const [method, path, body, lacks] of cases) {
        const answer = yield* key.call(method, path, body)
        expect([method, path, answer.status, answer.json?.message]).toEqual([
          method,
          path,
          403,
          `requires permission ${lacks}`
        ])
      }
      expect(yield* tailStatus(cpln, key.key)).toBe(403)
      expect(names(yield* cpln.get(`${gvc}/workload`))).toEqual(["runner"])
    })
  )
})

describe("a policy", () => {
  it.live("gives what it names and what that implies, and no more", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const key = yield* robot(cpln)
      const may = Effect.gen(function* () {
        return {
          view: (yield* key.get(runner)).status === 200,
          edit: (yield* key.patch(runner, { tags: { a: "b" } })).status === 200,
          run: (yield* key.post(commands, run)).status === 201,
          create: (yield* key.call("POST", `${gvc}/workload?dryRun=true`, cron("other"))).status === 200
        }
      })
      const nothing = { view: false, edit: false, run: false, create: false }
      const cases: ReadonlyArray<readonly [ReadonlyArray<string>, object]> = [
        [[], {}],
        [["view"], { view: true }],
        [["edit"], { view: true, edit: true }],
        [["exec"], { run: true }],
        [["exec.runCronWorkload"], { run: true }],
        [["exec.stopReplica"], {}],
        [["create"], { create: true }],
        [["manage"], { view: true, edit: true, run: true, create: true }]
      ]
      for (const [permissions, given] of cases) {
        yield* grant(cpln, "workload", { permissions })
        expect([permissions, yield* may]).toEqual([permissions, { ...nothing, ...given }])
      }
      yield* grant(cpln, "gvc", { permissions: ["manage"] })
      yield* grant(cpln, "workload", { permissions: ["manage"], to: `${org}/serviceaccount/other` })
      expect(yield* may).toEqual(nothing)
    })
  )

  it.live("is for all objects of its kind, for those it links, or for those that its query finds", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      yield* cpln.post(`${gvc}/workload`, { ...cron("tagged"), tags: { team: "a" } })
      yield* cpln.post(`${gvc}/workload`, cron("third"))
      const key = yield* robot(cpln)
      const permissions = ["view"]
      const seen = Effect.gen(function* () {
        const listed = names(yield* key.get(`${gvc}/workload`))
        expect(names(yield* key.post(`${org}/workload/-query`, {}))).toEqual(listed)
        for (const name of ["runner", "tagged", "third"]) {
          expect((yield* key.get(`${gvc}/workload/${name}`)).status).toBe(listed.includes(name) ? 200 : 403)
        }
        return listed
      })
      yield* grant(cpln, "workload", { permissions })
      expect(yield* seen).toEqual(["runner", "tagged", "third"])
      yield* grant(cpln, "workload", { permissions, targetLinks: ["//gvc/dev/workload/third"] })
      expect(yield* seen).toEqual(["third"])
      const terms = [{ op: "=", tag: "team", value: "a" }]
      yield* grant(cpln, "workload", {
        permissions,
        targetQuery: { kind: "workload", spec: { match: "all", terms } }
      })
      expect(yield* seen).toEqual(["tagged"])
    })
  )

  it.live("reaches the members of a group", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const key = yield* robot(cpln)
      yield* grant(cpln, "workload", { permissions: ["view"], to: "//group/robots" })
      expect((yield* key.get(runner)).status).toBe(403)
      yield* cpln.post(`${org}/group`, { name: "robots", memberLinks: ["//serviceaccount/robot"] })
      expect((yield* key.get(runner)).status).toBe(200)
    })
  )

  it.live("with readLogs opens the logs, read and tailed", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const key = yield* robot(cpln)
      yield* grant(cpln, "org", { permissions: ["readLogs"] })
      expect((yield* key.get(`${logs}/query_range?query=${query}`)).status).toBe(200)
      expect(yield* tailStatus(cpln, key.key)).toBe(101)
    })
  )

  it.live("that lets edit workloads does not let attach an identity: that takes use", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      yield* cpln.post(`${gvc}/identity`, { name: "powerful" })
      const key = yield* robot(cpln)
      yield* grant(cpln, "workload", { permissions: ["manage"] })
      const attach = { spec: { identityLink: "//identity/powerful" } }
      const refused = yield* key.patch(runner, attach)
      expect([refused.status, refused.json.message]).toEqual([
        403,
        `requires permission "use" in identity ${gvc}/identity/powerful`
      ])
      yield* grant(cpln, "identity", { permissions: ["use"] })
      expect((yield* key.patch(runner, attach)).status).toBe(200)
      // What is attached already may be sent back by whoever edits.
      yield* cpln.remove(`${org}/policy/for-identity`)
      expect((yield* key.patch(runner, attach)).status).toBe(200)
    })
  )
})

describe("keys", () => {
  it.live("open nothing once they were dropped from their account, or the account is gone", () =>
    Effect.gen(function* () {
      const cpln = yield* emulator()
      const first = yield* robot(cpln)
      const { json } = yield* cpln.post(`${account}/-addKey`, {})
      const second = client(cpln.url, json.key)
      yield* cpln.patch(account, { "$drop/keys": [first.keyName] })
      expect([(yield* first.get(org)).status, (yield* second.get(org)).status]).toEqual([401, 200])
      yield* cpln.remove(account)
      expect((yield* second.get(org)).status).toBe(401)
      // An account of the same name is another account.
      yield* cpln.post(`${org}/serviceaccount`, { name: "robot" })
      expect((yield* second.get(org)).status).toBe(401)
    })
  )

  it.live("keep their limits in an open emulator, where any other token may do all", () =>
    Effect.gen(function* () {
      const cpln = yield* emulator({ token: undefined })
      const open = client(cpln.url, "whatever")
      const key = yield* robot(open)
      expect((yield* open.get(`${org}/gvc`)).status).toBe(200)
      expect((yield* key.get(`${org}/gvc`)).status).toBe(403)
    })
  )
})
