/**
 * `agent cleanup` against the emulator and a real server: what is idle goes with its identity and policy, what is in use
 * or somebody else's stays.
 */
import { join } from "node:path"
import { Effect, Schedule } from "effect"
import { access, agentCommand } from "../../scripts/local/agent.ts"
import { type Command, ensureGvc, type Place } from "../../scripts/local/control-plane.ts"
import { ProcessFailed } from "../../scripts/local/process.ts"
import type { World } from "../../scripts/local/world.ts"
import { Broken, type Suite, must } from "./suite.ts"

interface Report {
  readonly dryRun: boolean
  readonly found: ReadonlyArray<{
    readonly kind: string
    readonly name: string
    readonly outcome: string
    readonly why: string
  }>
}

const poolTag = "prefect.io/work-pool-id"

/** 3.6 s. */
const ttl = ["--cleanup-ttl", "0.001"]

export const cleanupTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const { prefect, cpln, folder, agent } = world
  const home = join(folder, "cleanup")
  const place: Place = { ...world.place, gvc: "cleaned" }
  yield* ensureGvc(cpln, place)
  const env = access(prefect, cpln)
  let count = 0
  const command = (args: ReadonlyArray<string>, given: Readonly<Record<string, string>> = env) =>
    agentCommand({ agent, args, home: join(home, `command-${++count}`), env: given })
  const places = ["--org", place.org, "--gvc", place.gvc, "--location", place.location]
  yield* command(["pool", "create", "cleaned", ...places])
  const pool = yield* prefect.pool("cleaned")
  const first = `p${pool.id.replaceAll("-", "").slice(0, 8)}-job-`
  const gvcPath = `/org/${place.org}/gvc/${place.gvc}`

  const make = Effect.fnUntraced(function* (
    name: string,
    tags: Readonly<Record<string, string>>,
    job?: { readonly command: string; readonly args?: ReadonlyArray<string> }
  ) {
    yield* cpln.post(`${gvcPath}/identity`, { name: `${name}-identity`, tags })
    yield* cpln.post(`/org/${place.org}/policy`, {
      name: `${name}-reveal-policy`,
      tags,
      targetKind: "secret",
      targetLinks: [],
      bindings: [{ permissions: ["reveal"], principalLinks: [`${gvcPath}/identity/${name}-identity`] }]
    })
    const made = yield* cpln.post(`${gvcPath}/workload`, {
      name,
      tags,
      spec: {
        type: "cron",
        identityLink: `${gvcPath}/identity/${name}-identity`,
        containers: [{ name: "main", image: "any:1", cpu: "50m", memory: "128Mi" }],
        job: { schedule: "* * * * *" },
        defaultOptions: { suspend: true, capacityAI: false }
      }
    })
    yield* must(made.status === 201, made.text)
    if (job === undefined) return
    const started = yield* cpln.post(`${gvcPath}/workload/${name}/-command`, {
      type: "runCronWorkload",
      spec: { location: place.location, containerOverrides: [{ name: "main", ...job }] }
    })
    yield* must(started.status === 201, started.text)
  })

  const ours = { [poolTag]: pool.id }
  yield* make(`${first}idle`, ours, { command: "true" })
  yield* make(`${first}never`, ours)
  yield* make(`${first}busy`, ours, { command: "sleep", args: ["300"] })
  yield* make(`${first}theirs`, { [poolTag]: "another" })
  yield* make("j-job-lone", {})
  yield* cpln.post(`${gvcPath}/identity`, { name: `${first}left-identity`, tags: ours })

  const names = Effect.gen(function* () {
    const named = (path: string) =>
      Effect.map(cpln.all<{ readonly name: string }>(path), (all) => all.map(({ name }) => name))
    return {
      workloads: (yield* named(`${gvcPath}/workload`)).toSorted(),
      identities: (yield* named(`${gvcPath}/identity`)).toSorted(),
      policies: (yield* named(`/org/${place.org}/policy`))
        .filter((name) => name.startsWith(first) || name.startsWith("j-job-lone"))
        .toSorted()
    }
  })
  const report = (...args: ReadonlyArray<string>) =>
    Effect.map(
      command(["cleanup", "--pool", "cleaned", ...args, "-o", "json"]),
      (output) => JSON.parse(output) as Report
    )
  const outcomes = ({ found }: Report) =>
    Object.fromEntries(found.map(({ kind, name, outcome }) => [`${kind} ${name}`, outcome]))
  const refused = (args: ReadonlyArray<string>, given: Readonly<Record<string, string>> = env) =>
    command(args, given).pipe(
      Effect.flip,
      Effect.flatMap((error) =>
        error instanceof ProcessFailed && error.code === 1
          ? Effect.succeed(error.output)
          : Effect.fail(new Broken({ text: String(error) }))
      )
    )

  yield* cpln.commands(place, `${first}idle`).pipe(
    Effect.repeat({
      until: (all: ReadonlyArray<Command>) =>
        all.every(({ lifecycleStage }) => lifecycleStage === "completed"),
      schedule: Schedule.spaced("200 millis")
    }),
    Effect.timeout("30 seconds")
  )
  yield* Effect.sleep("5 seconds")

  yield* suite.test(
    "cleanup: a dry run says what would go and why the others stay, and changes nothing",
    Effect.gen(function* () {
      const before = JSON.stringify([yield* names, yield* cpln.workloads(place)])
      const seen = yield* report("--dry-run", ...ttl)
      yield* must(seen.dryRun, JSON.stringify(seen))
      const expected = {
        [`workload ${first}idle`]: "would be deleted",
        [`workload ${first}never`]: "would be deleted",
        [`workload ${first}busy`]: "stays",
        [`identity and policy ${first}left`]: "would be deleted"
      }
      yield* must(
        JSON.stringify(Object.entries(outcomes(seen)).toSorted()) ===
          JSON.stringify(Object.entries(expected).toSorted()),
        JSON.stringify(seen.found)
      )
      const why = seen.found.find(({ name }) => name === `${first}busy`)?.why ?? ""
      yield* must(/its command \S+ is (?:pending|running)/u.test(why), why)
      yield* must(
        JSON.stringify([yield* names, yield* cpln.workloads(place)]) === before,
        "something changed"
      )
      const young = yield* report("--dry-run")
      yield* must(
        Object.values(outcomes(young)).every((each) => each === "stays"),
        JSON.stringify(young.found)
      )
    })
  )

  yield* suite.test(
    "cleanup: what is idle goes with its identity and policy, everything else is left",
    Effect.gen(function* () {
      const output = yield* command(["cleanup", "--pool", "cleaned", ...ttl])
      yield* must(/^deleted +cleaned\/\S+-job-idle: unused for /mu.test(output), output)
      const left = yield* names
      yield* must(
        left.workloads.join() === ["j-job-lone", `${first}busy`, `${first}theirs`].join(),
        JSON.stringify(left)
      )
      yield* must(
        left.identities.join() ===
          ["j-job-lone-identity", `${first}busy-identity`, `${first}theirs-identity`].join(),
        JSON.stringify(left)
      )
      yield* must(
        left.policies.join() ===
          ["j-job-lone-reveal-policy", `${first}busy-reveal-policy`, `${first}theirs-reveal-policy`].join(),
        JSON.stringify(left)
      )
      const again = yield* report(...ttl)
      yield* must(JSON.stringify(Object.values(outcomes(again))) === `["stays"]`, JSON.stringify(again))
    })
  )

  yield* suite.test(
    "cleanup: without the pool, the GVC, or an answer, it deletes nothing and exits with 1",
    Effect.gen(function* () {
      const before = JSON.stringify(yield* names)
      const none = yield* refused(["cleanup", "--pool", "no-such-pool", ...ttl])
      yield* must(/"no-such-pool" does not exist/u.test(none) && /nothing was deleted/u.test(none), none)
      const gone = yield* refused(["cleanup", "--pool", "cleaned", "--gvc", "no-such-gvc", ...ttl])
      yield* must(/"no-such-gvc" \(--gvc\)/u.test(gone) && /Nothing was deleted/u.test(gone), gone)
      const token = yield* refused(["cleanup", "--pool", "cleaned", ...ttl], { ...env, CPLN_TOKEN: "wrong" })
      yield* must(/Nothing was deleted/u.test(token), token)
      const wrong = yield* refused(["cleanup", "--pool", "cleaned", "--cleanup-ttl", "0"])
      yield* must(/--cleanup-ttl is "0"/u.test(wrong), wrong)
      yield* must(JSON.stringify(yield* names) === before, "something changed")
    })
  )
})
