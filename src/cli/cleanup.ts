/** `agent cleanup`: deletes workloads of a pool that are used no more, with their identities and policies. */
import { Console, Duration, Effect, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { type Cleaned, cleanUpOnce, type Outcome } from "../agent/cleanup-once.ts"
import { CannotStart, serverTrouble } from "../agent/start-up.ts"
import { Access } from "../cpln/control-plane.ts"
import { nameOfLink } from "../job/places.ts"
import { type PoolDefaults, poolDefaults } from "../job/pool-defaults.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { WorkPool } from "../prefect/schemas.ts"
import type { Injected } from "../runs/config.ts"
import { looksApart } from "../runs/workloads/idleness.ts"
import { clients, injectedFrom, readSettings } from "./environment.ts"
import { given, settingFlags } from "./flags.ts"
import { outputFlag } from "./job.ts"

/** Something could not be looked at or deleted: exit code 1, after what was done was printed. */
class CleanupIncomplete extends Schema.TaggedError<CleanupIncomplete>()("CleanupIncomplete", {
  count: Schema.Int
}) {
  override get message() {
    return `${this.count} could not be looked at or deleted. Run it again later.`
  }
}

const optional = (name: string, help: string) =>
  Flag.String(name).pipe(Flag.withDescription(help), Flag.optional)

const flags = {
  pool: optional("pool", "work pool whose workloads are looked at (required)").pipe(Flag.withAlias("p")),
  dryRun: Flag.Boolean("dry-run").pipe(
    Flag.withDefault(false),
    Flag.withDescription("only tell what would go, and why the others stay")
  ),
  org: optional("org", "Control Plane org (the pool's, or CPLN_ORG)"),
  gvc: optional("gvc", "its GVC (the pool's, or CPLN_GVC)"),
  cleanupTtl: settingFlags.cleanupTtl,
  identities: settingFlags.identities,
  output: outputFlag(["text", "json"], "text")
}

type Input = Command.Command.Config.Infer<typeof flags>

/** A name, and where it was found. */
interface Named {
  readonly name: string
  readonly from: string
}

const cornerOf = Effect.fnUntraced(function* (
  injected: Injected,
  input: Pick<Input, "org" | "gvc">,
  pool: WorkPool,
  defaults: PoolDefaults
) {
  const first = (key: "org" | "gvc"): Named | undefined => {
    const flag = nameOfLink(Option.getOrUndefined(input[key]))
    if (flag !== undefined) return { name: flag, from: `--${key}` }
    const own = defaults[key]
    if (own !== undefined) return { name: own, from: `the template of pool "${pool.name}"` }
    const variable = injected[key]
    return variable === undefined ? undefined : { name: variable, from: `CPLN_${key.toUpperCase()}` }
  }
  const org = first("org")
  const gvc = first("gvc")
  const { endpoint, token } = injected
  if (org === undefined || gvc === undefined || token === undefined) {
    return yield* new CannotStart({
      reason:
        token === undefined
          ? "There is no credential for Control Plane: CPLN_TOKEN is not set."
          : `Neither the pool "${pool.name}" nor the environment says which ${org === undefined ? "org" : "GVC"} to look at.`,
      remedy: "Set CPLN_TOKEN, and name the place with --org and --gvc (or CPLN_ORG and CPLN_GVC)."
    })
  }
  return { access: new Access({ endpoint, org: org.name, token }), org, gvc }
})

const order: ReadonlyArray<Outcome> = ["deleted", "would be deleted", "failed", "stays"]

const lineOf = ({ gvc, kind, name, outcome, why }: Cleaned): string =>
  `${outcome.padEnd(16)}  ${kind === "workload" ? "" : `${kind} of `}${gvc}/${name}: ${why}`

const summaryOf = (cleaned: ReadonlyArray<Cleaned>, place: string): string => {
  const counts = order.flatMap((outcome) => {
    const count = cleaned.filter((each) => each.outcome === outcome).length
    return count === 0 ? [] : [`${count} ${outcome === "stays" && count > 1 ? "stay" : outcome}`]
  })
  return counts.length === 0 ? `This pool has no workload in ${place}.` : `${counts.join(", ")}.`
}

const handler = Effect.fn("cli.cleanup")(function* (input: Input) {
  const { environment, prefectSettings, settings } = yield* readSettings(
    given({ cleanupTtl: input.cleanupTtl, identities: input.identities })
  )
  if (Option.isNone(input.pool)) {
    return yield* new CannotStart({ reason: "No work pool was named.", remedy: "See: agent cleanup --help" })
  }
  const name = input.pool.value
  const isText = input.output === "text"
  const { cleaned, place } = yield* Effect.gen(function* () {
    const prefect = yield* Prefect
    // Asked first, so that an address where no Prefect server answers is told as such.
    const version = yield* prefect.version.pipe(Effect.mapError(serverTrouble(prefect.url)))
    const pool = yield* prefect.readWorkPool(name).pipe(
      Effect.catchTag("NotFound", () =>
        Effect.fail(
          new CannotStart({
            reason: `Work pool "${name}" does not exist on ${prefect.url}; nothing was deleted.`,
            remedy:
              "Whose workloads are idle is only known with their pool: check its name and PREFECT_API_URL."
          })
        )
      ),
      Effect.mapError((error) => ("service" in error ? serverTrouble(prefect.url)(error) : error))
    )
    const corner = yield* cornerOf(
      injectedFrom(environment),
      input,
      pool,
      poolDefaults(pool.base_job_template, version.text, environment)
    )
    const { gvc, org } = corner
    const ttl = Duration.toMillis(Duration.hours(settings.cleanupTtl))
    const cleaned = yield* cleanUpOnce({
      rules: { pool: pool.name, poolId: pool.id, ttl, apart: looksApart(ttl) },
      corners: [{ access: corner.access, gvc: gvc.name }],
      identities: settings.identities,
      dryRun: input.dryRun,
      waiting: (count, time) =>
        isText
          ? Console.log(
              `${count} idle: looking at ${count === 1 ? "it" : "them"} again in ${Duration.format(time)}.`
            )
          : Effect.void
    }).pipe(
      Effect.mapError((error) =>
        error._tag === "NotFound"
          ? new CannotStart({
              reason: `There is no GVC "${gvc.name}" (${gvc.from}) in org "${org.name}" (${org.from}), or the token may not see it.`,
              remedy: "Nothing was deleted. Correct --gvc and --org, or what they stand for."
            })
          : new CannotStart({
              reason: `The list of what is there could not be read: ${error.message}`,
              remedy: "Nothing was deleted. Check CPLN_TOKEN, --org and --gvc, and run it again."
            })
      )
    )
    return { cleaned, place: `GVC "${gvc.name}" of org "${org.name}"` }
  }).pipe(Effect.provide(yield* clients(prefectSettings, environment, settings)))
  if (isText) {
    for (const outcome of order) {
      for (const each of cleaned) if (each.outcome === outcome) yield* Console.log(lineOf(each))
    }
    yield* Console.log(summaryOf(cleaned, place))
  } else {
    yield* Console.log(JSON.stringify({ pool: name, dryRun: input.dryRun, found: cleaned }, null, 2))
  }
  const failed = cleaned.filter(({ outcome }) => outcome === "failed").length
  return failed > 0 ? yield* new CleanupIncomplete({ count: failed }) : undefined
})

export const cleanup = Command.make("cleanup", flags, handler).pipe(
  Command.withDescription(
    "Delete the workloads of a pool in which nothing ran for a while, with the identities and policies that were made with them. Looks twice, two minutes apart. Exit code 1 when something could not be looked at or deleted."
  ),
  Command.withShortDescription("Delete workloads of a pool that are used no more"),
  Command.withExamples([
    { command: "agent cleanup --pool cpln --dry-run" },
    { command: "agent cleanup --pool cpln --cleanup-ttl 72 -o json" }
  ])
)
