/**
 * How many requests the compiled agent makes, at its default settings, beside what it may make: with nothing to do, with a
 * hundred and with a thousand live runs, and for each run that comes and goes.
 *
 *   bun test/e2e/budgets.ts [--only PART OF A TEST'S NAME] [--long]
 *
 * Numbers are judged, and loosely how long an adoption took; how long other things took is printed beside its budget. The
 * long form also starts among ten thousand workloads, and cancels in a storm of launches.
 */
import { execFileSync } from "node:child_process"
import { Effect, Schedule } from "effect"
import { temporaryFolder } from "../../scripts/local/paths.ts"
import { options, runScript } from "../../scripts/local/script.ts"
import { table } from "../../scripts/local/table.ts"
import { place, playEngine, type Scene, scene, total, workloadName } from "./budgets/scene.ts"
import { firstPage, laterPage } from "./budgets/prefect-stand-in.ts"
import { makeSuite, must, type Suite } from "./suite.ts"

const query = "-query"
const perPage = 200

/** Reads of many objects at once, which do not grow with a single run; the later pages of a query, and lists, are GETs. */
const bulk =
  /filter|get_scheduled|-query|GET .*\/(?:-command|identity|policy|workload)$|heartbeat|GET \/api\/work_pools\/:$|\/api\/events|csrf|version/u
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

/** Until no cycle is under way: the pause after one is five seconds or more. */
const betweenCycles = Effect.fnUntraced(function* (here: Scene) {
  const asked = () => total(here.toCpln.counts(), query) + total(here.prefect.counts(), firstPage)
  let seen = asked()
  let since = performance.now()
  while (performance.now() - since < 2_000) {
    yield* Effect.sleep("50 millis")
    if (asked() === seen) continue
    seen = asked()
    since = performance.now()
  }
})

const figures: Array<readonly [figure: string, here: string, budget: string]> = []

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
      figures.push(
        ["idle: requests a minute, both services", String(all), "≤ 75"],
        ["idle: RSS, MiB", String(memory(here)), "≤ 70"]
      )
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
    `${runs} live runs over ${workloads} workloads: adopted in 10 s; a cycle asks each workload once and each page of runs once, and Control Plane gets at most ${mostPerMinute} requests a minute`,
    Effect.gen(function* () {
      const here = yield* scene({ folder, name: `watch-${runs}`, runs, workloads })
      const took = yield* adopted(here, workloads)
      yield* Effect.sleep("12 seconds")
      yield* betweenCycles(here)
      const seen = yield* here.during(60)
      const [askedCpln, askedPrefect] = [total(seen.cpln), total(seen.prefect)]
      // The counts go on, until the last cycle is whole as well.
      yield* betweenCycles(here)
      const cycles = total(seen.prefect, `(${firstPage})`)
      const ofCycles = [...seen.prefect, ...seen.cpln].filter(
        ([name]) => name.includes(firstPage) || name.includes(laterPage) || name.includes(query)
      )
      const inCycle = ofCycles.reduce((sum, [, count]) => sum + count, 0) / cycles
      // A last page that is full is followed by an empty one: nothing else tells that it was the last.
      const pages = Math.floor(runs / perPage) + 1
      const details = [...listed(seen.prefect), ...listed(seen.cpln)].join("\n")
      const title = `${runs} runs, ${workloads} workloads`
      figures.push(
        [`${title}: from the start to all adopted, s`, took.toFixed(1), "≤ 3"],
        [
          `${title}: requests in a cycle`,
          inCycle.toFixed(1),
          `≤ ${workloads + Math.ceil(runs / perPage)}${runs % perPage === 0 ? ", and 1 for an empty page" : ""}`
        ],
        ...ofCycles.map(
          ([name, count]) =>
            [`${title}: requests in a cycle: ${name}`, (count / cycles).toFixed(1), "–"] as const
        ),
        [`${title}: requests a minute to Control Plane`, String(askedCpln), `≤ ${mostPerMinute}`],
        [`${title}: requests a minute to Prefect`, String(askedPrefect), "–"],
        [`${title}: RSS, MiB`, String(memory(here)), "≤ 100"]
      )
      yield* must(cycles > 6, `${cycles} cycles in a minute:\n${details}`)
      yield* must(took <= 10, `${took.toFixed(1)} s until all were adopted`)
      yield* must(askedCpln <= mostPerMinute, `${askedCpln} requests to Control Plane:\n${details}`)
      yield* must(
        inCycle <= workloads + pages,
        `${inCycle} requests in each of ${cycles} cycles:\n${details}`
      )
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
      const all = [...here.prefect.counts(), ...here.toCpln.counts()].filter(([name]) => !bulk.test(name))
      const counts = all.filter(([name]) => kind.end.type === undefined || name !== ofLateClaims)
      const perRunOf = (some: typeof all) => some.reduce((sum, [, times]) => sum + times, 0) / count
      const each = perRunOf(counts)
      const late = perRunOf(all) - each
      figures.push([
        `${kind.name}: requests`,
        `${each.toFixed(1)}${late > 0 ? ` (${perRunOf(all).toFixed(1)} with the reads for late claims)` : ""}`,
        `≤ ${kind.most}, labels included`
      ])
      yield* must(each <= kind.most, `${each} requests a run:\n${listed(new Map(counts)).join("\n")}`)
    })
  )

const amongMany = (suite: Suite, folder: string) =>
  suite.test(
    "three live runs among ten thousand workloads are adopted",
    Effect.gen(function* () {
      const here = yield* scene({ folder, name: "many", runs: 3, workloads: 1, idleWorkloads: 9_999 })
      const took = yield* adopted(here, 1)
      figures.push(["10,000 workloads, 3 runs: from the start to all adopted, s", took.toFixed(1), "≤ 5"])
    }),
    "5 minutes"
  )

const inAStorm = (suite: Suite, folder: string) =>
  suite.test(
    "a job whose run is cancelled in a storm of launches is stopped",
    Effect.gen(function* () {
      const cancelled = 10
      const here = yield* scene({ folder, name: "storm", runs: cancelled, workloads: 1, deaf: true })
      yield* adopted(here, 1)
      const ids = [...here.prefect.runs.keys()]
      for (let index = 0; index < 3_000; index++)
        here.prefect.add({ expected_start_time: new Date().toISOString() })
      const took: Array<number> = []
      for (const id of ids) {
        yield* Effect.sleep("700 millis")
        // The jobs that are launched have a workload of their own.
        const stops = here.cpln
          .commands(place, workloadName(0))
          .pipe(Effect.map((all) => all.filter(({ type }) => type === "stopReplica").length))
        const before = yield* stops
        const asked = performance.now()
        here.prefect.set(id, "CANCELLING")
        yield* stops.pipe(
          Effect.repeat({ until: (sent) => sent > before, schedule: Schedule.spaced("50 millis") }),
          Effect.timeout("60 seconds")
        )
        took.push((performance.now() - asked) / 1000)
      }
      took.sort((a, b) => a - b)
      const shown = [took[0], took[cancelled / 2], took.at(-1)].map((each) => each?.toFixed(1)).join("/")
      figures.push(["3,000 launches: cancel asked → stop sent, s (min/median/max)", shown, "≤ 3"])
    }),
    "5 minutes"
  )

const main = Effect.fnUntraced(function* () {
  const { long, only } = options(["only"], ["long"])
  const suite = makeSuite("budgets", only)
  yield* Effect.scoped(
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("prefect-cpln-budgets-")
      // Each has servers of its own, and all of them mostly wait.
      yield* Effect.all(
        [
          idle(suite, folder),
          watching(suite, folder, { runs: 100, workloads: 1, mostPerMinute: 30 }),
          watching(suite, folder, { runs: 1_000, workloads: 50, mostPerMinute: 620 }),
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
      if (long !== true) return
      yield* amongMany(suite, folder)
      yield* inAStorm(suite, folder)
    })
  )
  figures.sort(([a], [b]) => a.localeCompare(b))
  console.log(`\n${table(["figure", "here", "budget"], figures)}\n`)
  return suite.close()
})

runScript(main())
