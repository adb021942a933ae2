/** References to secrets in environment values, and the texts behind them. Pure but for the store that it reads. */
import { isObject, type Json, objectOf, textOf } from "../json.ts"
import { orgPath } from "../links.ts"
import { mayReveal } from "../access/access.ts"
import type { Resource, Store } from "../store.ts"

const reference = /^cpln:\/\/secret\/([a-z][a-z0-9-]*)(?:\.(.+))?$/u

const text = (value: Json | undefined): string | undefined =>
  value === undefined || value === null
    ? undefined
    : typeof value === "string"
      ? value
      : JSON.stringify(value)

/**
 * The value that a container gets; undefined when the secret or its key is missing, or the identity of the workload may not
 * reveal it; values that are no reference as they are.
 */
export const resolved = (value: string, workload: Resource, store: Store["Service"]): string | undefined => {
  if (!value.startsWith("cpln://secret/")) return value
  const found = reference.exec(value)
  if (found === null) return undefined
  const secret = store.get(`${orgPath(workload.org)}/secret/${found[1]}`)
  if (secret === undefined || !mayReveal(workload, secret.path, store)) return undefined
  const data = secret.body["data"]
  const key = found[2]
  if (secret.body["type"] === "opaque") {
    const { payload, encoding } = objectOf(data)
    const plain = textOf(payload) ?? ""
    if (key !== undefined && key !== "payload") return text(objectOf(data)[key])
    return encoding === "base64" ? Buffer.from(plain, "base64").toString() : plain
  }
  if (key === undefined) return text(data)
  return isObject(data) && Object.hasOwn(data, key) ? text(data[key]) : undefined
}

/** The references of an environment that lead nowhere, or where the workload may not go. */
export const missingSecrets = (
  values: Iterable<string>,
  workload: Resource,
  store: Store["Service"]
): ReadonlyArray<string> => [...values].filter((value) => resolved(value, workload, store) === undefined)
