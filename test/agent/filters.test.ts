/** The log filters that users know: each finds, in what an agent really prints, the lines that it is for. */
import { readFileSync } from "node:fs"
import { describe, expect } from "@effect/vitest"
import { Effect, Result } from "effect"
import { parseQuery } from "../../src/emulator/logs/logql.ts"
import { startAgent } from "../runs/world/agents.ts"
import { flow, type Script } from "../runs/world/jobs.ts"
import { pass, scenario } from "../runs/world/scenario.ts"
import {
  attemptOf,
  begin,
  claimState,
  gvc,
  pid,
  poolName,
  stateAt,
  whereOf,
  type World
} from "../runs/world/world.ts"

const selector = '{gvc="dev", workload="agent"}'

/** The lines that a query by these filters shows. */
const shown = (lines: ReadonlyArray<string>, filters: string): ReadonlyArray<string> => {
  const query = Result.getOrThrow(parseQuery(`${selector} ${filters}`))
  return lines.filter(query.keeps)
}

/** The engine reports, and side containers stay until they are stopped. */
const sidecarsStay =
  (reports: string | undefined): Script =>
  (job) =>
    Effect.gen(function* () {
      yield* Effect.sleep("2 seconds")
      yield* job.live
      yield* job.report("RUNNING")
      yield* Effect.sleep("20 seconds")
      if (reports !== undefined) yield* job.report(reports)
      yield* job.mainEnds(reports === "FAILED" ? 1 : 0)
      yield* Effect.never
    })

/** The pool's jobs have a second container. */
const withSidecar = (world: World) => {
  const stored = world.prefect.pools.get(poolName)
  if (stored === undefined) throw new Error("the world has no pool")
  const template = structuredClone(stored.pool.base_job_template) as {
    job_configuration: { job_manifest: { spec: { template: { spec: { containers: Array<unknown> } } } } }
  }
  template.job_configuration.job_manifest.spec.template.spec.containers.push({
    name: "sidecar",
    image: "proxy:1",
    command: ["proxy"]
  })
  world.prefect.pools.set(poolName, { ...stored, pool: { ...stored.pool, base_job_template: template } })
}

/** The sync "logs duration until the stop completes". */
const stoppedAfter = /terminated successfully (?:\d+ m )?[1-9]\d*(?:\.\d)? s after stopReplica/u

/** One of everything that users look for: a run that ends well, one whose job vanishes, a cancel, sidecars that stay. */
const eventful = Effect.fnUntraced(function* (world: World) {
  world.scripts.set("cancelled", flow({ runs: 3_000 }))
  world.scripts.set("vanishing", flow({ runs: 3_000 }))
  world.scripts.set("lingering", sidecarsStay("COMPLETED"))
  for (const id of ["good", "cancelled", "vanishing", "lingering"]) yield* world.addRun(id)
  const agent = yield* startAgent(world, "agent-a")
  yield* pass("1 minute")
  const [command] = world.platform.commandsOf("vanishing")
  if (command !== undefined) yield* world.vanish(command.id)
  yield* world.propose("cancelled", "CANCELLING")
  yield* pass("10 minutes")
  return agent.lines
})

/** As the manual of the reference has them, with what each is for: area filters and the paths of its troubleshooting. */
const filters: ReadonlyArray<readonly [filters: string, finds: string | RegExp]> = [
  ['|= "[CPLN]"', "[CPLN]"],
  ['|= "[CPLN] Job"', "Creating Control Plane job..."],
  ['|= "[CPLN] Job" |= "good"', "Creating Control Plane job..."],
  ['|= "[CPLN] Workload"', "Created."],
  ['|= "[CPLN] Workload" |= "good"', "Ready in"],
  ['|= "[CPLN] Sync"', "open runs"],
  ['|= "[CPLN] Sync CPLN→Prefect"', "Run set to CRASHED"],
  ['|= "[CPLN] Sync CPLN→Prefect" |= "vanishing"', "Got 404"],
  ['|= "[CPLN] Sync Prefect→CPLN"', "looked into"],
  ['|= "[CPLN] Sync Prefect→CPLN" |= "lingering"', "Sending stopReplica"],
  ['|= "[CPLN] Sync Prefect→CPLN" |= "lingering"', stoppedAfter],
  ['|= "[CPLN] Kill"', "Sending stopReplica"],
  ['|= "[CPLN] Kill" |= "cancelled"', stoppedAfter],
  ['|= "[CPLN] Init"', 'serves work pool "cpln"']
]

describe("log filters", () => {
  scenario("of the manual show the lines that they are for", (world) =>
    Effect.gen(function* () {
      const lines = yield* eventful(world)
      for (const [filter, text] of filters) {
        expect(shown(lines, filter).join("\n"), filter).toMatch(text)
      }
      const [command] = world.platform.commandsOf("good")
      expect(shown(lines, `|= "[CPLN]" |= "${command?.id}"`)).not.toEqual([])
      expect(shown(lines, `|= "[CPLN]" |= "good"`).every((line) => line.includes("RunID: good"))).toBe(true)
    })
  )

  scenario("of the syncs show one line of each per interval at debug, also where there is no run", (world) =>
    Effect.gen(function* () {
      const agent = yield* startAgent(world, "agent-a")
      const both = ['|= "[CPLN] Sync CPLN→Prefect"', '|= "[CPLN] Sync Prefect→CPLN"']
      const counts = (lines: ReadonlyArray<string>) => both.map((filter) => shown(lines, filter).length)
      yield* pass("30 seconds")
      expect(counts(agent.debugLines)).toEqual([1, 1])
      for (let minutes = 1; minutes <= 5; minutes++) {
        yield* pass("1 minute")
        expect(counts(agent.debugLines)).toEqual([1 + minutes, 1 + minutes])
      }
      expect(counts(agent.lines)).toEqual(counts(agent.debugLines))
    })
  )

  scenario("show what a job prints, by the area and by the name of its workload", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 300 })
      world.platform.idOf = (n) => `9b38a647-cd2b-47e7-987b-${String(n).padStart(12, "0")}`
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a", { settings: { jobLogs: "stdout" } })
      yield* pass("30 seconds")
      const [command] = world.platform.commandsOf("r1")
      const workload = world.platform.workloadOf(command?.id ?? "")?.name ?? ""
      const labels = {
        gvc,
        workload,
        container: "main",
        stream: "stdout",
        replica: command?.status?.replica ?? ""
      }
      world.platform.output.push({ at: BigInt(begin + 30_000) * 1_000_000n, line: "printed", labels })
      yield* pass("10 minutes")
      const field = `Workload: ${workload}, Cmd: ${command?.id} > `
      const logs = shown(agent.lines, '|= "[CPLN] Logs"')
      expect(logs.map((line) => line.slice(line.indexOf("Workload:")))).toEqual([`${field}printed`])
      const ofWorkload = shown(agent.lines, `|= "[CPLN]" |= "${workload}"`)
      expect(ofWorkload).toEqual(agent.lines.filter((line) => line.includes(`Workload: ${workload}`)))
      for (const area of ["Workload", "Job", "Logs"])
        expect(ofWorkload.join("\n")).toContain(`[CPLN] ${area} |`)
    })
  )

  scenario("find a workload that clean-up deletes", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a", {
        settings: { cleanupTtl: "0.1", queryInterval: "10", cancelInterval: "30", watchInterval: "20" }
      })
      yield* pass("1 minute")
      const [command] = world.platform.commandsOf("r1")
      const workload = world.platform.workloadOf(command?.id ?? "")?.name ?? ""
      yield* pass("30 minutes")
      const found = shown(agent.lines, `|= "[CPLN] Cleanup" |= "${workload}"`)
      expect(found.some((line) => line.includes("Deleted: unused for"))).toBe(true)
    })
  )

  scenario("of docs/troubleshooting.md are queries, with the filter inside the quotes", () =>
    Effect.sync(() => {
      const docs = readFileSync(new URL("../../docs/troubleshooting.md", import.meta.url), "utf8")
      const written = [...docs.matchAll(/cpln logs '([^']*)'/gu)].map((match) => match[1] ?? "")
      const cells = [...docs.matchAll(/`(\\\|= [^`]*)`/gu)].map(
        (match) => `${selector} ${(match[1] ?? "").replaceAll("\\|", "|")}`
      )
      expect(written.length).toBeGreaterThan(0)
      expect(cells.length).toBeGreaterThan(5)
      for (const query of [...written, ...cells]) {
        expect(Result.isSuccess(parseQuery(query)), query).toBe(true)
        expect(query).toContain("|=")
      }
    })
  )

  scenario(
    "find the stop of a run that is cancelled in the old way, type CANCELLED and name Cancelling",
    (world) =>
      Effect.gen(function* () {
        world.usual = flow({ runs: 3_000 })
        yield* world.addRun("r1")
        const agent = yield* startAgent(world, "agent-a")
        yield* pass("30 seconds")
        yield* world.propose("r1", "CANCELLED", { name: "Cancelling" })
        yield* pass("2 minutes")
        const found = shown(agent.lines, '|= "[CPLN] Kill" |= "r1"').join("\n")
        expect(found).toContain("Sending stopReplica")
        expect(found).toMatch(stoppedAfter)
      })
  )

  scenario("find the stop of a job whose run was deleted", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 3_000 })
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      world.prefect.delete(begin + 30_000, "r1")
      yield* pass("5 minutes")
      const found = shown(agent.lines, '|= "[CPLN] Sync Prefect→CPLN" |= "r1"').join("\n")
      expect(found).toContain("Sending stopReplica")
      expect(found).toMatch(stoppedAfter)
      expect(found.match(/terminated successfully/gu)).toHaveLength(1)
    })
  )

  scenario("find the stop of a double", (world) =>
    Effect.gen(function* () {
      const ref = yield* world.addWorkload("w1")
      const tags = { "prefect.io/attempt": attemptOf("t1") }
      const first = yield* world.addCommand(ref, "r1", { tags, created: begin - 2_000 })
      const double = yield* world.addCommand(ref, "r1", { tags, created: begin - 1_000 })
      yield* world.addRun("r1", {
        run_count: 1,
        start_time: new Date(begin).toISOString(),
        infrastructure_pid: pid("w1", first),
        history: [claimState("t1", { where: whereOf("w1") })],
        state: stateAt(begin, "RUNNING")
      })
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("5 minutes")
      const found = shown(agent.lines, `|= "[CPLN] Kill" |= "${double}"`).join("\n")
      expect(found).toContain("Sending stopReplica")
      expect(found).toMatch(stoppedAfter)
      expect(found.match(/terminated successfully/gu)).toHaveLength(1)
    })
  )

  for (const reports of ["COMPLETED", "FAILED", undefined]) {
    scenario(`find the stop of side containers that stay after ${reports ?? "no report"}`, (world) =>
      Effect.gen(function* () {
        withSidecar(world)
        world.usual = sidecarsStay(reports)
        yield* world.addRun("r1")
        const agent = yield* startAgent(world, "agent-a")
        yield* pass("10 minutes")
        expect(world.stateOf("r1")).toBe(reports ?? "COMPLETED")
        expect(world.stages("r1")).toEqual(["cancelled"])
        const found = shown(agent.lines, '|= "[CPLN] Sync" |= "r1"').join("\n")
        expect(found).toContain("Sending stopReplica")
        expect(found).toMatch(stoppedAfter)
      })
    )
  }
})
