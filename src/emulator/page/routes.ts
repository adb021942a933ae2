/**
 * The pages over HTTP. A browser is let in by the operator's token, once: `/?token=…`, or the form that asks for it.
 *
 * Invariant: without a session nothing of what the emulator holds is told, not even whether a page exists.
 */
import { Effect, Result } from "effect"
import type { Answer, Ask } from "../answer.ts"
import { Faults } from "../faults/faults.ts"
import type { ApiError } from "../errors.ts"
import { Listener } from "../listener.ts"
import { LogStore, type StoredLine } from "../logs/log-store.ts"
import { parseQuery } from "../logs/logql.ts"
import { gvcPath } from "../links.ts"
import { route } from "../router.ts"
import { type Resource, Store } from "../store.ts"
import { markup, type Html } from "./html.ts"
import { pageAnswer } from "./layout.ts"
import { PageSession } from "./session.ts"
import { commandView, mostLines, overview, runsOf, workloadView } from "./views.ts"

const prompt = (isWrong: boolean): Answer =>
  pageAnswer({
    title: "Control Plane emulator",
    status: 401,
    isStill: true,
    body: markup`<h1>Control Plane emulator</h1>
      <form action="/" method="get">
        <p>
          <label>Token that the emulator printed: <input name="token" type="password" autofocus /></label>
          <button>Open</button>
        </p>
        ${isWrong ? markup`<p class="bad">That is not it.</p>` : undefined}
      </form>`
  })

const notThere = pageAnswer({
  title: "Not found",
  status: 404,
  isStill: true,
  body: markup`<h1>There is no such thing</h1>
    <p><a href="/">← all workloads</a></p>`
})

export const pageRoutes = Effect.gen(function* () {
  const session = yield* PageSession
  const store = yield* Store
  const faults = yield* Faults
  const logs = yield* LogStore
  const { url } = yield* Listener

  const guarded =
    (page: (ask: Ask) => Answer) =>
    (ask: Ask): Effect.Effect<Answer, ApiError> =>
      Effect.sync(() => (session.isOpen(ask.cookie) ? page(ask) : prompt(false)))

  const entrance = (ask: Ask): Effect.Effect<Answer, ApiError> => {
    const token = ask.query.get("token")
    if (token === null)
      return guarded(() => shown("Control Plane emulator", overview(store, faults.list(), url)))(ask)
    const cookie = session.cookieFor(token.trim())
    return Effect.succeed(
      cookie === undefined
        ? prompt(true)
        : // The token does not stay in the address.
          {
            status: 303,
            text: "",
            headers: { location: "/", "set-cookie": cookie, "cache-control": "no-store" }
          }
    )
  }

  const shown = (title: string, body: Html) => pageAnswer({ title, body })

  const workloadOf = ({ params }: Ask): Resource | undefined =>
    store.get(`${gvcPath(params["org"]!, params["gvc"]!)}/workload/${params["workload"]}`)

  /** The newest lines with these labels, oldest first. */
  const linesOf = (org: string, labels: Readonly<Record<string, string>>): ReadonlyArray<StoredLine> => {
    const matchers = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    const query = parseQuery(`{${matchers.join(", ")}}`)
    return Result.isFailure(query)
      ? []
      : logs
          .range({
            org,
            query: query.success,
            start: 0n,
            end: undefined,
            limit: mostLines,
            direction: "backward"
          })
          .toReversed()
  }

  const workload = guarded((ask) => {
    const found = workloadOf(ask)
    if (found === undefined) return notThere
    const lines = linesOf(found.org, { gvc: found.gvc ?? "", workload: found.name })
    return shown(found.name, workloadView(found, store, lines))
  })

  const command = guarded((ask) => {
    const found = workloadOf(ask)
    const run =
      found === undefined ? undefined : runsOf(found, store).find(({ id }) => id === ask.params["id"])
    if (found === undefined || run === undefined) return notThere
    const { replica } = run.run
    const lines = replica === undefined ? [] : linesOf(found.org, { replica })
    return shown(`${found.name}: ${run.run.stage}`, commandView(found, run, lines))
  })

  const path = "/page/org/:org/gvc/:gvc/workload/:workload"
  return [
    route("/", { GET: entrance }),
    route(path, { GET: workload }),
    route(`${path}/command/:id`, { GET: command })
  ]
})
