import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Result } from "effect"
import { Driver, type Pod, type PodContainer } from "../../../src/emulator/jobs/driver.ts"
import { processDriver } from "../../../src/emulator/jobs/processes/process-driver.ts"
import type { RunEvent } from "../../../src/emulator/jobs/run-state.ts"
import { parseQuery } from "../../../src/emulator/logs/logql.ts"
import { LogStore } from "../../../src/emulator/logs/log-store.ts"
import { isAlive } from "./alive.ts"

const place = mkdtempSync(join(tmpdir(), "driver-test-"))
afterAll(() => rmSync(place, { recursive: true, force: true }))

const world = processDriver.pipe(Layer.provideMerge(LogStore.layer))

let pods = 0
const podOf = (...containers: ReadonlyArray<Partial<PodContainer>>): Pod => ({
  org: "acme",
  gvc: "dev",
  workload: "runner",
  location: "aws-us-west-2",
  replica: `command-${process.pid}-${++pods}-abcde`,
  workloadVersion: 4,
  containers: containers.map((container, n) => ({
    name: n === 0 ? "main" : `side-${n}`,
    image: "prefect:3",
    command: undefined,
    args: [],
    env: {},
    workingDir: undefined,
    ...container
  }))
})
const sh = (script: string) => ({ args: ["sh", "-c", script] })

/** Runs the pod to its end and tells what the driver told. */
const ends = (pod: Pod) =>
  Effect.gen(function* () {
    const driver = yield* Driver
    const events: Array<RunEvent> = []
    yield* driver.run(pod, (event) => Effect.sync(() => void events.push(event)))
    return events
  })

const linesOf = (pod: Pod) =>
  Effect.map(LogStore, (store) =>
    store.range({
      org: pod.org,
      query: Result.getOrThrow(parseQuery(`{replica="${pod.replica}"}`)),
      start: 0n,
      end: undefined,
      limit: 100_000,
      direction: "forward"
    })
  )

const textsOf = (pod: Pod) => Effect.map(linesOf(pod), (lines) => lines.map((each) => each.line))

const written = (path: string): Effect.Effect<ReadonlyArray<number>> =>
  Effect.suspend(() =>
    existsSync(path) && readFileSync(path, "utf8").endsWith("ready\n")
      ? Effect.succeed(readFileSync(path, "utf8").trim().split("\n").slice(0, -1).map(Number))
      : Effect.sleep("10 millis").pipe(Effect.andThen(written(path)))
  )

/** Waits, within reason, until none of them lives. */
const areGone = (pids: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    for (let n = 0; n < 100 && pids.some(isAlive); n++) yield* Effect.sleep("20 millis")
    return pids.filter(isAlive)
  })

describe("a job as processes of this machine", () => {
  it.live("prints into the log with the labels of its pod, both streams, in order", () =>
    Effect.gen(function* () {
      const pod = podOf(sh("echo one; echo two; echo; printf 'é end' >&2"))
      expect(yield* ends(pod)).toEqual([{ _tag: "ContainerEnded", container: "main", exitCode: 0 }])
      const lines = yield* linesOf(pod)
      const of = (stream: string) =>
        lines.filter((each) => each.labels["stream"] === stream).map((each) => each.line)
      expect(of("stdout")).toEqual(["one", "two"])
      expect(of("stderr")).toEqual(["é end"])
      expect(lines[0]?.labels).toEqual({
        gvc: "dev",
        workload: "runner",
        container: "main",
        location: "aws-us-west-2",
        provider: "aws",
        replica: pod.replica,
        stream: "stdout",
        version: "4"
      })
      const stamps = lines.map((each) => each.at)
      expect(new Set(stamps).size).toBe(stamps.length)
    }).pipe(Effect.provide(world))
  )

  it.live("has exactly the environment of its pod, and PATH, HOME and a host name", () =>
    Effect.gen(function* () {
      const script = "console.log(JSON.stringify(process.env))"
      const plain = podOf({ args: ["node", "-e", script], env: { A: "b", EMPTY: "", CPLN_ORG: "acme" } })
      yield* ends(plain)
      expect(JSON.parse((yield* textsOf(plain)).join(""))).toEqual({
        A: "b",
        EMPTY: "",
        CPLN_ORG: "acme",
        PATH: process.env["PATH"],
        HOME: process.env["HOME"],
        HOSTNAME: plain.replica
      })
      const own = podOf({
        args: ["/bin/sh", "-c", "echo $PATH $HOME $HOSTNAME"],
        env: { PATH: "/a", HOME: "/b", HOSTNAME: "c" }
      })
      yield* ends(own)
      expect(yield* textsOf(own)).toEqual(["/a /b c"])
    }).pipe(Effect.provide(world))
  )

  it.live(
    "works in an empty folder of its own that is gone afterwards, or where its pod says if that is there",
    () =>
      Effect.gen(function* () {
        const pod = podOf(sh("pwd; ls -A; touch left"), sh("pwd"))
        yield* ends(pod)
        const folders = yield* textsOf(pod)
        expect(folders.length).toBe(2)
        expect(new Set(folders).size).toBe(2)
        expect(folders.filter((folder) => existsSync(folder))).toEqual([])
        const there = podOf({ ...sh("pwd"), workingDir: place })
        yield* ends(there)
        expect(yield* textsOf(there)).toEqual([place])
        const absent = podOf({ ...sh("pwd"), workingDir: "/opt/not/here" })
        expect(yield* ends(absent)).toMatchObject([{ exitCode: 0 }])
      }).pipe(Effect.provide(world))
  )

  it.live("has a closed stdin", () =>
    Effect.gen(function* () {
      expect(yield* ends(podOf({ args: ["cat"] }))).toMatchObject([{ exitCode: 0 }])
    }).pipe(Effect.provide(world))
  )

  it.live("starts the command with the args after it, or the first of the args", () =>
    Effect.gen(function* () {
      const output = (container: Partial<PodContainer>) => {
        const pod = podOf(container)
        return ends(pod).pipe(Effect.andThen(textsOf(pod)))
      }
      expect(yield* output({ command: "echo", args: ["a b", "c"] })).toEqual(["a b c"])
      expect(yield* output({ command: "/bin/echo", args: ["d"] })).toEqual(["d"])
      expect(yield* output({ args: ["echo", "e"] })).toEqual(["e"])
      expect(yield* output({ command: "", args: ["echo", "f"] })).toEqual(["f"])
      expect(yield* output({ command: "echo g  h", args: ["i"] })).toEqual(["g h i"])
      const spaced = join(place, "a program")
      writeFileSync(spaced, "#!/bin/sh\necho spaced $1\n", { mode: 0o755 })
      expect(yield* output({ command: spaced, args: ["j"] })).toEqual(["spaced j"])
      expect(yield* output({ command: "./a program", args: ["k"], workingDir: place })).toEqual(["spaced k"])
    }).pipe(Effect.provide(world))
  )

  it.live("that cannot be started ends with 127 or 126 and says why, also in its log", () =>
    Effect.gen(function* () {
      const text = join(place, "text")
      writeFileSync(text, "no program", { mode: 0o644 })
      const lost = join(place, "lost")
      writeFileSync(lost, "#!/not/there\n", { mode: 0o755 })
      const cases: ReadonlyArray<readonly [Partial<PodContainer>, number, string]> = [
        [{ args: ["no-such-program"] }, 127, "exec: no-such-program: not found in PATH"],
        [{ command: "/no/such/program" }, 127, "exec: /no/such/program: no such file or directory"],
        [{ command: text }, 126, "permission denied"],
        [{ command: place }, 126, "is a directory"],
        [{ command: lost }, 127, "its interpreter is not there"],
        [{}, 127, "it does not run images"],
        [{ args: ["echo", "a\0b"] }, 128, "NUL"]
      ]
      for (const [container, exitCode, why] of cases) {
        const pod = podOf({
          env: { SECRET: "s3cret\0" },
          ...container,
          ...(exitCode === 128 ? {} : { env: {} })
        })
        const events = yield* ends(pod)
        expect(events).toMatchObject([
          { _tag: "ContainerEnded", container: "main", exitCode, reason: "StartError" }
        ])
        expect(JSON.stringify(events)).toContain(why)
        expect((yield* textsOf(pod)).join("\n")).toContain(why)
        expect(JSON.stringify(events)).not.toContain("s3cret")
      }
    }).pipe(Effect.provide(world))
  )

  it.live("tells of each container as it ends, and returns after the last", () =>
    Effect.gen(function* () {
      expect(yield* ends(podOf(sh("sleep 0.3; exit 3"), sh("exit 0"), sh("kill -KILL $$")))).toMatchObject(
        expect.arrayContaining([
          expect.objectContaining({ container: "side-1", exitCode: 0 }),
          expect.objectContaining({ container: "side-2", exitCode: 137 }),
          expect.objectContaining({ container: "main", exitCode: 3 })
        ])
      )
    }).pipe(Effect.provide(world))
  )

  it.live("gets a signal in every process of every container, and may answer it", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const files = [join(place, "signal-0"), join(place, "signal-1")]
      const script = (file: string) =>
        `trap 'echo main heard; wait $child; exit 7' TERM
         sh -c 'trap "echo child heard; exit" TERM; echo $$ >> ${file}; echo ready >> ${file}; while :; do sleep 0.05; done' &
         child=$!
         wait $child`
      const pod = podOf(...files.map((file) => sh(script(file))))
      const running = yield* Effect.forkChild(ends(pod))
      for (const file of files) yield* written(file)
      yield* driver.signal("command-of-nobody", "SIGTERM")
      yield* driver.signal(pod.replica, "SIGTERM")
      expect((yield* Fiber.join(running)).map((event) => "exitCode" in event && event.exitCode)).toEqual([
        7, 7
      ])
      // The shells also say on stderr how their sleep ended.
      const heard = (yield* textsOf(pod)).filter((line) => line.endsWith("heard"))
      expect(heard.toSorted()).toEqual(["child heard", "child heard", "main heard", "main heard"])
      yield* driver.signal(pod.replica, "SIGKILL")
    }).pipe(Effect.provide(world))
  )

  it.live("ends with 143 and 137 by the signals of a stop", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      for (const [signal, exitCode] of [
        ["SIGTERM", 143],
        ["SIGKILL", 137]
      ] as const) {
        const file = join(place, `ready-${signal}`)
        const pod = podOf(sh(`echo ready > ${file}; exec sleep 60`))
        const running = yield* Effect.forkChild(ends(pod))
        yield* written(file)
        yield* driver.signal(pod.replica, signal)
        expect(yield* Fiber.join(running)).toMatchObject([{ exitCode }])
      }
    }).pipe(Effect.provide(world))
  )

  /** Two that ignore SIGTERM, the second out of the group where it would be found; their ids are written before `ready`. */
  const spreads = (file: string) =>
    `sh -c 'trap "" TERM; echo $$ >> ${file}; while :; do sleep 0.05; done' &
     ${existsSync("/proc/self/environ") ? "setsid" : ""} sh -c 'trap "" TERM; echo $$ >> ${file}; exec >/dev/null 2>&1; while :; do sleep 0.05; done' &
     until [ "$(cat ${file} 2>/dev/null | wc -l)" -eq 2 ]; do sleep 0.01; done
     echo ready >> ${file}`

  it.live("leaves nothing behind when its main process ends", () =>
    Effect.gen(function* () {
      const file = join(place, "main-ends")
      const pod = podOf(sh(`${spreads(file)}; echo bye`))
      expect(yield* ends(pod)).toMatchObject([{ exitCode: 0 }])
      expect(yield* textsOf(pod)).toEqual(["bye"])
      const pids = yield* written(file)
      expect(pids.length).toBe(2)
      expect(yield* areGone(pids)).toEqual([])
    }).pipe(Effect.provide(world))
  )

  it.live("leaves nothing of its groups behind whatever host name its pod gives itself", () =>
    Effect.gen(function* () {
      const file = join(place, "own-name")
      const script = `sh -c 'trap "" TERM; echo $$ >> ${file}; while :; do sleep 0.05; done' &
        until [ -s ${file} ]; do sleep 0.01; done; echo ready >> ${file}`
      yield* ends(podOf({ ...sh(script), env: { HOSTNAME: "mine" } }))
      const pids = yield* written(file)
      expect(pids.length).toBe(1)
      expect(yield* areGone(pids)).toEqual([])
    }).pipe(Effect.provide(world))
  )

  it.live("leaves nothing behind when it is interrupted, and what it had begun to say is in the log", () =>
    Effect.gen(function* () {
      const file = join(place, "interrupted")
      const pod = podOf(
        sh(`printf 'half a line'; ${spreads(file)}; trap '' TERM; while :; do sleep 0.05; done`)
      )
      const running = yield* Effect.forkChild(ends(pod))
      const pids = yield* written(file)
      yield* Fiber.interrupt(running)
      expect(yield* areGone(pids)).toEqual([])
      expect(yield* textsOf(pod)).toEqual(["half a line"])
    }).pipe(Effect.provide(world))
  )

  it.live("prints a hundred thousand lines, each of which is in the log once and in order", () =>
    Effect.gen(function* () {
      const pod = podOf(sh("seq 1 100000"))
      yield* ends(pod)
      expect(yield* textsOf(pod)).toEqual(Array.from({ length: 100_000 }, (_, n) => String(n + 1)))
    }).pipe(Effect.provide(world))
  )

  it.live("runs beside a hundred others", () =>
    Effect.gen(function* () {
      const all = Array.from({ length: 100 }, () => podOf(sh("sleep 0.2; echo $HOSTNAME")))
      const events = yield* Effect.forEach(all, ends, { concurrency: "unbounded" })
      expect(events.flat().length).toBe(100)
      for (const pod of all) expect(yield* textsOf(pod)).toEqual([pod.replica])
    }).pipe(Effect.provide(world))
  )
})
