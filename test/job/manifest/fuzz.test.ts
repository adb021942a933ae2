import { describe, expect, it } from "@effect/vitest"
import { Result } from "effect"
import { workloadProblems } from "../../../src/emulator/workload/rules.ts"
import { commandProblems } from "../../../src/emulator/workload/command-rules.ts"
import type { JsonObject } from "../../../src/emulator/json.ts"
import { convert, type ConvertContext, type ConvertedJob, secretsToReveal } from "../../../src/job/convert.ts"
import { anyJson, type Chance, plausible, seeded, spoilt } from "./arbitrary.ts"

/** All together 100,000 in CI. */
const seed = Number(process.env["FUZZ_SEED"] ?? 20_260_301)

const context: ConvertContext = {
  org: "acme",
  gvc: "dev",
  location: "aws-us-west-2",
  jobType: undefined,
  poolId: "0f3b6a52-97ea-4ffd-8d44-0cbf3d6e7b10",
  secretKeys: new Map([
    ["db", ["user", "pass-word"]],
    ["app-config", ["MODE", "REGION"]]
  ])
}

/** What the emulator says of the workload and of a command of it. */
const refusals = (job: ConvertedJob): ReadonlyArray<string> => {
  const body = { kind: "workload", name: job.name, tags: job.tags, spec: job.spec } as unknown as JsonObject
  const tags = job.tags as unknown as JsonObject
  const command = {
    type: "runCronWorkload",
    tags: job.labels,
    spec: {
      location: job.location,
      containerOverrides: job.overrides,
      ...(job.activeDeadlineSeconds === undefined ? {} : { activeDeadlineSeconds: job.activeDeadlineSeconds })
    }
  } as unknown as JsonObject
  return [
    ...workloadProblems(body, tags, undefined),
    ...commandProblems(command, { body, tags }, [context.location])
  ]
}

const check = (manifest: unknown): "accepted" | "refused" => {
  const result = convert(manifest, context)
  secretsToReveal(manifest)
  if (Result.isFailure(result)) {
    expect(result.failure.length).toBeGreaterThan(0)
    for (const problem of result.failure) {
      if (!(problem.path && problem.rule && problem.remedy)) expect.fail(JSON.stringify(problem))
    }
    return "refused"
  }
  const said = refusals(result.success)
  if (said.length > 0) expect.fail(`${said.join("; ")}\n${JSON.stringify(manifest)}`)
  return "accepted"
}

const run = (count: number, from: number, make: (chance: Chance) => unknown) => {
  const counts = { accepted: 0, refused: 0 }
  for (let index = 0; index < count; index++) counts[check(make(seeded(seed + from + index)))]++
  return counts
}

/** Seconds on a laptop, many more on a busy machine. */
const patience = 120_000

describe("any JSON at all", { timeout: patience }, () => {
  it("gives typed problems and never a throw", () => {
    const { refused } = run(20_000, 0, (chance) => anyJson(chance, 5))
    expect(refused).toBe(20_000)
  })

  it("does not overflow on a manifest that is nested ten thousand deep", () => {
    let deep: unknown = "x"
    for (let level = 0; level < 10_000; level++) deep = level % 2 === 0 ? [deep] : { exec: deep }
    const manifest = {
      metadata: { labels: { a: deep }, generateName: deep },
      spec: {
        activeDeadlineSeconds: deep,
        template: {
          spec: {
            affinity: deep,
            containers: [
              {
                image: deep,
                command: [deep],
                env: [{ name: "A", value: deep }],
                lifecycle: { preStop: deep }
              },
              deep
            ],
            securityContext: { runAsUser: deep },
            volumes: [{ name: "v", secret: deep }, { name: deep }]
          }
        }
      }
    }
    expect(check(manifest)).toBe("refused")
  })
})

describe("manifests of users", { timeout: patience }, () => {
  it("convert, and the platform's rules take what comes out", () => {
    const { accepted } = run(20_000, 1_000_000, plausible)
    expect(accepted).toBe(20_000)
  })

  it("when spoilt somewhere are refused with reasons, or give what the platform takes", () => {
    const { accepted, refused } = run(60_000, 2_000_000, spoilt)
    expect(accepted).toBeGreaterThan(5_000)
    expect(refused).toBeGreaterThan(5_000)
  })
})

describe("conversion is stable", { timeout: patience }, () => {
  /** The same data with the members of every mapping in another order. */
  const turned = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(turned)
    if (typeof value !== "object" || value === null) return value
    return Object.fromEntries(
      Object.entries(value)
        .map(([key, member]) => [key, turned(member)] as const)
        .toReversed()
    )
  }

  type Members = Readonly<Record<string, unknown>>
  const listOf = (value: unknown) => (Array.isArray(value) ? (value as ReadonlyArray<Members>) : [])

  /** The same Job with its pod, and each of its containers, changed. */
  const changed = (
    manifest: Members,
    pod: (spec: Members) => Members,
    container: (container: Members) => Members
  ): Members => {
    const spec = manifest["spec"] as { readonly template: { readonly spec: Members } }
    const inner = pod(spec.template.spec)
    const containers = listOf(inner["containers"]).map(container)
    return {
      ...manifest,
      spec: { ...spec, template: { ...spec.template, spec: { ...inner, containers } } }
    }
  }

  /** What a cluster's API server writes into every Job. */
  const asServed = (manifest: Members) => {
    const whole = changed(
      manifest,
      (pod) => ({
        activeDeadlineSeconds: null,
        hostNetwork: false,
        dnsPolicy: "ClusterFirst",
        schedulerName: "default-scheduler",
        terminationGracePeriodSeconds: 30,
        securityContext: {},
        restartPolicy: "Never",
        volumes: [],
        ...pod
      }),
      (container) => ({
        terminationMessagePath: "/dev/termination-log",
        terminationMessagePolicy: "File",
        imagePullPolicy: "IfNotPresent",
        env: [],
        resources: {},
        volumeMounts: [],
        ...container
      })
    )
    const spec = whole["spec"] as Members
    return { ...whole, spec: { backoffLimit: 6, completionMode: "NonIndexed", suspend: false, ...spec } }
  }

  /** In another order where order means nothing. */
  const rearranged = (manifest: Members) =>
    changed(
      manifest,
      (pod) => ({ ...pod, ...("volumes" in pod ? { volumes: listOf(pod["volumes"]).toReversed() } : {}) }),
      (container) => ({
        ...container,
        ...("env" in container ? { env: listOf(container["env"]).toReversed() } : {})
      })
    )

  /** What a run brings itself. */
  const ofAnotherRun = (manifest: Members) => ({
    ...changed(
      manifest,
      (pod) => pod,
      (container) => ({
        ...container,
        image: "other:2",
        args: ["other"],
        env: [...listOf(container["env"]), { name: "OTHER", value: "x" }],
        resources: { limits: { cpu: "2", memory: "1Gi" } }
      })
    ),
    metadata: { ...(manifest["metadata"] as Members), labels: { other: "run" }, generateName: "other-" }
  })

  it("the order of keys, volumes and variables, written-out defaults and what a run brings change neither hash nor name", () => {
    for (let index = 0; index < 5_000; index++) {
      const manifest = plausible(seeded(seed + index))
      const { name, specHash } = Result.getOrThrow(convert(manifest, context))
      for (const vary of [turned, rearranged, asServed, ofAnotherRun]) {
        const other = Result.getOrThrow(convert(vary(manifest), context))
        expect([vary.name, other.specHash, other.name]).toEqual([vary.name, specHash, name])
      }
    }
  })

  it("what cannot change from run to run changes the hash", () => {
    const manifest = plausible(seeded(seed))
    const other = changed(
      manifest,
      (pod) => pod,
      (container) => ({ ...container, workingDir: "/elsewhere" })
    )
    const hash = (each: unknown) => Result.getOrThrow(convert(each, context)).specHash
    expect(hash(other)).not.toBe(hash(manifest))
  })
})
