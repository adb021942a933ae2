/** `agent plan`: what would be sent for a deployment, a flow run or a manifest, and whether it could run. Writes nothing. */
import { Console, Effect, FileSystem, Option, Redacted, Result, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { stringify } from "yaml"
import { CannotStart, serverTrouble } from "../agent/start-up.ts"
import { type LoneJob, placeProblems } from "../cpln-job/block.ts"
import { completed } from "../cpln-job/manifest.ts"
import { ControlPlane } from "../cpln/control-plane.ts"
import { credentialsIn } from "../job/environment.ts"
import { isRecord } from "../job/json.ts"
import { nameOfLink } from "../job/places.ts"
import { problemText } from "../job/problem.ts"
import { masking } from "../plan/masking.ts"
import { notingSecrets } from "../plan/noting.ts"
import { type Plan, planJob } from "../plan/plan.ts"
import { planAll, planNamed } from "../plan/targets.ts"
import { readAccess } from "../prefect/access.ts"
import { Inspection } from "../prefect/inspection.ts"
import { Prefect } from "../prefect/prefect.ts"
import { agentConfig, type GivenSettings } from "./agent-config.ts"
import { clients, injectedFrom, readSettings } from "./environment.ts"
import { outputFlag } from "./job.ts"
import { accessOf } from "./lone-job.ts"
import { readYaml } from "./yaml-file.ts"

/** Something cannot run: exit code 1, after the plan was printed. */
class CannotRun extends Schema.TaggedError<CannotRun>()("CannotRun", { words: Schema.String }) {
  override get message() {
    return this.words
  }
}

const optional = (name: string, help: string) =>
  Flag.String(name).pipe(Flag.withDescription(help), Flag.optional)

const flags = {
  target: Argument.String("target").pipe(
    Argument.withDescription("flow/deployment, id of one or of a flow run, or a file"),
    Argument.optional
  ),
  pool: optional("pool", "work pool, for --all or in place of its own").pipe(Flag.withAlias("p")),
  all: Flag.Boolean("all").pipe(
    Flag.withDefault(false),
    Flag.withDescription("every deployment of the pool")
  ),
  org: optional("org", "Control Plane org, for a file (CPLN_ORG)"),
  gvc: optional("gvc", "its GVC, for a file (CPLN_GVC)"),
  location: optional("location", "where it runs, for a file (CPLN_LOCATION)"),
  output: outputFlag(["yaml", "json"], "yaml")
}

type Input = Command.Command.Config.Infer<typeof flags>

const usage = (reason: string) => new CannotStart({ reason, remedy: "See: agent plan --help" })

/** A file of that name goes before a deployment; names of deployments have no such end. */
const isFile = Effect.fnUntraced(function* (target: string) {
  if (/\.(?:ya?ml|json)$/iu.test(target)) return true
  const files = yield* FileSystem.FileSystem
  return yield* files.stat(target).pipe(
    Effect.map(({ type }) => type === "File"),
    Effect.orElseSucceed(() => false)
  )
})

const planFile = Effect.fn("cli.planFile")(function* (path: string, input: Input, given: GivenSettings) {
  const { environment, settings } = given
  const unreadable = (why: string) =>
    new CannotStart({ reason: `${path}: ${why}.`, remedy: "Give a file with one Kubernetes Job manifest." })
  const read = yield* readYaml(path)
  if (Result.isFailure(read)) return yield* unreadable(read.failure)
  const manifest = read.success
  if (!isRecord(manifest)) return yield* unreadable("it holds no mapping")
  const injected = injectedFrom(environment)
  const named = (flag: Option.Option<string>) => nameOfLink(Option.getOrUndefined(flag))
  const place = {
    org: named(input.org) ?? injected.org,
    gvc: named(input.gvc) ?? injected.gvc,
    location: named(input.location) ?? injected.location
  }
  const problems = placeProblems(place, { org: "--org", gvc: "--gvc" })
  if (problems.length > 0 || injected.token === undefined) {
    return yield* new CannotStart({
      reason:
        problems.length > 0
          ? problemText(problems)
          : "There is no credential for Control Plane: CPLN_TOKEN is not set.",
      remedy: "A plan is compared with what is there."
    })
  }
  const job: LoneJob = {
    org: place.org ?? "",
    gvc: place.gvc ?? "",
    location: place.location,
    token: undefined,
    manifest: completed(manifest)
  }
  // Prefect has no part in it, and need not be there.
  const platform = ControlPlane.layerWith({
    ratePerSecond: settings.cplnRate,
    logsEndpoint: undefined,
    logsToken: undefined
  })
  const plan = yield* planJob(job, accessOf(job, injected), `job of ${path}`, settings.identities).pipe(
    Effect.provide(platform)
  )
  return [plan]
})

const planOnServer = Effect.fn("cli.planOnServer")(function* (
  target: string | undefined,
  pool: string | undefined,
  given: GivenSettings,
  noted: Set<string>
) {
  const { environment, prefectSettings, settings } = given
  const access = yield* readAccess(prefectSettings)
  const reads = Inspection.layer(access, { ratePerSecond: settings.prefectRate })
  return yield* Effect.gen(function* () {
    const noting = yield* notingSecrets(noted)
    return yield* Effect.gen(function* () {
      const config = yield* agentConfig(given)
      if (target !== undefined) return [yield* planNamed(target, pool, config)]
      return yield* planAll(pool ?? "", config)
    }).pipe(Effect.provideService(Prefect, noting))
  }).pipe(
    Effect.provide(reads),
    Effect.provide(yield* clients(prefectSettings, environment, settings)),
    Effect.mapError((error) => ("service" in error ? serverTrouble(access.url)(error) : error))
  )
})

/** Of this process; blocks bring their own. */
const ownSecrets = ({ environment, prefectSettings }: GivenSettings): ReadonlyArray<string> => {
  const all = Object.fromEntries([...prefectSettings].map(([name, { value }]) => [name, value]))
  const injected = injectedFrom(environment)
  return [
    ...credentialsIn(all).flatMap((name) => all[name] ?? []),
    ...(all["PREFECT_CLIENT_CUSTOM_HEADERS"] === undefined ? [] : [all["PREFECT_CLIENT_CUSTOM_HEADERS"]]),
    ...(injected.token === undefined ? [] : [Redacted.value(injected.token)])
  ]
}

const summary = (plans: ReadonlyArray<Plan>): string => {
  const cannot = plans.filter(({ verdict }) => verdict === "cannot run")
  return `${cannot.length} of ${plans.length} cannot run:\n${cannot.map(({ target }) => `  ${target}`).join("\n")}`
}

/** What a person looks for among many. */
const brief = ({ target, verdict, errors, warnings, place, workload }: Plan) => ({
  target,
  verdict,
  errors,
  warnings,
  ...(place === undefined ? {} : { place }),
  ...(workload === undefined ? {} : { workload: { state: workload.state, link: workload.link } })
})

const handler = Effect.fn("cli.plan")(function* (input: Input) {
  const target = Option.getOrUndefined(input.target)
  const pool = Option.getOrUndefined(input.pool)
  if (input.all ? target !== undefined : target === undefined) {
    return yield* usage(
      input.all ? "--all plans every deployment: a target has no place there." : "Nothing was named to plan."
    )
  }
  if (input.all && pool === undefined) return yield* usage("--all needs the pool: --pool NAME.")
  const given = yield* readSettings({})
  const noted = new Set(ownSecrets(given))
  const plans =
    target !== undefined && (yield* isFile(target))
      ? yield* planFile(target, input, given)
      : yield* planOnServer(target, pool, given, noted)
  const shown = masking(noted)(plans)
  const [one] = shown
  const printed = input.all ? (input.output === "json" ? shown : shown.map(brief)) : one
  yield* Console.log(
    input.output === "json"
      ? JSON.stringify(printed, null, 2)
      : stringify(printed, { lineWidth: 0 }).trimEnd()
  )
  if (plans.length === 0) yield* Console.error(`Work pool "${pool}" has no deployments.`)
  if (!plans.some(({ verdict }) => verdict === "cannot run")) return
  return yield* new CannotRun({
    words: input.all ? summary(shown) : `It cannot run: ${problemText(one?.errors ?? [])}`
  })
})

export const plan = Command.make("plan", flags, handler).pipe(
  Command.withDescription(
    "Show what would be sent to Control Plane for a deployment, a flow run or a Kubernetes Job in a file, how it differs from what is there, and what is wrong with it. Nothing is written. Exit code 1 when it cannot run."
  ),
  Command.withShortDescription("Show what would be sent for a run, and check it"),
  Command.withExamples([
    { command: "agent plan my-flow/nightly" },
    { command: "agent plan job.yaml --gvc dev" },
    { command: "agent plan --all --pool cpln -o json" }
  ])
)
