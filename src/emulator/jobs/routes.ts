/** Commands over HTTP: start, stop, read, list, query. */
import { Effect, Result } from "effect"
import { type Ask, created, ok } from "../answer.ts"
import { notFound } from "../errors.ts"
import { admits, type Query } from "../query.ts"
import { listed, queried } from "../resources/pages.ts"
import { route } from "../router.ts"
import { Settings } from "../settings.ts"
import { type Resource, Store } from "../store.ts"
import { workloadOf } from "../workload/routes.ts"
import { commandPath, commandReader, commandView } from "./command-view.ts"
import { Jobs } from "./jobs.ts"
import { finalStages } from "./run-state.ts"

/** Most queries are for what is not over, and most commands are: those are not even looked at then. */
const isForLive = (query: Query): boolean =>
  finalStages.every((stage) => !admits(query, "lifecycleStage", stage))

export const commandRoutes = Effect.gen(function* () {
  const store = yield* Store
  const jobs = yield* Jobs
  const { pageSize } = yield* Settings

  const workload = (ask: Ask) => Effect.fromResult(workloadOf(ask, store))

  const collection = ({ path }: Resource) => ({
    itemKind: "command",
    path: `${path}/-command`,
    all: (query: Query) => (isForLive(query) ? store.liveCommands(path) : store.commands(path)).values(),
    read: commandReader,
    view: commandView,
    link: commandPath
  })

  const submit = Effect.fnUntraced(function* (ask: Ask) {
    const command = yield* jobs.submit(yield* workload(ask), ask.body)
    return created(commandPath(command))
  })

  const read = (ask: Ask) =>
    Effect.fromResult(
      Result.flatMap(workloadOf(ask, store), ({ path }) => {
        const command = store.command(path, ask.params["id"]!)
        return command === undefined
          ? Result.fail(notFound(`${ask.path.slice(0, 200)} does not exist`))
          : Result.succeed(ok(commandView(command)))
      })
    )

  const path = "/org/:org/gvc/:gvc/workload/:workload/-command"
  return [
    route(path, {
      GET: (ask) => Effect.flatMap(workload(ask), (found) => listed(ask, pageSize, collection(found))),
      POST: submit
    }),
    route(`${path}/-query`, {
      POST: (ask) => Effect.flatMap(workload(ask), (found) => queried(ask, pageSize, collection(found)))
    }),
    route(`${path}/:id`, { GET: read })
  ]
})
