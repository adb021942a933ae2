/**
 * Requests of the Prefect API, before the base URL and the credential are added.
 *
 * Invariant: names in paths are percent-encoded and bodies are clean, so that no name can reach another route and no text
 * can make the server fail for ever. Trailing slashes stand as the server wants them: without them it answers 307.
 */
import { Effect } from "effect"
import { HttpClientRequest, type HttpClientResponse } from "effect/http"
import { clean, cleanText } from "./clean.ts"

/** A segment "." or ".." would leave its place, encoded or not; nothing has such a name, nor the one that stands for it. */
const segment = (name: string): string => (name === "." || name === ".." ? "\ufffd" : cleanText(name))

/** `path`/work_pools/${name}/queues`` with every value percent-encoded. */
export const path = (parts: TemplateStringsArray, ...names: ReadonlyArray<string>): string =>
  String.raw({ raw: parts }, ...names.map((name) => encodeURIComponent(segment(name))))

export const get = (url: string): HttpClientRequest.HttpClientRequest => HttpClientRequest.get(url)

export const remove = (url: string): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.make("DELETE")(url)

export const post = (url: string, body: unknown): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post(url), clean(body))

export const patch = (url: string, body: unknown): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.patch(url), clean(body))

/** For an answer that says nothing but "done". It is read to its end all the same, so that its connection is free again. */
export const done = <E, R>(
  sent: Effect.Effect<HttpClientResponse.HttpClientResponse, E, R>
): Effect.Effect<void, E, R> => Effect.flatMap(sent, (response) => Effect.ignore(response.arrayBuffer))
