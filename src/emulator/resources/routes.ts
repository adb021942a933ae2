/**
 * The routes that all kinds share: list, query, create, replace, change, delete.
 *
 * Invariant: a write is checked and done in one synchronous step, so that of two writers of one version one gets a 409.
 */
import { Clock, Effect, Result } from "effect"
import { accepted, type Answer, type Ask, created, ok } from "../answer.ts"
import { Access } from "../access/access.ts"
import { Auth } from "../auth.ts"
import { type ApiError, badRequest, conflict, methodNotAllowed, notFound } from "../errors.ts"
import { uuid } from "../ids.ts"
import { isObject, type JsonObject, listOf, objectOf, textOf } from "../json.ts"
import { collectionPath, gvcPath, orgPath, type Place } from "../links.ts"
import { route } from "../router.ts"
import { Jobs } from "../jobs/jobs.ts"
import { Settings } from "../settings.ts"
import { type Resource, Store } from "../store.ts"
import { patching, replacing } from "./draft.ts"
import type { Draft, Kind } from "./kind.ts"
import { kindOf } from "./kinds.ts"
import { listed, queried } from "./pages.ts"
import { resourceView } from "./view.ts"
import { iso, resourceReader } from "./reader.ts"

export const resourceRoutes = Effect.gen(function* () {
  const store = yield* Store
  const { pageSize } = yield* Settings
  const jobs = yield* Jobs
  const auth = yield* Auth
  const access = yield* Access

  const placeOf = ({ params }: Ask): Place => ({ org: params["org"]!, gvc: params["gvc"] })

  /** The kind, when the place exists and holds such objects. */
  const kindAt = (ask: Ask): Result.Result<Kind, ApiError> => {
    const { org, gvc } = placeOf(ask)
    const kind = kindOf(ask.params["kind"] ?? "gvc")
    if (!store.orgs.includes(org!)) return Result.fail(notFound(`org ${org} does not exist`))
    if (gvc !== undefined && store.get(gvcPath(org, gvc)) === undefined) {
      return Result.fail(notFound(`${gvcPath(org, gvc)} does not exist`))
    }
    return kind === undefined || (kind.scope === "org" && gvc !== undefined)
      ? Result.fail(notFound(`${ask.path.slice(0, 200)} does not exist`))
      : Result.succeed(kind)
  }

  const refused = (kind: Kind) =>
    methodNotAllowed(["GET"])(`objects of kind ${kind.name} cannot be written this way`)

  const checked = (
    kind: Kind,
    draft: Draft,
    before: Resource | undefined
  ): Result.Result<Draft, ApiError> => {
    const problems = kind.problems?.(draft, store, before) ?? []
    return problems.length > 0 ? Result.fail(badRequest(problems.join("; "))) : Result.succeed(draft)
  }

  /** Stores a draft, or only says what it would be. */
  const put = (
    draft: Draft,
    before: Resource | undefined,
    { id, now, isDry }: { readonly id: string; readonly now: number; readonly isDry: boolean }
  ): Answer => {
    if (isDry) {
      const path = `${collectionPath(draft, draft.kind)}/${draft.name}`
      const fresh = { id, order: -1, created: now, version: 0 }
      const resource = { ...fresh, ...before, ...draft, path, lastModified: now }
      return ok(resourceView({ ...resource, version: resource.version + 1 }, store))
    }
    if (before === undefined) return created(store.create({ ...draft, id }, now).path)
    const { body, description, tags } = draft
    store.update(before, { body, description, tags }, now)
    return ok(resourceView(before, store))
  }

  /** `write` is called with what only an effect can know. */
  const writing = (
    ask: Ask,
    write: (how: {
      readonly id: string
      readonly now: number
      readonly isDry: boolean
    }) => Result.Result<Answer, ApiError>
  ): Effect.Effect<Answer, ApiError> =>
    Effect.gen(function* () {
      const isDry = ask.query.get("dryRun") === "true"
      return yield* Effect.fromResult(write({ id: yield* uuid, now: yield* Clock.currentTimeMillis, isDry }))
    })

  const found = (ask: Ask): Result.Result<Resource, ApiError> => {
    const path = `${collectionPath(placeOf(ask), ask.params["kind"]!)}/${ask.params["name"]}`
    const resource = store.get(path)
    return resource === undefined ? Result.fail(notFound(`${path} does not exist`)) : Result.succeed(resource)
  }

  /** POST makes a new object; PUT on the collection also replaces one. */
  const create = (mayExist: boolean) => (ask: Ask) =>
    writing(ask, (how) =>
      Result.gen(function* () {
        const kind = yield* kindAt(ask)
        const place = placeOf(ask)
        if (kind.scope === "gvc" && place.gvc === undefined) return yield* Result.fail(refused(kind))
        const name = textOf(objectOf(ask.body)["name"])
        const before =
          name === undefined ? undefined : store.get(`${collectionPath(place, kind.name)}/${name}`)
        if (!kind.allows.includes(before === undefined || !mayExist ? "create" : "change")) {
          return yield* Result.fail(refused(kind))
        }
        if (before !== undefined && !mayExist)
          return yield* Result.fail(conflict(`${before.path} already exists`))
        const draft = yield* replacing(kind, ask.body, place, before)
        return put(yield* checked(kind, keeping(draft, before), before), before, how)
      })
    )

  const replace = (ask: Ask) =>
    writing(ask, (how) =>
      Result.gen(function* () {
        const kind = yield* kindAt(ask)
        if (!kind.allows.includes("change")) return yield* Result.fail(refused(kind))
        const before = yield* found(ask)
        const draft = yield* replacing(kind, ask.body, placeOf(ask), before, before.name)
        return put(yield* checked(kind, keeping(draft, before), before), before, how)
      })
    )

  const change = (ask: Ask) =>
    writing(ask, (how) =>
      Result.gen(function* () {
        const kind = yield* kindAt(ask)
        if (!kind.allows.includes("change")) return yield* Result.fail(refused(kind))
        const before = yield* found(ask)
        return put(yield* checked(kind, yield* patching(kind, ask.body, before), before), before, how)
      })
    )

  const remove = Effect.fnUntraced(function* (ask: Ask) {
    const kind = yield* Effect.fromResult(kindAt(ask))
    if (!kind.allows.includes("delete")) return yield* refused(kind)
    const resource = yield* Effect.fromResult(found(ask))
    if (String(resource.tags["cpln/protected"]) === "true") {
      return yield* badRequest(`${resource.path} is protected by the tag cpln/protected`)
    }
    for (const gone of store.remove(resource)) {
      if (gone.kind === "workload") yield* jobs.abandon(gone)
    }
    return accepted
  })

  const collection = (ask: Ask, kind: Kind) => {
    const place = placeOf(ask)
    const isOrgWide = kind.scope === "gvc" && place.gvc === undefined
    return {
      itemKind: kind.name,
      path: collectionPath(place, kind.name),
      all: () => {
        const all = isOrgWide
          ? store.listKind(place.org, kind.name)
          : store.list(collectionPath(place, kind.name))
        return ask.principal._tag === "Owner" ? all : all.filter((each) => access.sees(ask.principal, each))
      },
      read: resourceReader,
      view: (resource: Resource) => resourceView(resource, store),
      link: (resource: Resource) => resource.path
    }
  }

  const list = (ask: Ask) =>
    Effect.flatMap(Effect.fromResult(kindAt(ask)), (kind) => listed(ask, pageSize, collection(ask, kind)))

  const query = (ask: Ask) =>
    Effect.flatMap(Effect.fromResult(kindAt(ask)), (kind) => queried(ask, pageSize, collection(ask, kind)))

  const read = (ask: Ask) =>
    Effect.fromResult(
      Result.flatMap(kindAt(ask), () => Result.map(found(ask), (each) => ok(resourceView(each, store))))
    )

  const reveal = (ask: Ask) =>
    Effect.fromResult(
      Result.map(found({ ...ask, params: { ...ask.params, kind: "secret" } }), (secret) =>
        ok({ ...resourceView(secret, store), data: secret.body["data"] ?? {} })
      )
    )

  const addKey = Effect.fnUntraced(function* (ask: Ask) {
    const { params } = ask
    const account = yield* Effect.fromResult(found({ ...ask, params: { ...params, kind: "serviceaccount" } }))
    const now = yield* Clock.currentTimeMillis
    const name = (yield* uuid).slice(0, 8)
    const key = yield* auth.addKey(account, name)
    const entry: JsonObject = {
      name,
      created: iso(now),
      description: textOf(objectOf(ask.body)["description"]) ?? ""
    }
    const { description, tags, body } = account
    store.update(
      account,
      { description, tags, body: { ...body, keys: [...listOf(body["keys"]), entry] } },
      now
    )
    return ok({ ...entry, key })
  })

  const orgView = (org: string): JsonObject => {
    const resource = store.get(orgPath(org))
    return resource === undefined ? {} : resourceView(resource, store)
  }

  const orgOf = (ask: Ask) =>
    Effect.suspend(() => {
      const { org } = placeOf(ask)
      return store.orgs.includes(org)
        ? Effect.succeed(ok(orgView(org)))
        : Effect.fail(notFound(`org ${org} does not exist`))
    })

  const one = { GET: read, PUT: replace, PATCH: change, DELETE: remove }
  const many = { GET: list, POST: create(false), PUT: create(true) }
  return [
    route("/org", {
      GET: () =>
        Effect.succeed(
          ok({
            kind: "list",
            itemKind: "org",
            items: store.orgs.map(orgView),
            links: [{ rel: "self", href: "/org" }]
          })
        )
    }),
    route("/org/:org", { GET: orgOf }),
    route("/org/:org/secret/:name/-reveal", { GET: reveal }),
    route("/org/:org/serviceaccount/:name/-addKey", { POST: addKey }),
    route("/org/:org/:kind", many),
    route("/org/:org/:kind/-query", { POST: query }),
    route("/org/:org/:kind/:name", one),
    route("/org/:org/gvc/:gvc/:kind", many),
    route("/org/:org/gvc/:gvc/:kind/-query", { POST: query }),
    route("/org/:org/gvc/:gvc/:kind/:name", one)
  ]
})

/** An object that is sent back as it was read has no secret data; what was stored stays. */
const keeping = (draft: Draft, before: Resource | undefined): Draft =>
  draft.kind === "secret" && draft.body["data"] === undefined && isObject(before?.body["data"])
    ? { ...draft, body: { ...draft.body, data: before.body["data"] } }
    : draft
