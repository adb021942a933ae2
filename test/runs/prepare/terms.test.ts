import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { Unavailable } from "../../../src/http/errors.ts"
import { officialTemplate } from "../../../src/job/template.ts"
import type { FlowRun } from "../../../src/prefect/schemas.ts"
import { RunsConfig } from "../../../src/runs/config.ts"
import { Preparation } from "../../../src/runs/prepare/preparation.ts"
import { Terms } from "../../../src/runs/prepare/terms.ts"

const variables = { job_watch_timeout_seconds: 120, stream_output: false }
const config: Partial<RunsConfig["Service"]> = {
  workerName: "cpln-host-1",
  server: { line: "3", text: "3.8.8" },
  injected: {
    endpoint: "http://cpln.test",
    org: "acme",
    gvc: "dev",
    location: "aws-us-west-2",
    token: Redacted.make("token")
  },
  prefectSettings: {},
  environment: {}
}
const surely: Partial<Preparation["Service"]> = {
  pool: Effect.succeed({
    id: "p",
    name: "cpln",
    type: "cpln",
    base_job_template: officialTemplate({ version: "3.8.8" })
  }),
  flow: (id) => Effect.succeed({ id, name: "etl" }),
  deployment: (id) => Effect.succeed({ id, name: "nightly", flow_id: "f", job_variables: variables })
}

const run = (change: Partial<FlowRun> = {}): FlowRun => ({
  id: "r1",
  name: "quiet-otter",
  flow_id: "f",
  deployment_id: "d1",
  run_count: 1,
  tags: [],
  ...change
})

const withTerms = <A, E>(
  body: (
    of: (change?: Partial<FlowRun>) => ReturnType<Terms["Service"]["of"]>
  ) => Effect.Effect<A, E, Preparation | RunsConfig>,
  preparation: Partial<Preparation["Service"]> = {}
) =>
  Effect.flatMap(Terms, (terms) => body((change) => terms.of(run(change)))).pipe(
    Effect.provide(
      Layer.mergeAll(
        Terms.layer,
        Layer.succeed(Preparation, { ...surely, ...preparation } as Preparation["Service"]),
        Layer.succeed(RunsConfig, config as RunsConfig["Service"])
      )
    )
  )

describe("the terms of a run's job", () => {
  it.effect("are its deadline in ms and whether its output is shown", () =>
    withTerms((of) =>
      Effect.gen(function* () {
        expect(yield* of()).toEqual({ deadline: 120_000, streamOutput: false })
        expect(yield* of({ job_variables: { job_watch_timeout_seconds: null } })).toMatchObject({
          deadline: null
        })
      })
    )
  )

  it.effect("are one answer for the runs of a deployment, but for those with variables of their own", () =>
    withTerms((of) =>
      Effect.gen(function* () {
        const first = yield* of()
        expect(yield* of({ id: "r2", name: "other" })).toBe(first)
        expect(yield* of({ job_variables: { job_watch_timeout_seconds: 60 } })).toMatchObject({
          deadline: 60_000
        })
        expect(yield* of({ deployment_id: "d2" })).not.toBe(first)
        yield* TestClock.adjust("21 seconds")
        expect(yield* of()).not.toBe(first)
      })
    )
  )

  it.effect("are none for a run that could not be launched here any more", () =>
    withTerms(
      (of) =>
        Effect.gen(function* () {
          expect(yield* of()).toEqual({ deadline: null, streamOutput: undefined })
        }),
      { flow: () => Effect.succeed(undefined) }
    )
  )

  it.effect("are asked for again after a failure", () => {
    let failing = true
    const error = new Unavailable({
      service: "Prefect",
      request: "GET /flows/f",
      detail: "503",
      mayHaveHappened: true
    })
    return withTerms(
      (of) =>
        Effect.gen(function* () {
          expect(yield* Effect.flip(of())).toBe(error)
          failing = false
          expect((yield* of()).deadline).toBe(120_000)
        }),
      { flow: (id) => (failing ? Effect.fail(error) : Effect.succeed({ id, name: "etl" })) }
    )
  })
})
