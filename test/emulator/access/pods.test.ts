/** Tokens inside of containers, and secrets that get there only by a policy. The containers are processes that speak HTTP. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { type Client, cron, gvc, location, org, runner, withRunner } from "../harness.ts"

const logs = "/logs/org/acme/loki/api/v1/query_range"

/** Prints the status and message of each path that it asks for, with its own token at its own endpoint. */
const asker = (paths: ReadonlyArray<string>) => `
  const { CPLN_ENDPOINT, CPLN_TOKEN } = process.env
  for (const path of ${JSON.stringify(paths)}) {
    const answer = await fetch(CPLN_ENDPOINT + path, { headers: { authorization: CPLN_TOKEN } })
    const { message = "" } = await answer.json()
    console.log(answer.status + " " + message)
  }
`

const asking = (...paths: ReadonlyArray<string>) => ({
  containers: [
    {
      name: "main",
      image: "x",
      command: process.execPath,
      args: ["--input-type=module", "-e", asker(paths)]
    }
  ]
})

const isOver = ({ json }: { readonly json: { readonly lifecycleStage: string } }) =>
  ["completed", "failed"].includes(json.lifecycleStage)

/** What a run of the workload printed. */
const printed = Effect.fnUntraced(function* (cpln: Client, workload = "runner") {
  const path = yield* cpln.start(workload)
  yield* cpln.until(path, isOver)
  const replica = (yield* cpln.get(path)).json.status.replica as string
  const query = encodeURIComponent(`{replica="${replica}"}`)
  const { json } = yield* cpln.get(`${logs}?query=${query}&direction=forward`)
  return json.data.result.flatMap(({ values }: { values: ReadonlyArray<readonly [string, string]> }) =>
    values.map(([, line]) => line)
  )
})

const policy = (name: string, targetKind: string, permissions: ReadonlyArray<string>, identity: string) => ({
  name,
  targetKind,
  target: "all",
  bindings: [{ permissions, principalLinks: [`${gvc}/identity/${identity}`] }]
})

const exec = { mode: "exec", startDelay: 0 } as const

describe("the token of a container", () => {
  it.live("without an identity reads its own org and nothing else", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(exec, asking(org, runner, "/org/empty", `${org}/gvc`))
      expect(yield* printed(cpln)).toEqual([
        "200 ",
        `403 requires permission "view" in workload ${runner}`,
        `403 requires permission "view" in org empty`,
        `403 requires permission "view" in gvc`
      ])
    })
  )

  it.live("may do what policies give its own identity, and is refused at the logs host all the same", () =>
    Effect.gen(function* () {
      const paths = [runner, `${org}/secret`, `${logs}?query=%7Bgvc%3D%22dev%22%7D`]
      const cpln = yield* withRunner(exec, asking(...paths))
      for (const name of ["own", "other"]) yield* cpln.post(`${gvc}/identity`, { name })
      yield* cpln.patch(runner, { spec: { identityLink: "//identity/own" } })
      yield* cpln.post(`${org}/policy`, policy("w", "workload", ["view"], "own"))
      yield* cpln.post(`${org}/policy`, policy("o", "org", ["readLogs"], "own"))
      yield* cpln.post(`${org}/policy`, policy("s", "secret", ["view"], "other"))
      const expected = [
        "200 ",
        `403 requires permission "view" in secret`,
        `403 requires permission "readLogs" in org acme`
      ]
      expect(yield* printed(cpln)).toEqual(expected)
      // Another workload, with the other identity.
      const other = { ...asking(...paths), identityLink: "//identity/other" }
      yield* cpln.post(`${gvc}/workload`, cron("second", other))
      expect(yield* printed(cpln, "second")).toEqual([
        `403 requires permission "view" in workload ${runner}`,
        "200 ",
        expected[2]
      ])
    })
  )
})

describe("a secret in a container", () => {
  const env = [{ name: "PASSWORD", value: "cpln://secret/login.password" }]
  const containers = [{ name: "main", image: "x", command: "sh", args: ["-c", "echo got $PASSWORD"], env }]
  const deployment = `${runner}/deployment/${location}`

  const withSecret = Effect.gen(function* () {
    const cpln = yield* withRunner(exec, { containers })
    yield* cpln.post(`${org}/secret`, { name: "login", type: "dictionary", data: { password: "hidden" } })
    return cpln
  })

  it.live("takes an identity and a policy with reveal: until then the workload waits, silently", () =>
    Effect.gen(function* () {
      const cpln = yield* withSecret
      const waits = Effect.gen(function* () {
        const { status } = (yield* cpln.get(deployment)).json
        const health = (yield* cpln.get(runner)).json.health.readiness
        return [status.ready, status.message, health]
      })
      const silent = [false, "", "notReady"]
      expect(yield* waits).toEqual(silent)
      yield* cpln.post(`${gvc}/identity`, { name: "robot" })
      expect(yield* waits).toEqual(silent)
      yield* cpln.patch(runner, { spec: { identityLink: "//identity/robot" } })
      expect(yield* waits).toEqual(silent)
      const path = yield* cpln.start("runner")
      yield* Effect.sleep(300)
      const command = (yield* cpln.get(path)).json
      expect([command.lifecycleStage, command.status.replica, command.status.messages]).toEqual([
        "pending",
        undefined,
        undefined
      ])
      const [execution] = (yield* cpln.get(deployment)).json.status.jobExecutions
      expect([execution.status, execution.message, execution.containers.main.message]).toEqual([
        "pending",
        "",
        ""
      ])
      expect((yield* cpln.get(`/replicas${runner}`)).json.items).toEqual([])
      expect((yield* cpln.get(`${logs}?query=%7Bgvc%3D%22dev%22%7D`)).json.data.result).toEqual([])
      // `use` and `view` are not enough.
      yield* cpln.put(`${org}/policy`, policy("p", "secret", ["use", "view"], "robot"))
      expect(yield* waits).toEqual(silent)
      yield* cpln.put(`${org}/policy`, policy("p", "secret", ["reveal"], "robot"))
      expect(yield* waits).toEqual([true, "", "ready"])
      expect((yield* cpln.until(path, isOver)).json.lifecycleStage).toBe("completed")
      expect(yield* printed(cpln)).toEqual(["got hidden"])
      // A right that was taken back counts from then on.
      yield* cpln.remove(`${org}/policy/p`)
      expect(yield* waits).toEqual(silent)
    })
  )

  it.live("in an override is held to the same rule", () =>
    Effect.gen(function* () {
      const plain = [{ name: "main", image: "x", command: "sh", args: ["-c", "true"] }]
      const cpln = yield* withRunner(exec, { containers: plain })
      yield* cpln.post(`${org}/secret`, { name: "login", type: "dictionary", data: { password: "hidden" } })
      expect((yield* cpln.get(deployment)).json.status.ready).toBe(true)
      const path = yield* cpln.start("runner", { containerOverrides: [{ name: "main", env }] })
      yield* Effect.sleep(200)
      expect((yield* cpln.get(path)).json.lifecycleStage).toBe("pending")
    })
  )

  it.live("is read over the API by reveal alone; view shows it without its data", () =>
    Effect.gen(function* () {
      const cpln = yield* withSecret
      expect((yield* cpln.get(`${org}/secret/login`)).json.data).toBeUndefined()
      expect((yield* cpln.get(`${org}/secret/login/-reveal`)).json.data).toEqual({ password: "hidden" })
    })
  )
})
