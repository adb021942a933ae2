/** The vendor's own CLI runs, watches and stops jobs: it is the judge of whether answers are what the service gives. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { location } from "../harness.ts"
import { vendor } from "./vendor.ts"

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
  const made = yield* vendor()
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
})
