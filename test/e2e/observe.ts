/**
 * `agent --observe` against real services: beside nobody, and beside an agent that works. That it writes nothing is read
 * from the services' own records, and from every request that it sent.
 */
import { join } from "node:path"
import { Effect, Schedule } from "effect"
import { access, agentCommand, online, startAgent } from "../../scripts/local/agent.ts"
import { ensureGvc, type Place } from "../../scripts/local/control-plane.ts"
import { countingProxy } from "../../scripts/local/counting-proxy.ts"
import { deploy, flowFolder } from "../../scripts/local/deployments.ts"
import { isFinal } from "../../scripts/local/prefect-server.ts"
import type { World } from "../../scripts/local/world.ts"
import { type Suite, must } from "./suite.ts"

/** Routes with these in front change nothing. */
const harmless = /^(?:GET |POST \S*(?:\/filter|-query)$)/u

export const observeTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const { prefect, cpln, folder, agent } = world
  const home = join(folder, "observe")
  const place: Place = { ...world.place, gvc: "observed" }
  yield* ensureGvc(cpln, place)
  const direct = access(prefect, cpln)
  const places = ["--org", place.org, "--gvc", place.gvc, "--location", place.location]
  yield* agentCommand({
    agent,
    args: ["pool", "create", "observed", ...places],
    home: join(home, "create"),
    env: direct
  })
  const ids = yield* deploy(prefect, [
    { name: "observed", pool: "observed", source: flowFolder(folder), entrypoint: "flows.py:completes" }
  ])
  const [toPrefect, toPlatform] = [
    yield* countingProxy(prefect.api.replace(/\/api$/u, "")),
    yield* countingProxy(cpln.url)
  ]
  const observer = yield* startAgent({
    agent,
    args: ["--pool", "observed", "-q", "default", "--observe", "--interval", "2", "--listen", "off"],
    home: join(home, "observer"),
    env: { ...direct, PREFECT_API_URL: `${toPrefect.url}/api`, CPLN_ENDPOINT: toPlatform.url }
  })
  const says = (text: RegExp) =>
    Effect.sync(() => text.test(observer.output())).pipe(
      Effect.repeat({ until: (there) => there, schedule: Schedule.spaced("200 millis") }),
      Effect.timeout("30 seconds")
    )
  const writes = () =>
    [...toPrefect.counts().keys(), ...toPlatform.counts().keys()].filter((route) => !harmless.test(route))
  const { id: runId } = yield* prefect.run(ids["observed"] ?? "")

  yield* suite.test(
    "observe: tells what it would start, and the run, the pool and the platform stay as they are",
    Effect.gen(function* () {
      yield* says(
        new RegExp(
          `RunID: ${runId}.* > Would claim the run and start it as a job in workload ${place.gvc}/p`,
          "u"
        )
      )
      // Some cycles of everything that it does.
      yield* Effect.sleep("6 seconds")
      const output = observer.output()
      yield* must((output.match(/Would claim the run/gu) ?? []).length === 1, output)
      yield* must((yield* prefect.flowRun(runId)).state_type === "SCHEDULED", "the run was touched")
      yield* must((yield* prefect.workers("observed")).length === 0, "it has a worker row")
      const { status } = yield* prefect.pool("observed")
      yield* must(status === "NOT_READY", `the pool is ${status}`)
      const queue = yield* prefect.get<{ readonly last_polled: string | null }>(
        "/work_pools/observed/queues/default"
      )
      yield* must(queue.last_polled === null, `the queue was polled at ${queue.last_polled}`)
      yield* must((yield* prefect.logs(runId)).length === 0, "the run's log was written")
      yield* must((yield* cpln.workloads(place)).length === 0, "a workload was made")
      yield* must(writes().length === 0, writes().join("\n"))
    })
  )

  yield* suite.test(
    "observe: beside an agent that works, the run ends as ever, and nothing was written",
    Effect.gen(function* () {
      const working = yield* startAgent({
        agent,
        args: ["--pool", "observed", "--listen", "off"],
        home: join(home, "working"),
        env: direct
      })
      yield* online(working, prefect, "observed")
      const done = yield* prefect.waitFor(runId, isFinal, 90)
      yield* must(done.state_type === "COMPLETED", `the run is ${done.state_type}`)
      yield* Effect.sleep("5 seconds")
      const workers = yield* prefect.workers("observed")
      yield* must(workers.length === 1, JSON.stringify(workers))
      const requests = [...toPrefect.counts().values(), ...toPlatform.counts().values()]
      yield* must(requests.reduce((sum, each) => sum + each, 0) > 50, "the proxies saw too little")
      yield* must(writes().length === 0, writes().join("\n"))
      const { code } = yield* observer.stop()
      yield* must(code === 0, `it ended with ${code}`)
      yield* must(writes().length === 0, writes().join("\n"))
    })
  )
})
