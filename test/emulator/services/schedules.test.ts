/** Cron schedules, restarts of jobs, and GVCs placed by a query: on a clock that the test owns where minutes pass. */
import { expect, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { describe } from "vitest"
import { type Client, cron, emulator, gvc, location, org, runner, withRunner } from "../harness.ts"

const executions = (cpln: Client) =>
  Effect.map(
    cpln.get(`${runner}/deployment/${location}`),
    ({ json }): ReadonlyArray<{ readonly name: string; readonly status: string }> => json.status.jobExecutions
  )
const minutes = (count: number) =>
  Effect.repeat(Effect.andThen(TestClock.adjust("1 minute"), TestClock.adjust("1 second")), {
    times: count - 1
  })
const every = (policy: string, suspend = false) => ({
  job: { schedule: "* * * * *", concurrencyPolicy: policy, historyLimit: 3 },
  defaultOptions: { suspend }
})

describe("a schedule", () => {
  it.effect(
    "starts runs that are no commands, named by the minute, and keeps as many as its history says",
    () =>
      Effect.gen(function* () {
        const cpln = yield* withRunner({ runFor: 10_000 }, every("Forbid"))
        yield* minutes(5)
        const seen = yield* executions(cpln)
        expect(seen.filter(({ status }) => status === "successful")).toHaveLength(3)
        expect(seen.map(({ name }) => /^runner-\d+$/u.test(name))).not.toContain(false)
        const numbers = seen.map(({ name }) => Number(name.split("-")[1]))
        expect(numbers).toEqual(numbers.map((_, index) => numbers[0]! + index))
        expect((yield* cpln.get(`${runner}/-command`)).json.items).toEqual([])
      })
  )

  it.effect("Forbid leaves a moment out while a run lives, Allow does not, Replace ends the one before", () =>
    Effect.gen(function* () {
      const states = Effect.fnUntraced(function* (policy: string) {
        const cpln = yield* withRunner({}, every(policy))
        yield* minutes(3)
        const seen = yield* executions(cpln)
        return seen.map(({ status }) => status)
      })
      expect(yield* states("Forbid")).toEqual(["active"])
      expect(yield* states("Allow")).toEqual(["active", "active", "active"])
      expect(yield* states("Replace")).toEqual(["removed", "removed", "active"])
    })
  )

  it.effect("of a suspended workload does not fire; resumed it does, and suspended again it stops", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ runFor: 1000 }, every("Forbid", true))
      const suspend = (value: boolean) => cpln.patch(runner, { spec: { defaultOptions: { suspend: value } } })
      yield* minutes(2)
      expect(yield* executions(cpln)).toEqual([])
      yield* suspend(false)
      yield* minutes(1)
      expect(yield* executions(cpln)).toHaveLength(1)
      yield* suspend(true)
      yield* minutes(2)
      expect(yield* executions(cpln)).toHaveLength(1)
    })
  )

  it.effect("fires in every location of the GVC but those that are suspended by their own options", () =>
    Effect.gen(function* () {
      const links = ["aws-us-west-2", "aws-us-east-2", "gcp-us-east1"].map((name) => `//location/${name}`)
      const cpln = yield* withRunner(
        {},
        {
          ...every("Forbid"),
          localOptions: [{ location: "//location/gcp-us-east1", suspend: true }]
        }
      )
      yield* cpln.patch(gvc, { spec: { staticPlacement: { locationLinks: links } } })
      yield* minutes(1)
      const { json } = yield* cpln.get(`${runner}/deployment`)
      expect(
        json.items.map(({ name, status }: { name: string; status: { jobExecutions: [] } }) => [
          name,
          status.jobExecutions.length
        ])
      ).toEqual([
        ["aws-us-west-2", 1],
        ["aws-us-east-2", 1],
        ["gcp-us-east1", 0]
      ])
    })
  )
})

describe("restartPolicy", () => {
  const job = (script: string, restartPolicy: string) => ({
    containers: [{ name: "main", image: "any", command: "sh", args: ["-c", script] }],
    job: { schedule: "* * * * *", restartPolicy }
  })

  it.live("OnFailure starts a container again until it succeeds, and its run is completed", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(
        { mode: "exec" },
        job("[ -e again ] && { echo done; exit 0; }; touch again; exit 3", "OnFailure")
      )
      const path = yield* cpln.start("runner")
      yield* Effect.repeat(cpln.get(path), {
        until: ({ json }) => json.lifecycleStage === "completed",
        schedule: Schedule.spaced("50 millis")
      }).pipe(Effect.timeout("10 seconds"))
      const [execution] = (yield* cpln.get(`${runner}/deployment/${location}`)).json.status.jobExecutions
      expect(execution).toMatchObject({
        status: "successful",
        containers: { main: { restarts: { exitCode: 0, count: 1 } } }
      })
    })
  )

  it.live("Never leaves a failed run failed", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ mode: "exec" }, job("exit 3", "Never"))
      const path = yield* cpln.start("runner")
      const { json } = yield* cpln.until(path, (answer) => answer.json.lifecycleStage === "failed")
      expect(json.lifecycleStage).toBe("failed")
    })
  )
})

describe("a GVC that is placed by a query", () => {
  it.live("has the locations that the query finds, for deployments and for runs", () =>
    Effect.gen(function* () {
      const cpln = yield* emulator()
      const locationQuery = {
        kind: "location",
        spec: { match: "all", terms: [{ op: "=", property: "provider", value: "gcp" }] }
      }
      const made = yield* cpln.post(`${org}/gvc`, {
        name: "dev",
        spec: { staticPlacement: { locationQuery } }
      })
      expect(made.status).toBe(201)
      yield* cpln.post(`${gvc}/workload`, cron("runner"))
      const { json } = yield* cpln.get(`${runner}/deployment`)
      expect(json.items.map(({ name }: { name: string }) => name)).toEqual(["gcp-us-east1"])
      const run = (place: string) =>
        Effect.map(
          cpln.post(`${runner}/-command`, { type: "runCronWorkload", spec: { location: place } }),
          ({ status }) => status
        )
      expect([yield* run("gcp-us-east1"), yield* run(location)]).toEqual([201, 400])
      const bad = { staticPlacement: { locationQuery: { spec: { terms: [{}] } } } }
      expect((yield* cpln.put(`${org}/gvc`, { name: "bad", spec: bad })).status).toBe(400)
    })
  )
})
