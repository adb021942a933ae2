/**
 * The bench behind `scripts/bench`: the compiled agent with a real Prefect server and virtual jobs.
 *
 * Times of commands are those that Control Plane recorded; requests are counted by a proxy between the agent and each
 * service, so that nothing rests on what the agent says of itself. Log websockets go past the proxy.
 */
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { Effect, Fiber, Schedule } from "effect"
import { access, agentCommand, online, startAgent } from "./local/agent.ts"
import { type Command, emulator, ensureGvc, startCommands } from "./local/control-plane.ts"
import { countingProxy } from "./local/counting-proxy.ts"
import { deploy, flowFolder } from "./local/deployments.ts"
import { agentBinary, root, temporaryFolder } from "./local/paths.ts"
import { isFinal, prefectServer } from "./local/prefect-server.ts"
import { type Line, prefectVenv, versions } from "./local/prefect-venv.ts"
import { start } from "./local/process.ts"
import { options, runScript } from "./local/script.ts"
import { table } from "./local/table.ts"
import { place } from "./local/world.ts"

const started = performance.now()
const say = (text: string) =>
  console.log(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${text}`)

const sorted = (values: ReadonlyArray<number>) => [...values].sort((a, b) => a - b)
/** The value below which the share `q` of the values lies. */
const quantile = (values: ReadonlyArray<number>, q: number) =>
  sorted(values)[Math.min(values.length - 1, Math.floor(q * values.length))] ?? Number.NaN
const spread = (values: ReadonlyArray<number>, digits = 1) =>
  values.length === 0 ? "none" : [0, 0.5, 1].map((q) => quantile(values, q).toFixed(digits)).join("/")
const rss = (pid: number) =>
  Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" }).trim()) / 1024
const milliseconds = (text: string) => Date.parse(text)

/** Reads of many objects at once, which do not grow with a single run. */
const bulk = /filter|get_scheduled|-query|heartbeat|flow_run_states|GET \/api\/work_pools\/:$/

const bench = Effect.fnUntraced(function* () {
  const given = options(["prefect", "python", "runs", "idle"], [])
  const line = (given.prefect ?? "3") as Line
  const many = Number(given.runs ?? 1000)
  const idleSeconds = Number(given.idle ?? 60)
  if (versions[line] === undefined || !(many >= 20) || !(idleSeconds > 0)) {
    console.error("--prefect is 2 or 3, --runs at least 20, --idle more than 0")
    return 1
  }
  const venv = yield* prefectVenv(line, given.python ?? "python3", say)
  const folder = yield* temporaryFolder("prefect-cpln-bench-")
  const agent = [agentBinary]
  const cpln = yield* emulator({ agent, home: join(folder, "emulator"), args: ["--mode", "virtual"] })
  yield* ensureGvc(cpln, place)
  const prefect = yield* prefectServer(venv, folder)
  say(`Prefect ${venv.version} server, emulator`)

  const toPrefect = yield* countingProxy(new URL(prefect.api).origin)
  const toCpln = yield* countingProxy(cpln.url)
  const env = access({ api: `${toPrefect.url}/api` }, { url: toCpln.url, token: cpln.token })
  const places = ["--org", place.org, "--gvc", place.gvc, "--location", place.location]
  const pool = "bench"
  yield* agentCommand({ agent, args: ["pool", "create", pool, ...places], home: join(folder, "pool"), env })
  const ids = yield* deploy(prefect, [
    { name: pool, pool, source: flowFolder(folder), entrypoint: "flows.py:completes" }
  ])
  const deployment = ids[pool] ?? ""
  const agentProgram = { agent, args: ["--pool", pool, "--name", "bench"], home: join(folder, "agent"), env }
  const figures: Array<ReadonlyArray<string>> = []

  const starts = yield* Effect.forEach([1, 2, 3, 4, 5], () =>
    Effect.scoped(
      Effect.gen(function* () {
        const polled = yield* Effect.forkChild(toPrefect.first("get_scheduled_flow_runs"))
        yield* Effect.sleep("50 millis")
        const from = performance.now()
        yield* startAgent(agentProgram)
        return ((yield* Fiber.join(polled)) - from) / 1000
      })
    )
  )
  figures.push(["start to first poll, s (min/median/max of 5)", spread(starts, 2), "≤ 1", "3.8/4.5/4.9"])
  say(`start to first poll: ${spread(starts, 2)} s`)

  const running = yield* startAgent(agentProgram)
  yield* online(running, prefect, pool)
  yield* Effect.sleep("5 seconds")
  toPrefect.reset()
  toCpln.reset()
  yield* Effect.sleep(`${idleSeconds} seconds`)
  const total = (counts: ReadonlyMap<string, number>) =>
    [...counts.values()].reduce((sum, count) => sum + count, 0)
  const perMinute = (count: number) => ((count * 60) / idleSeconds).toFixed(0)
  figures.push([
    "idle requests/min: Prefect + Control Plane",
    `${perMinute(total(toPrefect.counts()))} + ${perMinute(total(toCpln.counts()))}`,
    "≤ 75 in all",
    "8 + 0"
  ])
  figures.push(["RSS idle, MiB", rss(running.pid).toFixed(0), "≤ 70", "181"])
  say(`idle for ${idleSeconds} s`)

  // Nobody plays the engine yet: no run has started, so only the agent can act on a cancel.
  const cancelled = yield* Effect.forEach(Array.from({ length: 10 }), () => prefect.run(deployment), {
    concurrency: 2
  })
  yield* Effect.forEach(cancelled, ({ id }) =>
    prefect.waitFor(id, (run) => run.infrastructure_pid !== null, 60).pipe(Effect.asVoid)
  )
  yield* Effect.sleep("3 seconds")
  const asked = new Map<string, number>()
  for (const { id } of cancelled) {
    asked.set(id, Date.now())
    yield* prefect.cancel(id)
    yield* Effect.sleep("700 millis")
  }
  yield* Effect.forEach(cancelled, ({ id }) => prefect.waitFor(id, isFinal, 120))
  const allCommands = Effect.gen(function* () {
    const workloads = yield* cpln.workloads(place)
    return (yield* Effect.forEach(workloads, ({ name }) => cpln.commands(place, name))).flat()
  })
  const commands = yield* allCommands
  const stops = cancelled.flatMap(({ id }) => {
    const launched = commands.find(({ tags }) => tags?.["prefect.io/flow-run-id"] === id)
    const stop = commands.find(
      (command: Command & { readonly spec: { readonly replica?: string } }) =>
        command.type === "stopReplica" &&
        launched !== undefined &&
        command.spec.replica?.includes(launched.id) === true
    )
    return stop === undefined ? [] : [(milliseconds(stop.created) - (asked.get(id) ?? 0)) / 1000]
  })
  figures.push([
    `cancel asked → stop sent, s (${stops.length} of ${cancelled.length} runs)`,
    spread(stops),
    "≤ 3",
    "31/48/53 to CANCELLED, never stopped"
  ])
  say(`cancel → stop: ${spread(stops)} s`)

  yield* start({
    name: "engine",
    command: join(root, "node_modules", ".bin", "bun"),
    args: [
      join(root, "test", "engine", "main.ts"),
      "--prefect",
      prefect.api,
      "--emulator",
      cpln.url,
      "--token",
      cpln.token
    ],
    env: { ...(process.env as Record<string, string>) },
    logFile: join(folder, "engine.log"),
    cwd: root
  })
  const warm = 20
  toPrefect.reset()
  toCpln.reset()
  const single = yield* Effect.forEach(Array.from({ length: warm }), () =>
    prefect.run(deployment).pipe(Effect.tap(() => Effect.sleep("1300 millis")))
  )
  yield* Effect.forEach(single, ({ id }) => prefect.waitFor(id, isFinal, 120))
  yield* Effect.sleep("6 seconds")
  const routes = [
    ...[...toPrefect.counts()].map(([name, count]) => ["Prefect", name, count] as const),
    ...[...toCpln.counts()].map(([name, count]) => ["Control Plane", name, count] as const)
  ].sort((a, b) => b[2] - a[2])
  const own = (side: string) =>
    routes
      .filter(([of, name]) => of === side && !bulk.test(name))
      .reduce((sum, [, , count]) => sum + count, 0) / warm
  figures.push([
    `requests per warm run, without bulk reads: Prefect + Control Plane`,
    `${own("Prefect").toFixed(1)} + ${own("Control Plane").toFixed(1)}`,
    line === "3" ? "≤ 5 in all" : "≤ 4 in all",
    "5 + 6, and one every 5 s"
  ])
  const records = yield* startCommands(cpln, place)
  const launch = (runs: ReadonlyArray<{ readonly id: string; readonly expected_start_time: string }>) =>
    runs.flatMap(({ id, expected_start_time: due }) => {
      const found = records.find(({ command }) => command.tags?.["prefect.io/flow-run-id"] === id)
      return found === undefined ? [] : [(milliseconds(found.command.created) - milliseconds(due)) / 1000]
    })
  const delays = launch(single)
  figures.push([
    `due → command sent, s (min/p50/p99, ${delays.length} of ${warm} runs, one at a time)`,
    [0, 0.5, 0.99].map((q) => quantile(delays, q).toFixed(1)).join("/"),
    "p50 ≤ 1.2, p99 ≤ 3",
    "6.3/12.8/18.0"
  ])
  say(`${warm} warm runs`)

  say(`creating ${many} runs`)
  const from = performance.now()
  yield* Effect.forEach(
    Array.from({ length: many }),
    () => prefect.run(deployment, { parameters: { seconds: 3600 } }).pipe(Effect.retry({ times: 5 })),
    { concurrency: 4 }
  )
  const live = startCommands(cpln, place).pipe(
    Effect.map(
      (all) => all.filter(({ command }) => ["pending", "running"].includes(command.lifecycleStage)).length
    )
  )
  const reached = yield* live.pipe(
    Effect.repeat({ until: (count) => count >= many, schedule: Schedule.spaced("3 seconds") }),
    Effect.timeoutOrElse({ duration: "300 seconds", orElse: () => live })
  )
  const took = (performance.now() - from) / 1000
  yield* Effect.sleep("15 seconds")
  figures.push([
    `RSS with ${reached} live virtual runs, MiB`,
    rss(running.pid).toFixed(0),
    "≤ 100 at 1,000",
    "209 at 500"
  ])
  figures.push([
    `${many} runs created and launched in, s (the server's own work included)`,
    took.toFixed(0),
    "–",
    "180 for 500"
  ])

  console.log(
    `\nPrefect ${venv.version}, ${reached} runs at most. The reference: its Python agent, two cores.\n`
  )
  console.log(table(["figure", "here", "budget", "reference"], figures))
  console.log(`\nRequests by route while ${warm} runs went through, one at a time:\n`)
  console.log(
    table(
      ["service", "route", "count", "per run"],
      routes.map(([side, name, count]) => [
        side,
        name,
        String(count),
        bulk.test(name) ? "bulk" : (count / warm).toFixed(2)
      ])
    )
  )
  return 0
})

runScript(Effect.scoped(bench()))
