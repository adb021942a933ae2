/**
 * What is checked before the first poll: the server, the pool, its queues, and the default Control Plane credential.
 *
 * Invariant: the agent refuses to start only for what a person must mend (bad settings, refused credentials, a pool that
 * it cannot serve), and then says how. A service that merely does not answer is given time.
 */
import { Effect, Option, Schedule, Schema } from "effect"
import { Access, type ControlPlane } from "../cpln/control-plane.ts"
import { at } from "../cpln/place.ts"
import { Workloads } from "../cpln/workloads.ts"
import { type ApiError, isTransient } from "../http/errors.ts"
import { poolDefaults } from "../job/pool-defaults.ts"
import { officialTemplate } from "../job/template.ts"
import { isApiAddress } from "../prefect/access.ts"
import { Prefect, type ServerVersion } from "../prefect/prefect.ts"
import type { WorkPool } from "../prefect/schemas.ts"
import type { Injected } from "../runs/config.ts"
import { isForAgents } from "../runs/pool.ts"
import { say } from "../observe/say.ts"

/** The program ends with exit code 1 and this text. */
export class CannotStart extends Schema.TaggedError<CannotStart>()("CannotStart", {
  reason: Schema.String,
  remedy: Schema.String
}) {
  override get message() {
    return `${this.reason}\n  ${this.remedy}`
  }
}

/** How long a service may be away at start before the program gives up: about 20 s. */
const patience = Schedule.spaced("2 seconds").pipe(
  Schedule.upTo({ times: 10 }),
  Schedule.setInputType<ApiError>(),
  Schedule.tap(({ input }) => say("warning", "Init", {}, `${input.message}; trying again`))
)

export interface StartUp {
  readonly pool: string
  readonly queues: ReadonlyArray<string>
  readonly createPool: boolean
  readonly baseJobTemplate: Readonly<Record<string, unknown>> | undefined
  readonly injected: Injected
  readonly environment: Readonly<Record<string, string>>
}

export interface Checked {
  readonly server: ServerVersion
  readonly pool: WorkPool
}

export const startUp = Effect.fn("agent.startUp")(function* (
  options: StartUp
): Effect.fn.Return<Checked, CannotStart, Prefect | ControlPlane> {
  const server = yield* reachServer
  yield* say("info", "Init", {}, `Prefect ${server.text}.`)
  const pool = yield* findPool(options, server)
  for (const queue of options.queues) {
    const prefect = yield* Prefect
    const made = yield* prefect
      .ensureQueue(pool.name, queue)
      .pipe(patiently(prefect.url), Effect.mapError(serverTrouble(prefect.url)))
    if (made) yield* say("info", "Init", {}, `Created work queue "${queue}" in pool "${pool.name}".`)
  }
  yield* checkControlPlane(options, { server, pool })
  return { server, pool }
})

const reachServer = Effect.gen(function* () {
  const prefect = yield* Prefect
  return yield* prefect.version.pipe(patiently(prefect.url), Effect.mapError(serverTrouble(prefect.url)))
})

/**
 * What may pass is waited for. So is an answer that cannot be read, because a proxy may have given it, unless the address
 * itself looks wrong.
 */
const patiently = (url: string) => {
  const mayPass = (error: ApiError) =>
    isTransient(error) && (error._tag !== "Undecodable" || isApiAddress(url))
  return <A, R>(ask: Effect.Effect<A, ApiError, R>): Effect.Effect<A, ApiError, R> =>
    Effect.retry(ask, { schedule: patience, while: mayPass })
}

/** What an operator must know of a Prefect server that cannot be used. */
export const serverTrouble =
  (url: string) =>
  (error: ApiError): CannotStart => {
    switch (error._tag) {
      case "Unauthorised":
      case "Forbidden":
        return new CannotStart({
          reason: `The Prefect server at ${url} refused the credentials: ${error.message}`,
          remedy:
            "Check PREFECT_API_KEY or PREFECT_API_AUTH_STRING, and that PREFECT_API_URL is the API of a Prefect server."
        })
      case "Undecodable":
        if (error.request === "GET /admin/version" || isWebPage(error)) return noApi(url, error)
        return new CannotStart({
          reason: `The Prefect server at ${url} gave what is not known of one: ${error.message}`,
          remedy:
            "Correct it where it stands, as on the page of the work pool; this agent knows servers 2.20 and 3.x."
        })
      case "NotFound":
        return noApi(url, error)
      default:
        return new CannotStart({
          reason: `The Prefect server at ${url} cannot be used: ${error.message}`,
          remedy: "Check PREFECT_API_URL, and that the server runs and can be reached from here."
        })
    }
  }

const isWebPage = (error: ApiError): boolean =>
  error._tag === "Undecodable" && /text\/html/u.test(error.detail)

const noApi = (url: string, error: ApiError) =>
  new CannotStart({
    reason: `There is no Prefect API at ${url}: ${error.message}`,
    remedy: isWebPage(error)
      ? "A web page in the API's place often is the login of a proxy: let the agent past it (PREFECT_CLIENT_CUSTOM_HEADERS). Else PREFECT_API_URL is not the API's base, which usually ends in /api."
      : "PREFECT_API_URL must be the API's base, which usually ends in /api."
  })

const findPool = Effect.fnUntraced(function* (options: StartUp, server: ServerVersion) {
  const prefect = yield* Prefect
  const template = options.baseJobTemplate ?? officialTemplate({ version: server.text })
  const found = yield* prefect.readWorkPool(options.pool).pipe(
    patiently(prefect.url),
    Effect.map(Option.some),
    Effect.catchTag("NotFound", () => Effect.succeed(Option.none<WorkPool>())),
    Effect.mapError(serverTrouble(prefect.url))
  )
  if (Option.isNone(found)) {
    if (!options.createPool) {
      return yield* new CannotStart({
        reason: `Work pool "${options.pool}" does not exist on ${prefect.url}.`,
        remedy: `Create it with: agent pool create ${options.pool}   (or start with --create-pool-if-not-found)`
      })
    }
    yield* say("info", "Init", {}, `Creating work pool "${options.pool}".`)
    return yield* prefect
      .createWorkPool({ name: options.pool, type: "cpln", baseJobTemplate: template })
      .pipe(
        // Somebody else was faster.
        Effect.catchTag("Conflict", () => prefect.readWorkPool(options.pool)),
        Effect.mapError(serverTrouble(prefect.url))
      )
  }
  const pool = found.value
  // Its deployments bring their own infrastructure: it has no template.
  if (isForAgents(pool)) return pool
  if (pool.type !== "cpln") {
    return yield* new CannotStart({
      reason: `Work pool "${pool.name}" has the type "${pool.type}"; this agent serves pools of type "cpln", and pools for agents ("prefect-agent").`,
      remedy: `Create one with: agent pool create NAME`
    })
  }
  if (Object.keys(pool.base_job_template).length > 0) return pool
  yield* say("info", "Init", {}, `Work pool "${pool.name}" has no template yet: writing the default one.`)
  return yield* prefect
    .updateWorkPool(pool.name, { baseJobTemplate: template })
    .pipe(Effect.andThen(prefect.readWorkPool(pool.name)), Effect.mapError(serverTrouble(prefect.url)))
})

/** The agent's own credential, against the orgs in which runs use it that name none themselves. */
const checkControlPlane = Effect.fnUntraced(function* (
  { environment, injected }: StartUp,
  { pool, server }: Checked
) {
  const { endpoint, org, token } = injected
  if (!/^https?:\/\/[^/\s]+$/u.test(endpoint)) {
    return yield* new CannotStart({
      reason: `CPLN_ENDPOINT from the environment is ${JSON.stringify(endpoint)}, which is no http or https address.`,
      remedy: "It should look like https://api.cpln.io, which is also what is used without it."
    })
  }
  const defaults = poolDefaults(pool.base_job_template, server.text, environment)
  if (token === undefined) {
    return yield* say(
      "info",
      "Init",
      {},
      defaults.hasCredential
        ? "CPLN_TOKEN is not set: jobs use the credential that the pool names."
        : "CPLN_TOKEN is not set: the pool or its deployments must bring a credential."
    )
  }
  if (org === undefined && defaults.org === undefined) {
    yield* say("info", "Init", {}, "CPLN_ORG is not set, and the pool names no org: its deployments must.")
  }
  const open = (name: string) =>
    Workloads.use((workloads) => workloads.readOrg).pipe(
      Effect.andThen(say("info", "Init", {}, `Control Plane org "${name}" at ${endpoint}.`)),
      Effect.catchIf(
        (error) => !isRefusal(error),
        (error) => say("warning", "Init", {}, `${error.message}; runs wait until it answers`)
      ),
      at(new Access({ endpoint, org: name, token }))
    )
  if (org !== undefined) {
    yield* open(org).pipe(Effect.mapError(refusedCredential(`org "${org}" at ${endpoint}`)))
  }
  // One that the pool brings itself may be mended without a restart, and shows with its runs.
  if (defaults.org === undefined || defaults.org === org || defaults.hasCredential) return
  const named = `org "${defaults.org}", which the template of work pool "${pool.name}" names`
  yield* open(defaults.org).pipe(
    Effect.catch((error) =>
      error._tag === "Unauthorised"
        ? Effect.fail(refusedCredential(`${named}, at ${endpoint}`)(error))
        : // The pool may be mended while the agent runs, and its deployments may name other orgs.
          say(
            "error",
            "Init",
            {},
            `CPLN_TOKEN does not open ${named}: ${error.message}. Runs that name no other cannot start. Correct the pool's org, or start with a token that may use it.`
          )
    )
  )
})

const isRefusal = ({ _tag }: ApiError): boolean =>
  ["Unauthorised", "Forbidden", "NotFound", "Refused"].includes(_tag)

const refusedCredential = (where: string) => (error: ApiError) =>
  new CannotStart({
    reason: `Control Plane refused the credential for ${where}: ${error.message}`,
    remedy: "Check CPLN_TOKEN, the org and CPLN_ENDPOINT; the token's principal needs access to the org."
  })
