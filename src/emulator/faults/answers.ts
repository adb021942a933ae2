/**
 * Faults of answers: what was read is less, or other, than what is there. Pure.
 *
 * Invariant: an answer that a fault cannot apply to is returned as the very same object, so that the fault does not count
 * as fired.
 */
import type { Answer } from "../answer.ts"
import { at, isObject, type Json, type JsonObject, listOf, objectOf } from "../json.ts"

/** As if there were no further page. */
export const withoutNext = (answer: Answer): Answer => {
  const links = listOf(at(answer.json, ["links"]))
  const left = links.filter((link) => at(link, ["rel"]) !== "next")
  return left.length === links.length
    ? answer
    : { ...answer, json: { ...objectOf(answer.json), links: left } }
}

/** Every object of a kind in an answer, alone or in a list, put through `change`. */
const eachOf = (answer: Answer, kind: string, change: (object: JsonObject) => JsonObject): Answer => {
  const { json } = answer
  if (!isObject(json)) return answer
  if (json["kind"] === kind) {
    const changed = change(json)
    return changed === json ? answer : { ...answer, json: changed }
  }
  if (json["itemKind"] !== kind) return answer
  const items = listOf(json["items"])
  const changed = items.map((item): Json => (isObject(item) ? change(item) : item))
  return changed.every((item, index) => item === items[index])
    ? answer
    : { ...answer, json: { ...json, items: changed } }
}

export const withStage = (answer: Answer, stage: string): Answer =>
  eachOf(answer, "command", (command) => ({ ...command, lifecycleStage: stage }))

const overStatuses: ReadonlyArray<Json | undefined> = ["successful", "failed", "removed"]

/** Deployments that remember `limit` finished executions at most, the newest ones. */
export const withHistory = (answer: Answer, limit: number): Answer =>
  eachOf(answer, "deployment", (deployment) => {
    const status = objectOf(deployment["status"])
    const executions = listOf(status["jobExecutions"])
    const over = executions.filter((each) => overStatuses.includes(at(each, ["status"])))
    const gone = new Set(over.slice(0, Math.max(0, over.length - limit)))
    return gone.size === 0
      ? deployment
      : { ...deployment, status: { ...status, jobExecutions: executions.filter((each) => !gone.has(each)) } }
  })
