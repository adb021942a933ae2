/**
 * The vendor's own CLI against the emulator: it is the judge of whether answers are what the service gives.
 *
 * Invariant: the CLI talks to nothing but the emulator, with a home of its own.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { root } from "../../scripts/local/paths.ts"
import { emulator, location, token } from "./harness.ts"

const cli = join(root, "node_modules", ".bin", "cpln")

interface Ran {
  readonly code: number | null
  readonly out: string
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly json: any
}

/** The CLI, pointed at an emulator that runs jobs as processes, and a folder for its files. */
const vendor = Effect.gen(function* () {
  const { url } = yield* emulator({ mode: "exec", grace: 3000, preStop: 1000 })
  const home = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "cpln-cli-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: home,
    CPLN_HOME: home,
    CPLN_ENDPOINT: url,
    CPLN_TOKEN: token,
    CPLN_ORG: "acme",
    CPLN_GVC: "dev",
    CPLN_SKIP_UPDATE_CHECK: "1"
  }
  const cpln = (...args: ReadonlyArray<string>) =>
    Effect.callback<Ran>((resume) => {
      const child = spawn(process.execPath, [cli, ...args], { env, cwd: home })
      let out = ""
      let err = ""
      child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
      child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()))
      child.once("close", (code) => {
        const parsed = () => {
          try {
            return JSON.parse(out) as unknown
          } catch {
            return undefined
          }
        }
        resume(Effect.succeed({ code, out: `${out}${err}`, json: parsed() }))
      })
      return Effect.sync(() => child.kill("SIGKILL"))
    })
  /** Must succeed. */
  const does = (...args: ReadonlyArray<string>) =>
    Effect.map(cpln(...args), (ran) => {
      expect([args.join(" "), ran.code, ran.code === 0 ? "" : ran.out]).toEqual([args.join(" "), 0, ""])
      return ran
    })
  const file = (name: string, text: string) => {
    const path = join(home, name)
    writeFileSync(path, text)
    return path
  }
  return { cpln, does, file }
})

const manifest = `
kind: workload
name: runner
gvc: dev
spec:
  type: cron
  containers:
    - name: main
      image: ubuntu:latest
      command: sh
      args: ["-c", "echo hello $WHO; sleep \${SECONDS_TO_LIVE:-0}"]
  job: { schedule: "* * * * *" }
  defaultOptions: { suspend: true }
`

const withWorkload = Effect.gen(function* () {
  const made = yield* vendor
  yield* made.does("gvc", "create", "--name", "dev", "--location", location)
  expect((yield* made.does("apply", "-f", made.file("w.yaml", manifest))).out).toContain(
    "Created /org/acme/gvc/dev/workload/runner"
  )
  return made
})

const isSlow = 60_000

describe("the cpln CLI", () => {
  it.live(
    "applies, reads, changes and deletes a workload",
    () =>
      Effect.gen(function* () {
        const { cpln, does, file } = yield* withWorkload
        expect((yield* does("apply", "-f", file("w.yaml", manifest))).out).toContain(
          "Updated workload 'runner'"
        )
        const read = yield* does("workload", "get", "runner", "-o", "json")
        expect(read.json).toMatchObject({ name: "runner", version: 2, spec: { job: { historyLimit: 5 } } })
        expect((yield* does("workload", "get")).out).toMatch(/\|runner \|.*\|true /u)
        expect((yield* does("workload", "get-deployments", "runner")).out).toContain("ready=true")
        yield* does("workload", "update", "runner", "--set", "spec.job.historyLimit=3")
        yield* does("workload", "start", "runner")
        const changed = (yield* does("workload", "get", "runner", "-o", "json")).json.spec
        expect([changed.job.historyLimit, changed.defaultOptions.suspend]).toEqual([3, false])
        yield* does("workload", "delete", "runner")
        const gone = yield* cpln("workload", "get", "runner")
        expect([gone.code, gone.out]).toEqual([1, expect.stringContaining("does not exist")])
      }),
    isSlow
  )

  it.live(
    "starts a job, lists it, reads its logs",
    () =>
      Effect.gen(function* () {
        const { does } = yield* withWorkload
        const args = ["workload", "cron", "start", "runner", "--location", location]
        const started = yield* does(...args, "--env", "WHO=world", "-o", "json")
        const [{ id }] = started.json.items
        yield* Effect.repeat(does("workload", "cron", "get", "runner"), {
          until: ({ out }) => new RegExp(`${id}.*Successful`, "u").test(out)
        })
        expect((yield* does("logs", `{gvc="dev", workload="runner"}`)).out).toMatch(
          new RegExp(`replica="command-${id}-.*hello world`, "u")
        )
      }),
    isSlow
  )

  it.live(
    "finds the replica of a running job and stops it",
    () =>
      Effect.gen(function* () {
        const { does } = yield* withWorkload
        const env = ["--env", "SECONDS_TO_LIVE=600"]
        const started = yield* does("workload", "cron", "start", "runner", ...env, "-o", "json")
        const [{ id }] = started.json.items
        const replicas = yield* Effect.repeat(does("workload", "replica", "get", "runner", "-o", "json"), {
          until: ({ json }) => json.items.length > 0
        })
        const [replica] = replicas.json.items
        expect(replica).toContain(id)
        yield* does("workload", "cron", "stop", "runner", "--replica-name", replica, "--location", location)
        yield* Effect.repeat(does("workload", "cron", "get", "runner"), {
          until: ({ out }) => new RegExp(`${id}.*Failed`, "u").test(out)
        })
      }),
    isSlow
  )

  it.live(
    "runs a command of its own, and tells how it ended",
    () =>
      Effect.gen(function* () {
        const { cpln, does } = yield* withWorkload
        const run = ["workload", "cron", "run", "--location", location, "-o", "json", "--", "sh", "-c"]
        expect((yield* does(...run, "echo fine")).json).toMatchObject({ status: "completed" })
        const failed = yield* cpln(...run, "exit 3")
        expect([failed.code, failed.json.status, failed.json.message]).toEqual([
          1,
          "failed",
          expect.stringContaining("3")
        ])
      }),
    isSlow
  )

  it.live(
    "keeps secrets, identities, policies and keys, and queries workloads",
    () =>
      Effect.gen(function* () {
        const { does, file } = yield* withWorkload
        yield* does("secret", "create-opaque", "--name", "s", "--file", file("payload", "hidden"))
        const revealed = (yield* does("secret", "reveal", "s", "-o", "json")).json.data
        expect(Buffer.from(revealed.payload, "base64").toString()).toBe("hidden")
        expect((yield* does("secret", "get", "s", "-o", "json")).json.data).toBeUndefined()
        yield* does("identity", "create", "--name", "robot")
        yield* does("policy", "create", "--name", "p", "--target-kind", "secret", "--all")
        yield* does("serviceaccount", "create", "--name", "sa")
        expect((yield* does("serviceaccount", "add-key", "sa", "--description", "d")).out).toMatch(
          /"key": "s/u
        )
        const found = yield* does("workload", "query", "--prop", "type=cron", "-o", "json")
        expect(found.json.items.map(({ name }: { name: string }) => name)).toEqual(["runner"])
        expect((yield* does("rest", "get", "/org/acme/gvc/dev")).out).toContain("dev")
        expect((yield* does("org", "get", "acme", "-o", "json")).json.name).toBe("acme")
      }),
    isSlow
  )
})
