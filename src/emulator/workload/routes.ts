/** What can be read of a workload besides itself: deployments, replicas, events. */
import { Effect, Result } from "effect"
import { type Answer, type Ask, ok } from "../answer.ts"
import { type ApiError, notFound } from "../errors.ts"
import { collectionPath } from "../links.ts"
import { Listener } from "../listener.ts"
import { listAnswer } from "../resources/view.ts"
import { route } from "../router.ts"
import { isService } from "../services/scale.ts"
import { type Resource, Store } from "../store.ts"
import { deploymentViews } from "./deployment.ts"
import { locationStates, readyReplicas } from "./readiness.ts"
import { typeOf } from "./rules.ts"

/** The workload that a path names, or a 404. */
export const workloadOf = ({ params }: Ask, store: Store["Service"]): Result.Result<Resource, ApiError> => {
  const place = { org: params["org"]!, gvc: params["gvc"] }
  const path = `${collectionPath(place, "workload")}/${params["workload"]}`
  const found = store.get(path)
  return found === undefined ? Result.fail(notFound(`${path} does not exist`)) : Result.succeed(found)
}

/** Replicas of a workload that is no job; where they are no processes, they have names all the same. */
const servedNames = (workload: Resource, store: Store["Service"]): ReadonlyArray<string> => {
  if (!isService(workload)) return []
  const replicas = store.replicas(workload.path)
  if (replicas !== undefined) return replicas.map(({ name }) => name)
  const generation = workload.id.slice(0, 8)
  return locationStates(workload, store).flatMap((state) =>
    Array.from({ length: readyReplicas(state) }, (_, index) =>
      typeOf(workload.body) === "stateful"
        ? `${workload.name}-${index}`
        : `${workload.name}-${generation}-${state.location}-${index}`
    )
  )
}

export const workloadRoutes = Effect.gen(function* () {
  const store = yield* Store
  const { url } = yield* Listener

  const about = (ask: Ask, answer: (workload: Resource) => Answer) =>
    Effect.fromResult(Result.map(workloadOf(ask, store), answer))

  const deployments = (ask: Ask) =>
    about(ask, (workload) =>
      listAnswer({
        itemKind: "deployment",
        path: `${workload.path}/deployment`,
        items: deploymentViews(workload, store, url),
        next: undefined
      })
    )

  const deployment = (ask: Ask) =>
    Effect.fromResult(
      Result.flatMap(workloadOf(ask, store), (workload) => {
        const { location } = ask.params
        const found = deploymentViews(workload, store, url).find(({ name }) => name === location)
        return found === undefined
          ? Result.fail(notFound(`${workload.path}/deployment/${location} does not exist`))
          : Result.succeed(ok(found))
      })
    )

  const replicas = (ask: Ask) =>
    about(ask, (workload) => {
      const live = [...store.liveRuns(workload.path).values()].flatMap(({ run }) => run.replica ?? [])
      return ok({ items: [...live, ...servedNames(workload, store)], links: [] })
    })

  const events = (ask: Ask) =>
    about(ask, (workload) =>
      listAnswer({ itemKind: "event", path: `${workload.path}/-eventlog`, items: [], next: undefined })
    )

  const path = "/org/:org/gvc/:gvc/workload/:workload"
  return [
    route(`${path}/deployment`, { GET: deployments }),
    route(`${path}/deployment/:location`, { GET: deployment }),
    route(`${path}/-eventlog`, { GET: events }),
    route(`/replicas${path}`, { GET: replicas })
  ]
})
