/**
 * `agent plan` against real servers: what it says of deployments, runs and files, and that neither Prefect nor the
 * emulator is changed by it.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { access, agentCommand } from "../../scripts/local/agent.ts"
import { ensureGvc, type Place } from "../../scripts/local/control-plane.ts"
import { countingProxy } from "../../scripts/local/counting-proxy.ts"
import { deploy, flowFolder } from "../../scripts/local/deployments.ts"
import { ProcessFailed } from "../../scripts/local/process.ts"
import type { World } from "../../scripts/local/world.ts"
import { Broken, type Suite, must } from "./suite.ts"

interface Plan {
  readonly target: string
  readonly verdict: string
  readonly errors: ReadonlyArray<{ readonly path: string; readonly rule: string; readonly remedy: string }>
  readonly secrets?: ReadonlyArray<string>
  readonly policy?: { readonly state: string }
  readonly workload?: { readonly state: string; readonly sends: { readonly name: string } }
  readonly command?: unknown
}

const secret = "hunter2-of-the-database"

/** Routes with these in front change nothing. */
const harmless = /^(?:GET |POST \S*(?:\/filter|-query)$|PUT \/org\/:\/gvc\/:\/workload$)/u

export const planTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const { prefect, cpln, folder, agent } = world
  const home = join(folder, "plan")
  mkdirSync(home, { recursive: true })
  const place: Place = { ...world.place, gvc: "plans" }
  yield* ensureGvc(cpln, place)
  const [toPrefect, toPlatform] = [
    yield* countingProxy(prefect.api.replace(/\/api$/u, "")),
    yield* countingProxy(cpln.url)
  ]
  const direct = access(prefect, cpln)
  const env = { ...direct, PREFECT_API_URL: `${toPrefect.url}/api`, CPLN_ENDPOINT: toPlatform.url }
  let count = 0
  const command = (args: ReadonlyArray<string>, given: Readonly<Record<string, string>> = env) =>
    agentCommand({ agent, args, home: join(home, `command-${++count}`), env: given })
  const planned = (...args: ReadonlyArray<string>) =>
    Effect.map(command(["plan", ...args, "-o", "json"]), (output) => JSON.parse(output) as Plan)
  const refused = (...args: ReadonlyArray<string>) =>
    command(["plan", ...args]).pipe(
      Effect.flip,
      Effect.flatMap((error) =>
        error instanceof ProcessFailed && error.code === 1
          ? Effect.succeed(error.output)
          : Effect.fail(new Broken({ text: String(error) }))
      )
    )

  const places = ["--org", place.org, "--gvc", place.gvc, "--location", place.location]
  yield* command(["pool", "create", "planned", ...places, "--image", "flows:1"], direct)
  yield* cpln.post(`/org/${place.org}/secret`, { name: "plan-db", type: "dictionary", data: { USER: "u1" } })
  const type = yield* prefect.get<{ readonly id: string }>("/block_types/slug/secret")
  const [schema] = yield* prefect.post<ReadonlyArray<{ readonly id: string }>>("/block_schemas/filter", {
    block_schemas: { block_type_id: { any_: [type.id] } }
  })
  yield* prefect.post("/block_documents/", {
    name: "plan-db",
    block_type_id: type.id,
    block_schema_id: schema?.id,
    data: { value: secret }
  })
  const source = flowFolder(folder)
  const shared = { pool: "planned", source, entrypoint: "flows.py:completes" }
  const ids = yield* deploy(prefect, [
    {
      ...shared,
      name: "plan-good",
      job_variables: {
        env: { DB: "{{ prefect.blocks.secret.plan-db }}", USER: "cpln://secret/plan-db.USER" }
      }
    },
    { ...shared, name: "plan-bad", job_variables: { location: "nowhere-1" } }
  ])
  const { id: runId } = yield* prefect.run(ids["plan-good"] ?? "")

  const state = Effect.gen(function* () {
    const ofPlatform = yield* Effect.forEach(
      [
        `/org/${place.org}/gvc/${place.gvc}/workload`,
        `/org/${place.org}/gvc/${place.gvc}/identity`,
        `/org/${place.org}/policy`
      ],
      (path) => cpln.all<unknown>(path)
    )
    const { updated: _looked, ...run } = (yield* prefect.flowRun(runId)) as unknown as Record<string, unknown>
    return JSON.stringify([
      ofPlatform,
      run["state"],
      run["infrastructure_pid"],
      run["tags"],
      (yield* prefect.states(runId)).length
    ])
  })

  yield* suite.test(
    "plan: of a deployment and of its run, with secrets masked, and what the job needs to read them",
    Effect.gen(function* () {
      const plan = yield* planned("completes/plan-good")
      yield* must(
        plan.verdict === "can run" && plan.workload?.state === "would be made",
        JSON.stringify(plan)
      )
      yield* must(
        plan.secrets?.join() === "plan-db" && plan.policy?.state === "would be made",
        JSON.stringify(plan)
      )
      const text = JSON.stringify(plan)
      yield* must(!text.includes(secret) && !text.includes(cpln.token), "a secret is shown")
      yield* must(text.includes("cpln://secret/plan-db.USER"), "the reference is not shown")
      const byId = yield* planned(ids["plan-good"] ?? "")
      yield* must(byId.workload?.sends.name === plan.workload?.sends.name, "another workload by id")
      const ofRun = yield* planned(runId)
      yield* must(JSON.stringify(ofRun.command).includes(runId), JSON.stringify(ofRun))
      const yaml = yield* command(["plan", "completes/plan-good"])
      yield* must(/^verdict: can run$/mu.test(yaml) && !yaml.includes(secret), yaml)
    })
  )

  // The lines differ in how a deployment's variables are read, and in nothing else that a plan needs.
  if (prefect.venv.line === "2") return

  yield* suite.test(
    "plan: of a file as for kubectl, and what is wrong with one",
    Effect.gen(function* () {
      const file = (name: string, text: string) => {
        const path = join(home, name)
        writeFileSync(path, text)
        return path
      }
      const good = file(
        "good.yaml",
        "kind: Job\nspec: {template: {spec: {containers: [{name: main, image: 'i:1', command: [work]}]}}}\n"
      )
      const plan = yield* planned(good, ...places)
      yield* must(
        plan.verdict === "can run" && plan.workload?.sends.name.startsWith("j-job-") === true,
        JSON.stringify(plan)
      )
      const bad = file(
        "bad.yaml",
        "kind: Job\nspec: {template: {spec: {containers: [{name: main, env: [{name: CPLN_X, value: a}]}]}}}\n"
      )
      const output = yield* refused(bad, ...places)
      yield* must(/image: is missing/u.test(output) && /CPLN_X/u.test(output), output)
    })
  )

  yield* suite.test(
    "plan --all: every deployment of the pool, and exit code 1 when one cannot run",
    Effect.gen(function* () {
      const output = yield* refused("--all", "--pool", "planned")
      yield* must(/verdict: can run/u.test(output) && /verdict: cannot run/u.test(output), output)
      yield* must(/1 of 2 cannot run:\n {2}deployment completes\/plan-bad/u.test(output), output)
      yield* must(/nowhere-1/u.test(output), output)
      const asJson = yield* refused("completes/plan-bad", "-o", "json")
      const bad = JSON.parse(asJson.slice(asJson.indexOf("{"), asJson.lastIndexOf("}") + 1)) as Plan
      yield* must(
        bad.errors.length === 1 &&
          bad.errors.every(({ path, remedy }) => path === "location" && remedy !== ""),
        asJson
      )
      const none = yield* refused("--all", "--pool", "no-such-pool")
      yield* must(/no-such-pool/u.test(none), none)
    })
  )

  yield* suite.test(
    "plan: changes nothing on either side",
    Effect.gen(function* () {
      const before = yield* state
      toPrefect.reset()
      toPlatform.reset()
      yield* planned("completes/plan-good")
      yield* planned(runId)
      yield* refused("--all", "--pool", "planned")
      yield* must((yield* state) === before, "something changed")
      const writes = [...toPrefect.counts().keys(), ...toPlatform.counts().keys()].filter(
        (route) => !harmless.test(route)
      )
      yield* must(writes.length === 0, writes.join("\n"))
    })
  )
})
