/** The vendor's own CLI as judge: it starts jobs in the emulator and reads what they print. */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, layer } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import * as Emulator from "../../../src/emulator/emulator.ts"
import { Listener } from "../../../src/emulator/listener.ts"
import { defaultLogSettings, LogSettings } from "../../../src/emulator/logs/settings.ts"
import { defaults } from "../../../src/emulator/settings.ts"
import { platform } from "../../../src/platform.ts"

const home = mkdtempSync(join(tmpdir(), "cpln-logs-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))

const executable = join(import.meta.dirname, "../../../node_modules/.bin/cpln")

interface Cli {
  readonly output: () => string
  /** Waits until the output holds all of these. */
  readonly says: (...texts: ReadonlyArray<string>) => Effect.Effect<void>
  /** Exit code. */
  readonly end: Effect.Effect<number | null>
}

/** The CLI at work; it is killed when the test ends. */
const cpln = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const { url } = yield* Listener
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(executable, args, {
        env: {
          PATH: process.env["PATH"],
          HOME: home,
          CPLN_HOME: home,
          CPLN_ENDPOINT: url,
          CPLN_TOKEN: "any",
          CPLN_ORG: "acme",
          CPLN_GVC: "dev",
          CPLN_SKIP_UPDATE_CHECK: "1"
        },
        stdio: ["ignore", "pipe", "pipe"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  let output = ""
  let code: number | null | undefined
  child.stdout.on("data", (bytes: Buffer) => (output += bytes.toString()))
  child.stderr.on("data", (bytes: Buffer) => (output += bytes.toString()))
  child.on("close", (exitCode) => (code = exitCode))
  const until = (condition: () => boolean): Effect.Effect<void> =>
    Effect.suspend(() =>
      condition() ? Effect.void : Effect.sleep("20 millis").pipe(Effect.andThen(until(condition)))
    )
  const cli: Cli = {
    output: () => output,
    says: (...texts) =>
      until(() => texts.every((text) => output.includes(text))).pipe(
        Effect.timeout("30 seconds"),
        Effect.mapError(
          () => new Error(`cpln ${args.join(" ")} did not say ${texts.join(", ")}, but: ${output}`)
        ),
        Effect.orDie
      ),
    end: Effect.as(
      until(() => code !== undefined),
      null
    ).pipe(Effect.map(() => code ?? null))
  }
  return cli
})

const done = (...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const cli = yield* cpln(...args)
    expect([yield* cli.end, cli.output()]).toEqual([0, expect.any(String)])
    return cli.output()
  })

/** A cron workload whose job runs this script. */
const workload = Effect.fnUntraced(function* (name: string, script: string) {
  const file = join(home, `${name}.json`)
  writeFileSync(
    file,
    JSON.stringify({
      kind: "workload",
      name,
      spec: {
        type: "cron",
        containers: [{ name: "main", image: "prefect:3", args: ["sh", "-c", script] }],
        job: { schedule: "* * * * *" },
        defaultOptions: { suspend: true, capacityAI: false }
      }
    })
  )
  yield* done("apply", "-f", file)
})

const startJob = (name: string) =>
  done("workload", "cron", "start", name, "--location", "aws-us-west-2", "-o", "json")

const tailSession = Duration.seconds(2)
const emulator = Emulator.layer({ ...defaults, orgs: ["acme"], startDelay: 0 }).pipe(
  Layer.provide(Layer.succeed(LogSettings, { ...defaultLogSettings, tailSession })),
  Layer.provideMerge(platform)
)

layer(emulator, { timeout: "30 seconds", excludeTestServices: true })("the vendor's CLI", (it) => {
  describe("cpln logs", () => {
    it.effect(
      "prints what jobs printed, by labels and by filters within the query, also page by page",
      () =>
        Effect.gen(function* () {
          yield* done("gvc", "create", "--name", "dev", "--location", "aws-us-west-2")
          yield* workload("talker", "echo on stdout; echo on stderr >&2; seq 1 2500")
          yield* startJob("talker")
          const query = '{gvc="dev",workload="talker"}'
          const all = yield* cpln("logs", query, "--tail", "--limit", "5000", "-o", "raw")
          yield* all.says("on stdout", "on stderr", "2500")
          const read = yield* done("logs", `${query} |= "on std"`)
          expect(read).toContain(
            'workload="talker", container="main", location="aws-us-west-2", provider="aws"'
          )
          expect(read.trim().split("\n").length).toBe(2)
          expect(yield* done("logs", `${query} |~ "stdou." != "stderr"`, "-o", "raw")).toBe("on stdout\n")
          expect(
            yield* done("logs", '{gvc="dev",workload=~"talker|other",stream="stderr"}', "-o", "raw")
          ).toBe("on stderr\n")
          const pages = yield* done(
            "logs",
            `{gvc="dev",workload="talker"} |~ "^[0-9]+$"`,
            "--limit",
            "0",
            "-o",
            "raw"
          )
          expect(pages.trim().split("\n")).toEqual(Array.from({ length: 2500 }, (_, n) => String(n + 1)))
          const newest = yield* done(
            "logs",
            '{workload="talker",stream="stdout"}',
            "--direction",
            "backward",
            "--limit",
            "2",
            "-o",
            "raw"
          )
          expect(newest.trim().split("\n")).toEqual(["2500", "2499"])
        }).pipe(Effect.scoped),
      60_000
    )

    it.effect(
      "--tail follows over the ends of sessions, each line once and in order",
      () =>
        Effect.gen(function* () {
          yield* workload("counter", "for n in $(seq 1 60); do echo line $n; sleep 0.1; done; echo the end")
          const tail = yield* cpln(
            "logs",
            '{gvc="dev",workload="counter"}',
            "--tail",
            "--limit",
            "999",
            "-o",
            "raw"
          )
          yield* startJob("counter")
          yield* tail.says("line 1\n", "Reconnecting", "the end")
          const lines = tail
            .output()
            .split("\n")
            .filter((line) => line.startsWith("line "))
          expect(lines).toEqual(Array.from({ length: 60 }, (_, n) => `line ${n + 1}`))
        }).pipe(Effect.scoped),
      60_000
    )

    it.effect(
      "ends with 1 and the place of the trouble when the query is none",
      () =>
        Effect.gen(function* () {
          const cli = yield* cpln("logs", '{gvc="dev"} | json')
          expect(yield* cli.end).toBe(1)
          expect(cli.output()).toContain("parse error at line 1, col 13")
        }).pipe(Effect.scoped),
      30_000
    )
  })
})
