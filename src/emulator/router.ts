/**
 * Which handler a path belongs to.
 *
 * Invariant: where a fixed part and a named one would both fit, the pattern that stands first in the table wins; a path that
 * is known under another method is a 405, never a 404.
 */
import { Result } from "effect"
import type { Handler } from "./answer.ts"
import { type ApiError, badRequest, methodNotAllowed, notFound } from "./errors.ts"

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE"

/** `/org/:org/gvc/:gvc` and what each method does there. */
export interface Route {
  readonly pattern: string
  readonly methods: Readonly<Partial<Record<Method, Handler>>>
}

export const route = (pattern: string, methods: Route["methods"]): Route => ({ pattern, methods })

export interface Found {
  readonly handler: Handler
  readonly params: Readonly<Record<string, string>>
}

interface Compiled {
  readonly parts: ReadonlyArray<string>
  readonly methods: Route["methods"]
}

/** Takes the undecoded path, without its query. */
export type Router = (method: string, path: string) => Result.Result<Found, ApiError>

const decoded = (path: string): ReadonlyArray<string> | undefined => {
  const parts = path.split("/").slice(1)
  // Clients may ask for a collection with a slash at its end.
  if (parts.length > 1 && parts.at(-1) === "") parts.pop()
  if (!path.includes("%")) return parts
  try {
    return parts.map((part) => decodeURIComponent(part))
  } catch {
    return undefined
  }
}

const paramsOf = (
  { parts }: Compiled,
  asked: ReadonlyArray<string>
): Readonly<Record<string, string>> | undefined => {
  const params: Record<string, string> = {}
  for (const [index, part] of parts.entries()) {
    const here = asked[index]!
    if (part.startsWith(":")) {
      // Names begin with a letter, sub-operations with a dash: neither is ever taken for the other.
      if (here === "" || here.startsWith("-")) return undefined
      params[part.slice(1)] = here
    } else if (part !== here) return undefined
  }
  return params
}

export const makeRouter = (routes: ReadonlyArray<Route>): Router => {
  const byLength = new Map<number, Array<Compiled>>()
  for (const { pattern, methods } of routes) {
    const parts = pattern.split("/").slice(1)
    byLength.set(parts.length, [...(byLength.get(parts.length) ?? []), { parts, methods }])
  }
  return (method, path) => {
    const asked = decoded(path)
    if (asked === undefined) return Result.fail(badRequest("the path is not well encoded"))
    const allowed = new Set<string>()
    for (const compiled of byLength.get(asked.length) ?? []) {
      const params = paramsOf(compiled, asked)
      if (params === undefined) continue
      const handler = compiled.methods[(method === "HEAD" ? "GET" : method) as Method]
      if (handler !== undefined) return Result.succeed({ handler, params })
      Object.keys(compiled.methods).forEach((each) => allowed.add(each))
    }
    return Result.fail(
      allowed.size === 0
        ? notFound(`${path.slice(0, 200)} does not exist`)
        : methodNotAllowed([...allowed])(`${method} is not possible here, only ${[...allowed].join(", ")}`)
    )
  }
}
