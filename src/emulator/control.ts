/**
 * Routes under `/emulator`, which the service does not have: for tests and for whoever plays the programs of virtual jobs.
 *
 * Invariant: nothing that a client of the service does depends on them.
 */
import { Effect } from "effect"
import { type Ask, ok } from "./answer.ts"
import { badRequest, conflict, forbidden, notFound } from "./errors.ts"
import { commandPath } from "./jobs/command-view.ts"
import { VirtualJobs } from "./jobs/virtual.ts"
import { type Json, numberOf, objectOf, textOf } from "./json.ts"
import { route } from "./router.ts"
import { Settings } from "./settings.ts"
import { type Command, runType, Store } from "./store.ts"

/** What a player of jobs needs; the whole command is at `link`. */
const jobView = (command: Command): Json => ({
  id: command.id,
  link: commandPath(command),
  tags: command.tags,
  replica: command.run.replica ?? null,
  lifecycleStage: command.run.stage
})

const isExitCode = (value: number | undefined): value is number =>
  value !== undefined && Number.isInteger(value) && value >= 0 && value <= 255

export const controlRoutes = Effect.gen(function* () {
  const store = yield* Store
  const virtual = yield* VirtualJobs
  const { mode } = yield* Settings

  const owners = (ask: Ask) =>
    ask.principal._tag === "Owner"
      ? Effect.void
      : Effect.fail(forbidden("only the emulator's own token may do this"))

  /** `?running` leaves out what has no pod yet; `?tag=NAME` asks for a tag. */
  const list = Effect.fnUntraced(function* (ask: Ask) {
    yield* owners(ask)
    const tag = ask.query.get("tag")
    const onlyRunning = ask.query.has("running")
    const items: Array<Json> = []
    for (const command of store.allLive()) {
      if (command.type !== runType || (onlyRunning && command.run.startTime === undefined)) continue
      if (tag === null || Object.hasOwn(command.tags, tag)) items.push(jobView(command))
    }
    return ok({ kind: "list", itemKind: "job", items, links: [{ rel: "self", href: "/emulator/jobs" }] })
  })

  const endOne = Effect.fnUntraced(function* (id: string, given: Json | undefined) {
    const { exitCode, container } = objectOf(given)
    const code = exitCode === undefined ? 0 : numberOf(exitCode)
    if (!isExitCode(code)) return yield* badRequest(`"exitCode" must be an integer between 0 and 255`)
    if (mode !== "virtual") return yield* conflict("jobs are processes here; they end by themselves")
    const replica = store.live(id)?.run.replica
    const isEnded = replica !== undefined && (yield* virtual.end(replica, code, textOf(container)))
    return isEnded ? code : yield* notFound(`no such job lives: ${id.slice(0, 80)}`)
  })

  const end = Effect.fnUntraced(function* (ask: Ask) {
    yield* owners(ask)
    const id = ask.params["id"]!
    return ok({ id, exitCode: yield* endOne(id, ask.body) })
  })

  return [route("/emulator/jobs", { GET: list }), route("/emulator/jobs/:id/end", { POST: end })]
})
