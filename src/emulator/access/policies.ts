/**
 * Policies, evaluated: who may do what to which object.
 *
 * Invariant: what no policy grants is not allowed; an identity is bound by its own link alone, since it is never in a group.
 */
import { listOf, objectOf } from "../json.ts"
import { orgPath } from "../links.ts"
import { pageOf, queryOf } from "../query.ts"
import { resourceReader } from "../resources/reader.ts"
import type { Resource, Store } from "../store.ts"
import { implies } from "./permissions.ts"
import { Result } from "effect"

export interface Wanted {
  readonly org: string
  readonly kind: string
  readonly permission: string
  /** Of the object, which need not be there yet; undefined asks whether there is any such object at all. */
  readonly path: string | undefined
}

type Reads = Pick<Store["Service"], "get" | "list">

/** A service account with the groups that it is in. */
export const withGroups = (link: string, org: string, store: Reads): ReadonlyArray<string> => [
  link,
  ...store
    .list(`${orgPath(org)}/group`)
    .filter(({ body }) => listOf(body["memberLinks"]).includes(link))
    .map(({ path }) => path)
]

const isTarget = (policy: Resource, path: string | undefined, store: Reads): boolean => {
  const { target, targetLinks, targetQuery } = policy.body
  if (path === undefined || target === "all") return true
  if (listOf(targetLinks).includes(path)) return true
  if (targetQuery === undefined) return false
  const query = queryOf(targetQuery)
  const resource = store.get(path)
  return (
    Result.isSuccess(query) &&
    resource !== undefined &&
    pageOf([resource], resourceReader, query.success, 1).items.length > 0
  )
}

const binds = (policy: Resource, principals: ReadonlyArray<string>, { kind, permission }: Wanted): boolean =>
  listOf(policy.body["bindings"])
    .map(objectOf)
    .some(
      ({ permissions, principalLinks }) =>
        listOf(permissions).some((given) => implies(kind, String(given), permission)) &&
        listOf(principalLinks).some((link) => principals.includes(String(link)))
    )

/** Whether any of the principals, which are links, may do it. */
export const isGranted = (principals: ReadonlyArray<string>, wanted: Wanted, store: Reads): boolean =>
  principals.length > 0 &&
  store
    .list(`${orgPath(wanted.org)}/policy`)
    .some(
      (policy) =>
        policy.body["targetKind"] === wanted.kind &&
        binds(policy, principals, wanted) &&
        isTarget(policy, wanted.path, store)
    )
