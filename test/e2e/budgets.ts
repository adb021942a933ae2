/**
 * How many requests the compiled agent makes, at its default settings, beside what it may make: with nothing to do, with a
 * hundred and with a thousand live runs, and for each run that comes and goes.
 *
 *   bun test/e2e/budgets.ts [--only PART OF A TEST'S NAME]
 *
 * Only numbers are judged; how long things took is printed.
 */
import { execFileSync } from "node:child_process"
import { Effect, Schedule } from "effect"
import { temporaryFolder } from "../../scripts/local/paths.ts"
import { options, runScript } from "../../scripts/local/script.ts"
import { playEngine, type Scene, scene, total } from "./budgets/scene.ts"
import { makeSuite, must, type Suite } from "./suite.ts"

const query = "-query"
const perPage = 200

/** Reads of many objects at once, which do not grow with a single run; the later pages of a query are GETs. */
const bulk =
  /filter|get_scheduled|-query|GET .*\/-command$|heartbeat|GET \/api\/work_pools\/:$|\/api\/events|csrf|version/u
/** A claim that a busy server answers late costs one read more. Which are late is the machine's matter, not the agent's. */
const ofLateClaims = "GET /api/flow_run_states/"

const listed = (counts: ReadonlyMap<string, number>) =>
  [...counts].sort(([, a], [, b]) => b - a).map(([name, count]) => `  ${count} ${name}`)

const memory = ({ agent: { pid } }: Scene) =>
  Math.round(Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" })) / 1024)

/** Until the agent has asked each workload once for its live jobs. */
const adopted = (here: Scene, workloads: number) =>
  Effect.suspend(() => Effect.succeed(total(here.toCpln.counts(), query))).pipe(
    Effect.repeat({ until: (asked) => asked >= workloads, schedule: Schedule.spaced("20 millis") }),
    Effect.timeout("60 seconds"),
    Effect.map(() => (performance.now() - here.begun) / 1000)
  )

/** The floor under everything: no more in a minute than this, whatever there is to do elsewhere. */
const idle = (suite: Suite, folder: string) =>
  suite.test(
    "idle: at most 75 requests a minute to both services, and no write but heartbeats",
    Effect.gen(function* () {
      const here = yield* scene({ folder, name: "idle", runs: 0, workloads: 0 })
      // That the worker started is told by then.
      yield* Effect.sleep("15 seconds")
      const seen = yield* here.during(60)
      const all = total(seen.prefect) + total(seen.cpln)
      console.log(`  idle: ${all} requests a minute, ${memory(here)} MiB`)
      yield* must(
        all <= 75,
        `${all} requests:\n${[...listed(seen.prefect), ...listed(seen.cpln)].join("\n")}`
      )
      const writes = [...seen.prefect.keys(), ...seen.cpln.keys()].filter(
        (name) => !/^GET |filter|get_scheduled|-query|heartbeat/u.test(name)
      )
      yield* must(writes.length === 0, writes.join(", "))
    })
  )

const watching = (
  suite: Suite,
  folder: string,
  {
    mostPerMinute,
    runs,
    workloads
  }: { readonly runs: number; readonly workloads: number; readonly mostPerMinute: number }
) =>
  suite.test(
    `${runs} live runs over ${workloads} workloads: a cycle asks each workload once and each page of runs once, and Control Plane gets at most ${mostPerMinute} requests a minute`,
    Effect.gen(function* () {
      const here = yield* scene({ folder, name: `watch-${runs}`, runs, workloads })
      const took = yield* adopted(here, workloads)
      yield* Effect.sleep("12 seconds")
      const seen = yield* here.during(60)
      const asked = total(seen.cpln)
      const cycles = total(seen.cpln, query) / workloads
      const pages = total(seen.prefect, "open runs")
      const details = [...listed(seen.prefect), ...listed(seen.cpln)].join("\n")
      console.log(
        `  ${runs} runs, ${workloads} workloads: adopted in ${took.toFixed(1)} s, ${cycles.toFixed(1)} cycles a minute, ${(pages / cycles).toFixed(1)} pages of runs in each, ${asked} requests to Control Plane, ${total(seen.prefect)} to Prefect, ${memory(here)} MiB`
      )
      yield* must(cycles > 6, `${cycles} cycles in a minute:\n${details}`)
      yield* must(asked <= mostPerMinute, `${asked} requests to Control Plane:\n${details}`)
      // A window may begin in the middle of a cycle; a last page that is full is followed by an empty one.
      const mostPages = (cycles + 1) * (Math.floor(runs / perPage) + 1)
      yield* must(pages <= mostPages, `${pages} pages of runs in ${cycles} cycles:\n${details}`)
      const single = [...seen.prefect, ...seen.cpln].filter(([name]) => !bulk.test(name))
      const singles = single.reduce((sum, [, count]) => sum + count, 0)
      yield* must(
        singles === 0,
        `${singles} reads of single objects, of runs that nothing happened to:\n${details}`
      )
    })
  )

const perRun = (
  suite: Suite,
  folder: string,
  kind: { readonly name: string; readonly most: number; readonly end: Parameters<typeof playEngine>[1] }
) =>
  suite.test(
    `${kind.name}: at most ${kind.most} requests a run to both services, without reads of many`,
    Effect.gen(function* () {
      const count = 12
      const here = yield* scene({ folder, name: `per-run-${kind.most}`, runs: 0, workloads: 0 })
      yield* Effect.forkScoped(playEngine(here, kind.end))
      const run = () =>
        Effect.gen(function* () {
          const id = here.prefect.add({ expected_start_time: new Date().toISOString() })
          yield* Effect.sync(() => String(here.prefect.runs.get(id)?.["state_type"])).pipe(
            Effect.repeat({
              until: (type) => ["COMPLETED", "CRASHED"].includes(type),
              schedule: Schedule.spaced("100 millis")
            }),
            Effect.timeout("60 seconds")
          )
        })
      // The first one makes the workload and reads the deployment.
      yield* run()
      yield* Effect.sleep("12 seconds")
      here.prefect.reset()
      here.toCpln.reset()
      yield* Effect.forEach(Array.from({ length: count }), run, { concurrency: 4 })
      yield* Effect.sleep("12 seconds")
      const counts = [...here.prefect.counts(), ...here.toCpln.counts()].filter(
        ([name]) => !bulk.test(name) && (kind.end.type === undefined || name !== ofLateClaims)
      )
      const each = counts.reduce((sum, [, times]) => sum + times, 0) / count
      console.log(`  ${kind.name}: ${each.toFixed(1)} requests a run`)
      yield* must(each <= kind.most, `${each} requests a run:\n${listed(new Map(counts)).join("\n")}`)
    })
  )

const main = Effect.fnUntraced(function* () {
  const { only } = options(["only"], [])
  const suite = makeSuite("budgets", only)
  yield* Effect.scoped(
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("prefect-cpln-budgets-")
      // Each has servers of its own, and all of them mostly wait.
      yield* Effect.all(
        [
          idle(suite, folder),
          watching(suite, folder, { runs: 100, workloads: 1, mostPerMinute: 30 }),
          watching(suite, folder, { runs: 999, workloads: 50, mostPerMinute: 620 }),
          perRun(suite, folder, {
            name: "a warm run that its engine finished",
            // One of them is for the labels of 3.x.
            most: 5,
            end: { type: "COMPLETED", exitCode: 0 }
          }),
          perRun(suite, folder, {
            name: "a run that crashed",
            // Twelve, and the labels.
            most: 13,
            end: { type: undefined, exitCode: 137 }
          })
        ],
        { concurrency: "unbounded", discard: true }
      )
    })
  )
  return suite.close()
})

runScript(main())
