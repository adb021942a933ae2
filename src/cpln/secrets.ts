/**
 * Secrets, as little of them as an agent needs, and the identities and policies by which jobs may read them.
 *
 * Invariant: no value of a secret is ever held: the decoder keeps the names of its keys and drops the rest. Nothing here
 * overwrites what was not read: a policy is replaced in the version that was judged.
 */
import { Context, Effect, Schema, SchemaTransformation } from "effect"
import { HttpClientRequest } from "effect/http"
import { type Api, json } from "../http/api.ts"
import type { ApiError } from "../http/errors.ts"
import type { Seen } from "../http/seen.ts"
import { allPages, rowsOf } from "./paging.ts"

const maybe = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))
const Tags = Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown))

/** Whatever stands there, only names come out of it. */
const KeyNames = Schema.Unknown.pipe(
  Schema.decodeTo(
    Schema.Array(Schema.String),
    SchemaTransformation.transform<ReadonlyArray<string>, unknown>({
      decode: (data) =>
        typeof data === "object" && data !== null && !Array.isArray(data) ? Object.keys(data) : [],
      encode: (names) => Object.fromEntries(names.map((name) => [name, ""]))
    })
  )
)

/** `data` has the key names of the secret. */
export const RevealedSecret = Schema.Struct({ type: Schema.String, data: Schema.optionalKey(KeyNames) })

/** A secret's type, and for a dictionary the names of its keys. */
export interface SecretShape {
  readonly type: string
  readonly keys: ReadonlyArray<string>
}

export const Identity = Schema.Struct({
  name: Schema.String,
  created: maybe(Schema.String),
  lastModified: maybe(Schema.String),
  tags: Tags
})
export type Identity = typeof Identity.Type

export const Policy = Schema.Struct({
  name: Schema.String,
  version: maybe(Schema.Number),
  tags: Tags,
  targetKind: maybe(Schema.String),
  /** "all", or none. */
  target: maybe(Schema.String),
  targetLinks: maybe(Schema.Array(Schema.String)),
  targetQuery: maybe(Schema.Unknown),
  bindings: maybe(
    Schema.Array(
      Schema.Struct({
        permissions: maybe(Schema.Array(Schema.String)),
        principalLinks: maybe(Schema.Array(Schema.String))
      })
    )
  )
})
export type Policy = typeof Policy.Type

/** As the service takes it: kind, name and the rest. */
export type Body = Readonly<Record<string, unknown>>

export class Secrets extends Context.Service<
  Secrets,
  {
    /** `NotFound` when it does not exist; its content stays hidden. */
    look(secret: string): Effect.Effect<void, ApiError>
    /** Needs the permission "reveal" on the secret: `Forbidden` without. */
    shape(secret: string): Effect.Effect<SecretShape, ApiError>

    readIdentity(gvc: string, name: string): Effect.Effect<Identity, ApiError>
    /** `Conflict` when the name is taken. */
    createIdentity(gvc: string, body: Body): Effect.Effect<void, ApiError>

    /** All identities of the GVC, every page; `between` is done before every page but the first. */
    identities(
      gvc: string,
      between?: Effect.Effect<void>
    ): Effect.Effect<Seen<ReadonlyArray<Identity>>, ApiError>
    /** In one try; one that is gone already counts as removed. */
    removeIdentity(gvc: string, name: string): Effect.Effect<void, ApiError>

    readPolicy(name: string): Effect.Effect<Policy, ApiError>
    /** All policies of the org that the credential may see, every page. */
    readonly policies: Effect.Effect<ReadonlyArray<Policy>, ApiError>
    /** `Conflict` when the name is taken. */
    createPolicy(body: Body): Effect.Effect<void, ApiError>
    /** `Conflict` when it is not in the version of `read` any more. */
    replacePolicy(read: Policy, body: Body): Effect.Effect<void, ApiError>
    /** In one try; one that is gone already counts as removed. */
    removePolicy(name: string): Effect.Effect<void, ApiError>
  }
>()("agent/cpln/Secrets") {}

export const makeSecrets = (api: Api, org: string): Secrets["Service"] => {
  const orgPath = `/org/${encodeURIComponent(org)}`
  const at = (...parts: ReadonlyArray<string>) => [orgPath, ...parts.map(encodeURIComponent)].join("/")
  const get = (path: string) => api.repeatable(HttpClientRequest.get(path))
  const send = (method: "POST" | "PUT", path: string, body: Body) =>
    HttpClientRequest.make(method)(path).pipe(
      HttpClientRequest.bodyJsonUnsafe(body),
      // A create that is repeated after it was made is a `Conflict`, which the caller settles by reading.
      api.repeatable,
      Effect.asVoid
    )

  /** In one try: somebody may make it anew before a repetition. */
  const remove = (path: string) =>
    api.once(HttpClientRequest.make("DELETE")(path)).pipe(
      Effect.asVoid,
      Effect.catchTag("NotFound", () => Effect.void)
    )

  return {
    look: (secret) => Effect.asVoid(get(at("secret", secret))),
    shape: Effect.fn("Secrets.shape")(function* (secret: string) {
      const { value } = yield* Effect.flatMap(get(`${at("secret", secret)}/-reveal`), json(RevealedSecret))
      return { type: value.type, keys: value.data ?? [] }
    }),

    readIdentity: Effect.fn("Secrets.readIdentity")(function* (gvc: string, name: string) {
      return (yield* Effect.flatMap(get(at("gvc", gvc, "identity", name)), json(Identity))).value
    }),
    createIdentity: (gvc, body) => send("POST", at("gvc", gvc, "identity"), { ...body, gvc }),

    identities: Effect.fn("Secrets.identities")((gvc: string, between?: Effect.Effect<void>) =>
      allPages(
        api,
        HttpClientRequest.get(at("gvc", gvc, "identity")),
        rowsOf(Identity),
        (each) => each.name,
        between
      )
    ),
    removeIdentity: (gvc, name) => remove(at("gvc", gvc, "identity", name)),

    readPolicy: Effect.fn("Secrets.readPolicy")(function* (name: string) {
      return (yield* Effect.flatMap(get(at("policy", name)), json(Policy))).value
    }),
    policies: Effect.suspend(() =>
      Effect.map(
        allPages(api, HttpClientRequest.get(at("policy")), rowsOf(Policy), (each) => each.name),
        ({ value }) => value
      )
    ),
    createPolicy: (body) => send("POST", at("policy"), body),
    replacePolicy: ({ version }, body) =>
      send("PUT", at("policy"), { ...body, ...(version == null ? {} : { version }) }),
    removePolicy: (name) => remove(at("policy", name))
  }
}
