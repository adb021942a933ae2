/** The vendor's own CLI runs commands in containers, of jobs and of workloads that serve, and follows their logs. */
import { spawnSync } from "node:child_process"
import { expect, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { describe } from "vitest"
import { location } from "../harness.ts"
import { vendor } from "./vendor.ts"

const isSlow = 90_000

const manifest = (script: string) => `
kind: workload
name: web
gvc: dev
spec:
  type: standard
  containers:
    - name: main
      image: any
      command: sh
      args: ["-c", ${JSON.stringify(script)}]
      env: [{ name: GREETING, value: hello }]
`

const withWeb = Effect.fnUntraced(function* (script = "echo up; exec sleep 600") {
  const made = yield* vendor()
  yield* made.does("gvc", "create", "--name", "dev", "--location", location)
  yield* made.does("apply", "--ready", "-f", made.file("web.yaml", manifest(script)))
  return made
})

const exec = ["workload", "exec", "web", "--"]

describe("the cpln CLI", () => {
  it.live(
    "executes a command in a container, and has its output and exit code",
    () =>
      Effect.gen(function* () {
        const { cpln, does } = yield* withWeb()
        expect((yield* does(...exec, "sh", "-c", "echo $GREETING from $CPLN_WORKLOAD")).out).toContain(
          "hello from /org/acme/gvc/dev/workload/web"
        )
        const failed = yield* cpln(...exec, "sh", "-c", "exit 7")
        expect([failed.code, failed.out]).toEqual([7, expect.stringContaining("exit code 7")])
        const missing = yield* cpln(...exec, "no-such-program")
        expect([missing.code, missing.out]).toEqual([126, expect.stringContaining("not found")])
        const replica = ["--replica", "web-unknown"]
        const unknown = yield* cpln(
          "workload",
          "exec",
          "web",
          ...replica,
          "--container",
          "main",
          "--",
          "true"
        )
        expect([unknown.code, unknown.out]).toEqual([1, expect.stringContaining("does not exist")])
      }),
    isSlow
  )

  it.live(
    "gives a command its standard input, or a terminal",
    () =>
      Effect.gen(function* () {
        const { begins } = yield* withWeb()
        const piped = yield* begins("workload", "exec", "web", "--stdin", "--", "tr", "a-z", "A-Z")
        piped.child.stdin.end("shout\n")
        const shouted = Effect.sync(piped.output)
        expect(
          yield* Effect.repeat(shouted, {
            until: (out) => out.includes("SHOUT"),
            schedule: Schedule.spaced("50 millis")
          })
        ).toContain("SHOUT")
        const connected = yield* begins("workload", "connect", "web", "--shell", "sh")
        yield* Effect.sleep("3 seconds")
        connected.child.stdin.write("test -t 0 && echo a-$((6 * 7))-terminal; exit\n")
        const closed = Effect.sync(() => connected.child.exitCode)
        yield* Effect.repeat(closed, {
          until: (code) => code !== null,
          schedule: Schedule.spaced("50 millis")
        })
        if (spawnSync("sh", ["-c", "command -v script"]).status === 0) {
          expect(connected.output()).toContain("a-42-terminal")
        }
      }),
    isSlow
  )

  it.live(
    "follows the logs of a workload, stops it and starts it again",
    () =>
      Effect.gen(function* () {
        const { begins, does } = yield* withWeb("i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done")
        const tail = yield* begins("logs", `{gvc="dev", workload="web"}`, "--tail")
        yield* Effect.repeat(Effect.sync(tail.output), {
          until: (out) => /line (\d+)[\s\S]*line (\d+)/u.test(out),
          schedule: Schedule.spaced("50 millis")
        })
        const replicas = (count: number) =>
          Effect.repeat(does("workload", "replica", "get", "web", "-o", "json"), {
            until: ({ json }) => json.items.length === count
          })
        yield* does("workload", "stop", "web")
        yield* replicas(0)
        yield* does("workload", "start", "web")
        const { json } = yield* replicas(1)
        yield* does("workload", "force-redeployment", "web")
        yield* Effect.repeat(does("workload", "replica", "get", "web", "-o", "json"), {
          until: (now) => now.json.items.length === 1 && now.json.items[0] !== json.items[0]
        })
        expect((yield* does("workload", "get-deployments", "web")).out).toContain(location)
        yield* does("workload", "delete", "web")
      }),
    isSlow
  )
})
