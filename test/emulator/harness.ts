/**
 * An emulator in this process on a free port, and plain HTTP requests to it.
 *
 * Invariant: what a test knows of it came over HTTP.
 */
import { NodeCrypto } from "@effect/platform-node-shared"
import { Context, Effect, Layer, Redacted, Schedule } from "effect"
import { layer } from "../../src/emulator/emulator.ts"
import { Listener } from "../../src/emulator/listener.ts"
import { defaults, type EmulatorSettings } from "../../src/emulator/settings.ts"

export const token = "token-of-the-tests"
export const org = "/org/acme"
export const gvc = `${org}/gvc/dev`
export const location = "aws-us-west-2"

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly json: any
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const client = (url: string, authorization: string | null = `Bearer ${token}`) => {
  const call = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    Effect.promise(async (): Promise<Answer> => {
      const answer = await fetch(`${url}${path}`, {
        method,
        headers: { ...(authorization === null ? {} : { authorization }), ...headers },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) })
      })
      const text = await answer.text()
      return { status: answer.status, headers: answer.headers, text, json: parsed(text) }
    })
  const get = (path: string) => call("GET", path)
  const post = (path: string, body: unknown) => call("POST", path, body)
  return {
    url,
    call,
    get,
    post,
    put: (path: string, body: unknown) => call("PUT", path, body),
    patch: (path: string, body: unknown) => call("PATCH", path, body),
    remove: (path: string) => call("DELETE", path),
    /** Follows the `next` links of a first answer. */
    pages: Effect.fnUntraced(function* (first: Answer) {
      const pages = [first]
      for (;;) {
        const next = pages.at(-1)?.json.links.find(({ rel }: { rel: string }) => rel === "next")
        if (next === undefined) return pages
        pages.push(yield* get(next.href))
      }
    }),
    /** Starts a run and returns the path of its command. */
    start: (workload: string, spec: Record<string, unknown> = {}, tags: Record<string, unknown> = {}) =>
      Effect.map(
        post(`${gvc}/workload/${workload}/-command`, {
          type: "runCronWorkload",
          tags,
          spec: { location, ...spec }
        }),
        ({ status, headers, text }) => {
          if (status !== 201) throw new Error(`${status} ${text}`)
          return headers.get("location") ?? ""
        }
      ),
    /** Reads until the answer is as wanted; the last one after five seconds. */
    until: (path: string, done: (answer: Answer) => boolean) =>
      get(path).pipe(
        Effect.repeat({ until: done, schedule: Schedule.spaced("10 millis") }),
        Effect.timeoutOrElse({ duration: "5 seconds", orElse: () => get(path) })
      )
  }
}

export type Client = ReturnType<typeof client>

/** Short times, jobs without processes. */
const usual: EmulatorSettings = {
  ...defaults,
  token: Redacted.make(token),
  orgs: ["acme", "empty"],
  mode: "virtual",
  startDelay: 20,
  preStop: 20,
  grace: 200
}

/** Until the end of the scope. */
export const emulator = (given: Partial<EmulatorSettings> = {}) =>
  Layer.build(layer({ ...usual, ...given }).pipe(Layer.provide(NodeCrypto.layer))).pipe(
    Effect.map((context) => client(Context.get(context, Listener).url))
  )

export const cron = (name: string, change: Record<string, unknown> = {}) => ({
  kind: "workload",
  name,
  spec: {
    type: "cron",
    containers: [{ name: "main", image: "ubuntu:latest" }],
    job: { schedule: "* * * * *" },
    defaultOptions: { suspend: true, capacityAI: false },
    ...change
  }
})

/** One with the GVC `dev` and the cron workload `runner` in it. */
export const withRunner = Effect.fnUntraced(function* (
  given: Partial<EmulatorSettings> = {},
  change: Record<string, unknown> = {}
) {
  const cpln = yield* emulator(given)
  yield* cpln.post(`${org}/gvc`, {
    name: "dev",
    spec: { staticPlacement: { locationLinks: [`//location/${location}`] } }
  })
  const made = yield* cpln.post(`${gvc}/workload`, cron("runner", change))
  if (made.status !== 201) throw new Error(made.text)
  return cpln
})

export const runner = `${gvc}/workload/runner`

/** Gives `runner` an identity that may reveal every secret. */
export const letReveal = Effect.fnUntraced(function* (cpln: Client) {
  const identity = `${gvc}/identity/runner`
  yield* cpln.post(`${gvc}/identity`, { name: "runner" })
  yield* cpln.post(`${org}/policy`, {
    name: "runner-reveal",
    targetKind: "secret",
    target: "all",
    bindings: [{ permissions: ["reveal"], principalLinks: [identity] }]
  })
  const given = yield* cpln.patch(runner, { spec: { identityLink: identity } })
  if (given.status !== 200) throw new Error(given.text)
})
export const idOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1)
