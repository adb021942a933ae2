/** `agent pool create NAME`: a work pool of type `cpln`, with the template that every server takes. */
import { Console, Effect, Equal, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { CannotStart, serverTrouble } from "../agent/start-up.ts"
import { officialTemplate } from "../job/template.ts"
import { Prefect } from "../prefect/prefect.ts"
import { clients, readSettings, readTemplate } from "./environment.ts"

const optional = (name: string, help: string) =>
  Flag.String(name).pipe(Flag.withDescription(help), Flag.optional)

const flags = {
  name: Argument.String("name").pipe(Argument.withDescription("of the new work pool")),
  org: optional("org", "Control Plane org of its jobs (CPLN_ORG of the agent)"),
  gvc: optional("gvc", "GVC of its jobs (CPLN_GVC of the agent)"),
  location: optional("location", "where its jobs run (CPLN_LOCATION of the agent)"),
  image: optional("image", "of its jobs (the official image of the server's version)"),
  env: Flag.String("env").pipe(Flag.withDescription("KEY=VALUE for every job; repeatable"), Flag.atLeast(0)),
  baseJobTemplate: optional("base-job-template", "JSON file, instead of the default template")
}

const environmentOf = Effect.fnUntraced(function* (pairs: ReadonlyArray<string>) {
  const env: Record<string, string> = {}
  for (const pair of pairs) {
    const at = pair.indexOf("=")
    if (at < 1) {
      return yield* new CannotStart({
        // The text may be a secret that lost its name: it is not repeated.
        reason: "--env takes KEY=VALUE, and one of those given has no KEY or no `=`.",
        remedy: "For example: --env PREFECT_LOGGING_LEVEL=DEBUG"
      })
    }
    env[pair.slice(0, at)] = pair.slice(at + 1)
  }
  return env
})

const given = (values: Readonly<Record<string, Option.Option<string>>>) =>
  Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) => (Option.isSome(value) ? [[key, value.value]] : []))
  )

const makePool = Effect.fn("cli.makePool")(function* (
  name: string,
  template: (version: string) => Readonly<Record<string, unknown>>
) {
  const prefect = yield* Prefect
  if (/^prefect/iu.test(name)) {
    return yield* new CannotStart({
      reason: `Work pool "${name}" cannot be made: names that begin with "prefect" are Prefect's own.`,
      remedy: "Choose another name, such as cpln."
    })
  }
  const server = yield* prefect.version.pipe(Effect.mapError(serverTrouble(prefect.url)))
  const made = template(server.text)
  yield* prefect
    .createWorkPool({
      name,
      type: "cpln",
      description: "Flow runs as jobs on Control Plane.",
      baseJobTemplate: made
    })
    .pipe(
      Effect.catchTag("Conflict", ({ afterDoubt = false }) =>
        Effect.flatMap(prefect.readWorkPool(name), ({ base_job_template }) =>
          // Made by our own earlier try, whose answer was lost.
          afterDoubt && Equal.equals(base_job_template, made)
            ? Effect.void
            : Effect.fail(
                new CannotStart({
                  reason: `Work pool "${name}" exists already on ${prefect.url}; nothing was changed.`,
                  remedy: "Edit it in the Prefect UI, or delete it first: prefect work-pool delete NAME"
                })
              )
        )
      ),
      Effect.catchTag("Refused", (error) =>
        Effect.fail(
          new CannotStart({
            reason: `Prefect did not take work pool "${name}": ${error.message}`,
            remedy:
              "A name may hold no / and no %. In a template of your own every placeholder of `job_configuration` must be a property of `variables`."
          })
        )
      ),
      Effect.mapError((error) => (error._tag === "CannotStart" ? error : serverTrouble(prefect.url)(error)))
    )
  yield* Console.log(
    `Work pool "${name}" of type "cpln" created on ${prefect.url} (Prefect ${server.text}).\nStart an agent for it: agent --pool ${name}`
  )
})

const create = Command.make("create", flags, (input) =>
  Effect.gen(function* () {
    const { environment, prefectSettings, settings } = yield* readSettings({})
    const { baseJobTemplate, gvc, image, location, org } = input
    const env = yield* environmentOf(input.env)
    const own = Option.isSome(baseJobTemplate) ? yield* readTemplate(baseJobTemplate.value) : undefined
    yield* makePool(
      input.name,
      (version) => own ?? officialTemplate({ version, env, ...given({ org, gvc, location, image }) })
    ).pipe(Effect.provide(yield* clients(prefectSettings, environment, settings)))
  })
).pipe(
  Command.withDescription(
    "Create a work pool of type cpln. What is left out is found by the agent at each run."
  ),
  Command.withExamples([{ command: "agent pool create cpln --org acme --gvc dev --location aws-us-west-2" }])
)

export const pool = Command.make("pool").pipe(
  Command.withDescription("Create work pools."),
  Command.withSubcommands([create])
)
