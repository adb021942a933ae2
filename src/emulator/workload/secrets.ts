/** References to secrets in environment values, and the texts behind them. Pure but for the store that it reads. */
import { isObject, type Json, objectOf, textOf } from "../json.ts"
import { orgPath } from "../links.ts"
import type { Store } from "../store.ts"

const reference = /^cpln:\/\/secret\/([a-z][a-z0-9-]*)(?:\.(.+))?$/u

const text = (value: Json | undefined): string | undefined =>
  value === undefined || value === null
    ? undefined
    : typeof value === "string"
      ? value
      : JSON.stringify(value)

/** The value that a container gets; undefined when the secret or its key is missing; values that are no reference as they are. */
export const resolved = (value: string, org: string, store: Store["Service"]): string | undefined => {
  if (!value.startsWith("cpln://secret/")) return value
  const found = reference.exec(value)
  if (found === null) return undefined
  const secret = store.get(`${orgPath(org)}/secret/${found[1]}`)
  if (secret === undefined) return undefined
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

/** The references of an environment that lead nowhere. */
export const missingSecrets = (
  values: Iterable<string>,
  org: string,
  store: Store["Service"]
): ReadonlyArray<string> => [...values].filter((value) => resolved(value, org, store) === undefined)
