/**
 * What a request needs to be allowed, read from its method, path and body alone. Pure.
 *
 * Invariant: every path of an org needs something, known to the emulator or not; only what belongs to no org needs nothing.
 */
import { at, type Json, textOf } from "../json.ts"
import { collectionPath, expandLink, gvcKinds, gvcPath, orgPath } from "../links.ts"
import type { Wanted } from "./policies.ts"

interface Asked {
  readonly method: string
  readonly path: string
  readonly body: Json | undefined
}

/** An object or a collection that a path names, and what follows it. */
interface Named {
  readonly org: string
  readonly gvc: string | undefined
  readonly kind: string
  readonly name: string | undefined
  readonly rest: ReadonlyArray<string>
}

const isRead = (method: string): boolean => method === "GET" || method === "HEAD"

const named = (org: string, parts: ReadonlyArray<string>): Named => {
  const [first, second, third] = parts
  if (first === "gvc" && second !== undefined && third !== undefined && gvcKinds.includes(third)) {
    return { ...named(org, parts.slice(2)), gvc: second }
  }
  const isObject = second !== undefined && !second.startsWith("-")
  return {
    org,
    gvc: undefined,
    kind: first ?? "org",
    name: isObject ? second : undefined,
    rest: parts.slice(isObject ? 2 : 1)
  }
}

/** What a sub-operation of an object needs: its first word and the method decide. */
const operation = ({ method, body }: Asked, { rest }: Named): string => {
  const [first, second] = rest
  if (first === "-reveal") return "reveal"
  if (first === "-addKey") return "addKey"
  if (first === "-command" && method === "POST" && second === undefined) {
    return `exec.${textOf(at(body, ["type"])) ?? ""}`
  }
  if (isRead(method) || rest.at(-1) === "-query") return "view"
  return first === "-command" ? "exec" : "edit"
}

const permissionOf = (asked: Asked, found: Named, exists: boolean): string => {
  if (found.rest.length > 0 && found.name !== undefined) return operation(asked, found)
  const { method } = asked
  if (isRead(method) || found.rest[0] === "-query" || found.rest[0] === "-schema") return "view"
  if (method === "DELETE") return "delete"
  if (method === "PATCH" || exists) return "edit"
  return "create"
}

/** A write that attaches an identity may do so only by whoever may use it. */
const identityOf = ({ method, body }: Asked, { org, gvc, kind }: Named): string | undefined => {
  if (kind !== "workload" || gvc === undefined || isRead(method)) return undefined
  const link = textOf(at(body, ["spec", "identityLink"]) ?? at(body, ["$replace/spec", "identityLink"]))
  return link === undefined || link === "" ? undefined : expandLink(link, { org, gvc })
}

const decoded = (path: string): ReadonlyArray<string> => {
  try {
    return path
      .split("/")
      .filter((part) => part !== "")
      .map((part) => decodeURIComponent(part))
  } catch {
    return []
  }
}

/** Everything that is needed at once; `identity` says which identity a workload has so far. */
export const requiredFor = (
  asked: Asked,
  exists: (path: string) => boolean,
  identity: (workload: string) => string | undefined
): ReadonlyArray<Wanted> => {
  const parts = decoded(asked.path)
  const start = parts[0] === "replicas" || parts[0] === "logs" ? 1 : 0
  const org = parts[start] === "org" ? parts[start + 1] : undefined
  if (org === undefined) return []
  if (parts[0] === "logs") return [{ org, kind: "org", permission: "readLogs", path: orgPath(org) }]
  const found = named(org, parts.slice(start + 2))
  if (found.kind === "org") {
    const permission = isRead(asked.method) ? "view" : "edit"
    return [{ org, kind: "org", permission, path: orgPath(org) }]
  }
  const collection = collectionPath(found, found.kind)
  const given = found.rest.length > 0 ? undefined : textOf(at(asked.body, ["name"]))
  const name = found.name ?? (isRead(asked.method) ? undefined : given)
  const path =
    name === undefined ? undefined : found.kind === "gvc" ? gvcPath(org, name) : `${collection}/${name}`
  const needed = {
    org,
    kind: found.kind,
    permission: permissionOf(asked, found, path !== undefined && exists(path)),
    path
  }
  const attached = found.rest.length > 0 ? undefined : identityOf(asked, found)
  return attached === undefined || (path !== undefined && identity(path) === attached)
    ? [needed]
    : [needed, { org, kind: "identity", permission: "use", path: attached }]
}
