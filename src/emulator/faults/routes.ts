/**
 * Faults over HTTP: asked for, listed with how often each happened, taken back. For the emulator's own token only.
 *
 * Invariant: a fault that was refused changes nothing; of several in one request all are taken or none.
 */
import { Effect, Result } from "effect"
import { type Ask, ok } from "../answer.ts"
import { badRequest, forbidden, notFound } from "../errors.ts"
import { type Json, listOf } from "../json.ts"
import { route } from "../router.ts"
import { Faults, faultView } from "./faults.ts"
import { readRule, type Rule } from "./rule.ts"

/** More than anybody asks for; each is looked at with every request. */
const mostFaults = 200

export const faultRoutes = Effect.gen(function* () {
  const faults = yield* Faults

  const owners = ({ principal }: Ask) =>
    principal._tag === "Owner"
      ? Effect.void
      : Effect.fail(forbidden("only the emulator's own token may do this"))

  const rulesOf = (body: Json | undefined): Result.Result<ReadonlyArray<Rule>, string> => {
    const rules: Array<Rule> = []
    const problems: Array<string> = []
    const isMany = Array.isArray(body)
    for (const [index, each] of (isMany ? listOf(body) : [body]).entries()) {
      const rule = readRule(each)
      if (Result.isSuccess(rule)) rules.push(rule.success)
      else problems.push(...rule.failure.map((problem) => (isMany ? `[${index}] ${problem}` : problem)))
    }
    return problems.length > 0 ? Result.fail(problems.join("; ")) : Result.succeed(rules)
  }

  const add = Effect.fnUntraced(function* (ask: Ask) {
    yield* owners(ask)
    const rules = rulesOf(ask.body)
    if (Result.isFailure(rules)) return yield* badRequest(rules.failure)
    if (faults.list().length + rules.success.length > mostFaults) {
      return yield* badRequest(`there may be at most ${mostFaults} faults`)
    }
    const items = rules.success.map((rule) => faultView(faults.add(rule)))
    return {
      status: 201,
      json: Array.isArray(ask.body) ? { kind: "list", itemKind: "fault", items } : items[0]!
    }
  })

  const list = Effect.fnUntraced(function* (ask: Ask) {
    yield* owners(ask)
    return ok({ kind: "list", itemKind: "fault", items: faults.list().map(faultView), links: [] })
  })

  const clear = Effect.fnUntraced(function* (ask: Ask) {
    yield* owners(ask)
    faults.clear()
    return { status: 200, json: {} }
  })

  const found = (ask: Ask) => faults.list().find(({ id }) => id === ask.params["id"])

  const read = Effect.fnUntraced(function* (ask: Ask) {
    yield* owners(ask)
    const fault = found(ask)
    return fault === undefined ? yield* notFound("no such fault") : ok(faultView(fault))
  })

  const remove = Effect.fnUntraced(function* (ask: Ask) {
    yield* owners(ask)
    return faults.remove(ask.params["id"]!) ? { status: 200, json: {} } : yield* notFound("no such fault")
  })

  return [
    route("/emulator/faults", { GET: list, POST: add, DELETE: clear }),
    route("/emulator/faults/:id", { GET: read, DELETE: remove })
  ]
})
