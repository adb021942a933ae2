/**
 * Asks a running agent for the flight of one run, at its status server.
 *
 * Invariant: no proxy of the environment gets the question, or the token in it; and an agent that is not there is an
 * answer, not an error.
 */
import { request as plain } from "node:http"
import { request as secured } from "node:https"
import { Effect, Result, Schema } from "effect"
import { type FlightRecord, readFlightRecord } from "../runs/flight/record.ts"

/** The agent is there and does not tell. */
export class AgentRefused extends Schema.TaggedError<AgentRefused>()("AgentRefused", {
  url: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `The agent at ${this.url} does not tell (${this.detail}).\n  If it was started with a token, give the same here: PREFECT_AGENT_LISTEN_TOKEN.`
  }
}

export type Asked =
  | { readonly _tag: "Record"; readonly record: FlightRecord }
  /** An agent is there that never looked at the run, or too long ago. */
  | { readonly _tag: "Unknown" }
  /** Nobody is there, or something else; `why` reads inside a sentence. */
  | { readonly _tag: "Nobody"; readonly why: string }

const patience = 3_000
const mostBytes = 8 * 1024 * 1024

interface Answer {
  readonly status: number
  readonly text: string
}

const get = (url: URL, token: string | undefined) =>
  Effect.callback<Answer, string>((resume) => {
    const send = url.protocol === "https:" ? secured : plain
    const asked = send(
      url,
      { timeout: patience, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } },
      (answer) => {
        const chunks: Array<Buffer> = []
        let size = 0
        answer.on("data", (chunk: Buffer) => {
          size += chunk.length
          if (size > mostBytes) asked.destroy(new Error("its answer is too long"))
          else chunks.push(chunk)
        })
        answer.on("end", () =>
          resume(Effect.succeed({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString() }))
        )
      }
    )
    asked.on("timeout", () => asked.destroy(new Error("no answer in time")))
    asked.on("error", (error: NodeJS.ErrnoException) => resume(Effect.fail(error.code ?? error.message)))
    asked.end()
    return Effect.sync(() => asked.destroy())
  })

export const askAgent = Effect.fn("explain.askAgent")(function* (
  base: string,
  token: string | undefined,
  runId: string
): Effect.fn.Return<Asked, AgentRefused> {
  const url = new URL(`${base.replace(/\/+$/u, "")}/flow_runs/${runId}/flight`)
  const answer = yield* Effect.result(get(url, token))
  if (Result.isFailure(answer))
    return { _tag: "Nobody", why: `no agent answers at ${base} (${answer.failure})` }
  const { status, text } = answer.success
  if (status === 401 || status === 403) {
    return yield* new AgentRefused({ url: base, detail: detailOf(text) ?? String(status) })
  }
  if (status === 404 && detailOf(text) !== undefined) return { _tag: "Unknown" }
  const read = readFlightRecord(text, `the answer of ${base}`)
  return status === 200 && Result.isSuccess(read)
    ? { _tag: "Record", record: read.success }
    : {
        _tag: "Nobody",
        why:
          Result.isFailure(read) && status === 200
            ? read.failure.message.replace(/\.$/u, "")
            : `what answers at ${base} is no agent (status ${status})`
      }
})

const Detail = Schema.fromJsonString(Schema.Struct({ detail: Schema.String }))

const detailOf = (text: string): string | undefined => {
  const read = Schema.decodeUnknownResult(Detail)(text)
  return Result.isSuccess(read) ? read.success.detail : undefined
}
