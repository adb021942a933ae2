/** `agent blocks create TYPE NAME`: one command for each block type, with the block's fields as flags. */
import { Console, Effect, Option, Redacted, Result } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { CannotStart } from "../agent/start-up.ts"
import type { BlockSlug } from "../blocks/catalogue.ts"
import { save } from "../blocks/create.ts"
import {
  atLeast,
  checkInfrastructure,
  checkJob,
  given,
  manifestProblems,
  nameProblems,
  pairs,
  patchProblems,
  words
} from "../blocks/documents.ts"
import { isUnchanged } from "../blocks/register.ts"
import type { JsonRecord } from "../job/json.ts"
import { type Problem, problemText } from "../job/problem.ts"
import { Blocks } from "../prefect/blocks.ts"
import { onServer, tellRegistered } from "./blocks-server.ts"
import { readToken, tokenFlags } from "./token-input.ts"
import { readYaml } from "./yaml-file.ts"

const described = <A>(flag: Flag.Flag<A>, text: string) => Flag.withDescription(flag, text)
const text = (name: string, help: string) => described(Flag.String(name).pipe(Flag.optional), help)
const seconds = (name: string, help: string) => described(Flag.Int(name).pipe(Flag.optional), help)
const many = (name: string, help: string) => described(Flag.String(name).pipe(Flag.atLeast(0)), help)

const replace = described(
  Flag.Boolean("replace").pipe(Flag.withDefault(false)),
  "put it in the place of the one of this name"
)

const common = {
  name: Argument.String("name").pipe(Argument.withDescription("lower-case letters, digits and dashes")),
  replace
}

const places = {
  org: text("org", "Control Plane org of its jobs (CPLN_ORG of the agent)"),
  gvc: text("gvc", "GVC of its jobs (CPLN_GVC of the agent)"),
  location: text("location", "where they run (CPLN_LOCATION of the agent)")
}

interface Asked {
  readonly slug: BlockSlug
  readonly name: string
  readonly replace: boolean
  readonly data: Redacted.Redacted<JsonRecord>
  readonly nested?: Readonly<Record<string, Option.Option<string>>>
  readonly problems?: ReadonlyArray<Problem>
  readonly warnings?: ReadonlyArray<Problem>
  /** Said after the block is there. */
  readonly note?: string
}

/** Tells every problem at once, before the server is asked for anything. */
const saveAsked = Effect.fn("cli.saveBlock")(function* (asked: Asked) {
  const { data, name, nested = {}, note, replace, slug, warnings = [] } = asked
  const problems = [...nameProblems(name), ...(asked.problems ?? [])]
  if (problems.length > 0) {
    return yield* new CannotStart({
      reason: `Block ${slug}/${name} cannot be made; nothing was changed. ${problemText(problems)}`,
      remedy: `See: agent blocks create ${slug} --help`
    })
  }
  const names = Object.fromEntries(
    Object.entries(nested).flatMap(([field, inside]) =>
      Option.isSome(inside) ? [[field, inside.value]] : []
    )
  )
  yield* onServer(
    Effect.gen(function* () {
      const { url } = yield* Blocks
      const { outcome, registered } = yield* save({ slug, name, data, nested: names, replace })
      const changed = registered.filter((each) => !isUnchanged(each))
      if (changed.length > 0) yield* Console.log(`Block types on ${url}:`)
      yield* tellRegistered(changed)
      yield* Console.log(
        `Block ${slug}/${name} ${outcome} on ${url}${note === undefined ? "." : ` (${note}).`}`
      )
      // Only when it is there: a block that was refused has other troubles.
      if (warnings.length > 0) {
        yield* Console.error(`As it stands, Control Plane would refuse its jobs. ${problemText(warnings)}`)
      }
    })
  )
})

/** A YAML or JSON file; undefined, and a problem, when it cannot be used. */
const readFile = Effect.fn("cli.readYamlFile")(function* (
  flag: string,
  path: Option.Option<string>,
  problemsOf: (where: string, content: unknown) => ReadonlyArray<Problem>,
  problems: Array<Problem>
) {
  if (Option.isNone(path)) return undefined
  const where = `--${flag} ${path.value}`
  const read = yield* readYaml(path.value)
  if (Result.isFailure(read)) {
    problems.push({ path: where, rule: read.failure, remedy: "" })
    return undefined
  }
  const wrong = problemsOf(where, read.success)
  problems.push(...wrong)
  return wrong.length > 0 ? undefined : read.success
})

const orUndefined = Option.getOrUndefined

/** The two types that hold a token and nothing else. */
const tokenBlock = (slug: BlockSlug, shortDescription: string, forWhat: string) =>
  Command.make(slug, { replace, ...tokenFlags }, (input) =>
    Effect.gen(function* () {
      const { from, token } = yield* readToken(input)
      yield* saveAsked({
        slug,
        name: input.names[0] ?? "",
        replace: input.replace,
        data: Redacted.make(given({ token: token === undefined ? undefined : Redacted.value(token) })),
        note: from
      })
    })
  ).pipe(
    Command.withDescription(
      `Create a block with a Control Plane token, for ${forWhat}. The token comes from CPLN_TOKEN or from standard input, never from an argument.`
    ),
    Command.withShortDescription(shortDescription),
    Command.withExamples([
      { command: `agent blocks create ${slug} prod` },
      { command: `agent blocks create ${slug} prod \\` },
      { command: "    --token-stdin < FILE" }
    ])
  )

const configuration = tokenBlock(
  "control-plane-configuration",
  "A token, for work pools and credentials",
  "work pools and credentials blocks"
)

const infrastructureConfig = tokenBlock(
  "control-plane-infrastructure-config",
  "A token, for infrastructure blocks",
  "infrastructure blocks"
)

const credentials = Command.make(
  "control-plane-credentials",
  { ...common, config: text("config", "name of a control-plane-configuration block") },
  ({ config, ...input }) =>
    saveAsked({ ...input, slug: "control-plane-credentials", data: Redacted.make({}), nested: { config } })
).pipe(
  Command.withDescription("Create a credentials block, for CplnJob blocks."),
  Command.withShortDescription("A configuration, for CplnJob blocks"),
  Command.withExamples([{ command: "agent blocks create control-plane-credentials prod --config prod" }])
)

const infrastructureFlags = {
  ...common,
  config: text("config", "name of a control-plane-infrastructure-config block"),
  job: text("job", "YAML or JSON file with the Kubernetes Job manifest"),
  image: text("image", "of the jobs (the manifest's)"),
  env: many("env", "KEY=VALUE for every job; repeatable"),
  labels: many("label", "KEY=VALUE for every job; repeatable"),
  command: text("command", "command line (executes the flow run)"),
  jobName: text("job-name", "name of the jobs (the flow run's)"),
  ...places,
  serviceAccount: text("service-account", "identity of the jobs (one is made)"),
  jobType: text("job-type", "groups jobs into workloads, such as ml-training"),
  customizations: text("customizations", "YAML or JSON file with JSON Patch operations"),
  jobWatchTimeout: seconds("job-watch-timeout", "longest run, s (none)"),
  podWatchTimeout: seconds("pod-watch-timeout", "longest start, s (60)"),
  streamOutput: described(
    Flag.Boolean("stream-output").pipe(Flag.optional),
    "show job output in the agent's; --no-stream-output"
  )
}

const infrastructure = Command.make("control-plane-infrastructure", infrastructureFlags, (input) =>
  Effect.gen(function* () {
    const problems: Array<Problem> = []
    const job = yield* readFile("job", input.job, manifestProblems, problems)
    const customizations = yield* readFile("customizations", input.customizations, patchProblems, problems)
    const data = given({
      type: "cpln-infrastructure",
      env: pairs("env", input.env, problems),
      labels: pairs("label", input.labels, problems),
      name: orUndefined(input.jobName),
      command: words("command", orUndefined(input.command), problems),
      org: orUndefined(input.org),
      namespace: orUndefined(input.gvc),
      location: orUndefined(input.location),
      service_account_name: orUndefined(input.serviceAccount),
      job_type: orUndefined(input.jobType),
      job,
      customizations,
      image: orUndefined(input.image),
      job_watch_timeout_seconds: atLeast(
        "job-watch-timeout",
        orUndefined(input.jobWatchTimeout),
        1,
        problems
      ),
      pod_watch_timeout_seconds: atLeast(
        "pod-watch-timeout",
        orUndefined(input.podWatchTimeout),
        1,
        problems
      ),
      stream_output: orUndefined(input.streamOutput)
    })
    const checked = checkInfrastructure(data)
    problems.push(...checked.problems)
    yield* saveAsked({
      ...input,
      slug: "control-plane-infrastructure",
      data: Redacted.make(data),
      nested: { config: input.config },
      problems,
      warnings: checked.warnings
    })
  })
).pipe(
  Command.withDescription(
    "Create an infrastructure block, for deployments of Prefect 2.20 that an agent pool serves."
  ),
  Command.withShortDescription("How jobs run, for deployments of 2.20"),
  Command.withExamples([
    { command: "agent blocks create control-plane-infrastructure cpln-infra \\" },
    { command: "    --config cpln-infra-config --job job_template.yaml \\" },
    { command: "    --image /org/acme/image/flows:v1 --env STAGE=production" }
  ])
)

const jobFlags = {
  ...common,
  job: described(Flag.String("job"), "YAML or JSON file with the Kubernetes Job manifest"),
  credentials: text("credentials", "name of a control-plane-credentials block"),
  ...places,
  keep: described(
    Flag.Boolean("keep").pipe(Flag.withDefault(false)),
    "do not delete the job after it has completed"
  ),
  interval: seconds("interval", "between looks at the job, s (5)"),
  timeout: seconds("timeout", "longest run, s (none)")
}

const job = Command.make("cpln-job", jobFlags, (input) =>
  Effect.gen(function* () {
    const problems: Array<Problem> = []
    const manifest = yield* readFile("job", Option.some(input.job), manifestProblems, problems)
    const checked = manifest === undefined ? undefined : checkJob(manifest)
    problems.push(...(checked?.problems ?? []))
    const data = given({
      org: orUndefined(input.org),
      namespace: orUndefined(input.gvc),
      location: orUndefined(input.location),
      v1_job: manifest,
      delete_after_completion: input.keep ? false : undefined,
      interval_seconds: atLeast("interval", orUndefined(input.interval), 1, problems),
      timeout_seconds: atLeast("timeout", orUndefined(input.timeout), 1, problems)
    })
    yield* saveAsked({
      ...input,
      slug: "cpln-job",
      data: Redacted.make(data),
      nested: { credentials: input.credentials },
      problems,
      warnings: checked?.warnings ?? []
    })
  })
).pipe(
  Command.withDescription("Create a CplnJob block: a job that is run by itself or from within a flow."),
  Command.withShortDescription("A job, run by itself or from a flow"),
  Command.withExamples([
    { command: "agent blocks create cpln-job my-cpln-job --job job.yaml --credentials prod" }
  ])
)

export const create = Command.make("create").pipe(
  Command.withDescription("Create a block, without Python. Block types that are missing are registered."),
  Command.withShortDescription("Create a block, without Python"),
  Command.withSubcommands([configuration, credentials, job, infrastructureConfig, infrastructure])
)
