/** What the engine asks of Prefect and of the emulator, each in its own words. */
import { Effect, Schedule, Semaphore } from "effect"
import { type BadAnswer, json } from "../../scripts/local/http.ts"

/** A virtual job that runs a flow. */
export interface Job {
  readonly id: string
  readonly run: string
}

/** What the flow's parameters ask of the engine. */
export interface Parameters {
  /** How long the flow takes. */
  readonly seconds?: unknown
  /** `silent` ends its job without a word to the server. */
  readonly ends?: "COMPLETED" | "FAILED" | "silent"
  /** Of the job; 0 unless given. */
  readonly exit?: unknown
  /** Nobody in the job hears of a cancel. */
  readonly deaf?: boolean
}

export interface Run {
  readonly id: string
  readonly state_type: string
  readonly state_name: string
  readonly parameters?: Parameters | null
}

export interface Verdict {
  readonly status: "ACCEPT" | "WAIT" | "REJECT" | "ABORT"
  readonly state: { readonly type: string; readonly name: string } | null
  readonly details?: { readonly delay_seconds?: number; readonly reason?: string }
}

export const runTag = "prefect.io/flow-run-id"
/** Only an agent's jobs have one; there may be others for the same run. */
const attemptTag = "prefect.io/attempt"

/** In every state that is proposed here. */
export const reported = "Reported by the engine"

/** As Prefect's own client does it: again after trouble that may pass, for about half a minute. */
const again = Schedule.max([Schedule.exponential("200 millis", 1.6), Schedule.recurs(9)])
const mayPass = ({ status }: BadAnswer) => status === 0 || status === 429 || status >= 500

export const emulatorJobs = (url: string, token: string) => {
  const headers = { authorization: `Bearer ${token}` }
  const call = <A>(method: string, path: string, body?: unknown) =>
    json<A>(method, `${url}${path}`, body, headers).pipe(Effect.retry({ schedule: again, while: mayPass }))
  return {
    /** All flow runs' jobs that have started and are not over. */
    running: call<{
      readonly items: ReadonlyArray<{ readonly id: string; readonly tags: Record<string, string> }>
    }>("GET", `/emulator/jobs?running&tag=${encodeURIComponent(runTag)}`).pipe(
      Effect.map(({ items }) =>
        items
          .filter(({ tags }) => tags[attemptTag] !== undefined)
          .map(({ id, tags }): Job => ({ id, run: tags[runTag] ?? "" }))
      )
    ),
    /** Nothing happens to a job that is over already. */
    end: (id: string, exitCode: number) =>
      json<unknown>("POST", `${url}/emulator/jobs/${id}/end`, { exitCode }, headers).pipe(
        Effect.retry({ schedule: again, while: mayPass }),
        Effect.catchIf(
          ({ status }) => status === 404,
          () => Effect.void
        ),
        Effect.asVoid
      )
  }
}

/** Prefect's server takes a few requests at a time well and many badly. */
const mostRequests = 8

export const prefectRuns = (api: string) => {
  const lane = Semaphore.makeUnsafe(mostRequests)
  const post = <A>(path: string, body: unknown) =>
    lane
      .withPermit(json<A>("POST", `${api}${path}`, body))
      .pipe(Effect.retry({ schedule: again, while: mayPass }))
  return {
    /** Those that exist, at most 200 at once. */
    read: (ids: ReadonlyArray<string>) =>
      post<ReadonlyArray<Run>>("/flow_runs/filter", { flow_runs: { id: { any_: ids } }, limit: 200 }),
    cancelling: post<ReadonlyArray<Run>>("/flow_runs/filter", {
      flow_runs: { state: { name: { any_: ["Cancelling"] } } },
      limit: 200
    }),
    propose: (id: string, type: string, name: string) =>
      post<Verdict>(`/flow_runs/${id}/set_state`, {
        state: { type, name, message: reported },
        force: false
      })
  }
}

export type EmulatorJobs = ReturnType<typeof emulatorJobs>
export type PrefectRuns = ReturnType<typeof prefectRuns>
