/**
 * Sees to it that a job can read its secrets: the identity and the policy that are made with its workload, or those that
 * its owner gave it.
 *
 * Invariant: a job that could not read a secret is told so before anything is started, with what to apply. What exists is
 * written only when it is ours and does not do; what another agent made at the same moment is as good as ours.
 */
import { Effect, Schema } from "effect"
import type { Access, ControlPlane } from "../../cpln/control-plane.ts"
import { at } from "../../cpln/place.ts"
import { type Policy, Secrets } from "../../cpln/secrets.ts"
import type { ApiError } from "../../http/errors.ts"
import type { ConvertedIdentity, ConvertedPolicy } from "../../job/convert.ts"
import { notRevealed } from "../../job/grants.ts"
import { revealPolicy, toApply } from "../../job/to-apply.ts"
import { poolTag } from "../decide/normalise.ts"

/** What a job is to be allowed. Either `identity` or `serviceAccount` is there. */
export interface WantedIdentity {
  readonly access: Access
  readonly gvc: string
  /** To be made with the workload. */
  readonly identity: ConvertedIdentity | undefined
  /** To be made with it; undefined without secrets. */
  readonly policy: ConvertedPolicy | undefined
  /** Full link of the identity that the job's owner named. */
  readonly serviceAccount: string | undefined
  /** Names of all secrets that the job reads. */
  readonly secrets: ReadonlyArray<string>
}

/** The job could not read its secrets, or its identity does not exist. `remedy` may end in what is to be applied. */
export class IdentityUnusable extends Schema.TaggedError<IdentityUnusable>()("IdentityUnusable", {
  reason: Schema.String,
  remedy: Schema.String
}) {
  override get message() {
    return `${this.reason}. ${this.remedy}`
  }
}

export interface EnsuredIdentity {
  /** False when there is none: the workload must not link it, and a job without secrets runs all the same. */
  readonly linked: boolean
  /** What was put right, or could not be checked; for the agent's own output. */
  readonly notes: ReadonlyArray<string>
}

export const ensureIdentity = Effect.fn("runs.ensureIdentity")(function* (
  wanted: WantedIdentity,
  may: "manage" | "given"
): Effect.fn.Return<EnsuredIdentity, IdentityUnusable | ApiError, ControlPlane> {
  const secrets = yield* Secrets.pipe(at(wanted.access))
  const { identity, serviceAccount } = wanted
  if (serviceAccount !== undefined) return yield* checkGiven(secrets, wanted, serviceAccount)
  if (identity === undefined) return { linked: false, notes: [] }
  return wanted.policy === undefined
    ? yield* withoutSecrets(secrets, wanted, identity, may)
    : yield* withSecrets(secrets, wanted, { identity, policy: wanted.policy }, may)
})

type Client = Secrets["Service"]

/** There (`note`: as far as can be told), or not, and why. */
type There =
  | { readonly there: true; readonly note?: string }
  | { readonly there: false; readonly why: string }

const there: There = { there: true }
const notThere = (why: string): There => ({ there: false, why })
const unread = (what: string, { message }: ApiError): There => ({
  there: true,
  note: `${what} cannot be checked: ${message}`
})

/** It needs no identity, so that one which cannot be made is no obstacle. */
const withoutSecrets = Effect.fnUntraced(function* (
  secrets: Client,
  { gvc }: WantedIdentity,
  identity: ConvertedIdentity,
  may: "manage" | "given"
) {
  if (may === "given") return { linked: false, notes: [] }
  return yield* identityIsThere(secrets, gvc, identity, may).pipe(
    Effect.map((made): EnsuredIdentity => ({ linked: made.there, notes: [] })),
    Effect.catchTag(["Refused", "QuotaReached"], ({ message }) =>
      Effect.succeed<EnsuredIdentity>({
        linked: false,
        notes: [`identity ${identity.name} could not be made, and the job needs none: ${message}`]
      })
    )
  )
})

const withSecrets = Effect.fnUntraced(function* (
  secrets: Client,
  wanted: WantedIdentity,
  { identity, policy }: { readonly identity: ConvertedIdentity; readonly policy: ConvertedPolicy },
  may: "manage" | "given"
) {
  const { access, gvc } = wanted
  const link = `/org/${access.org}/gvc/${gvc}/identity/${identity.name}`
  const refuse = (why: string) =>
    new IdentityUnusable({
      reason: `it needs ${secretsText(wanted.secrets)}, and may not read ${wanted.secrets.length === 1 ? "it" : "them"}: ${why}`,
      remedy: [
        `Apply this (cpln apply --org ${access.org} --gvc ${gvc} --file FILE), then run it again:`,
        toApply({ ...identity.body, gvc }, policy.body)
      ].join("\n")
    })
  const made = yield* identityIsThere(secrets, gvc, identity, may)
  if (!made.there) return yield* refuse(made.why)
  const own = yield* policyIsThere(secrets, policy, link, wanted.secrets, may)
  // Somebody may have given the identity its rights in another way.
  const granted = own.there ? own : yield* grantedBySome(secrets, link, wanted.secrets, own)
  if (!granted.there) return yield* refuse(granted.why)
  return { linked: true, notes: [made, granted].flatMap(({ note }) => note ?? []) }
})

const secretsText = (names: ReadonlyArray<string>): string =>
  names.length === 1 ? `the secret ${names[0]}` : `the secrets ${names.join(", ")}`

const identityIsThere = Effect.fnUntraced(function* (
  secrets: Client,
  gvc: string,
  { body, name }: ConvertedIdentity,
  may: "manage" | "given"
): Effect.fn.Return<There, ApiError> {
  const make = secrets.createIdentity(gvc, body).pipe(
    Effect.as(there),
    // Another agent was faster.
    Effect.catchTag("Conflict", () => Effect.succeed(there)),
    Effect.catchTag("Forbidden", ({ message }) => Effect.succeed(notThere(message)))
  )
  return yield* secrets.readIdentity(gvc, name).pipe(
    Effect.as(there),
    Effect.catchTag("NotFound", () =>
      may === "manage"
        ? make
        : Effect.succeed(
            notThere(
              `there is no identity ${name} in GVC ${gvc}, and this agent makes none (--identities given)`
            )
          )
    ),
    Effect.catchTag("Forbidden", (error) =>
      may === "manage" ? make : Effect.succeed(unread(`identity ${name}`, error))
    )
  )
})

/** A read and a write that another agent came between are made again this often. */
const tries = 3

const policyIsThere = Effect.fnUntraced(function* (
  secrets: Client,
  { body, name }: ConvertedPolicy,
  identityLink: string,
  needed: ReadonlyArray<string>,
  may: "manage" | "given"
): Effect.fn.Return<There, ApiError> {
  for (let tried = 1; ; tried++) {
    const read = yield* Effect.result(secrets.readPolicy(name))
    const found = read._tag === "Success" ? read.success : undefined
    if (read._tag === "Failure" && read.failure._tag !== "NotFound" && read.failure._tag !== "Forbidden") {
      return yield* read.failure
    }
    const lacking = found === undefined ? needed : notRevealed([found], identityLink, needed)
    if (lacking.length === 0) return there
    if (may === "given" && read._tag === "Failure" && read.failure._tag === "Forbidden") {
      return unread(`policy ${name}`, read.failure)
    }
    const why =
      found === undefined
        ? `there is no policy ${name}`
        : `policy ${name} does not let identity ${identityLink} reveal ${secretsText(lacking)}`
    if (may === "given") return notThere(`${why}, and this agent writes none (--identities given)`)
    if (found !== undefined && !isOurs(found, body)) {
      return notThere(`${why}, and it is not this pool's, so that it is left as it is`)
    }
    const written = yield* Effect.result(
      found === undefined ? secrets.createPolicy(body) : secrets.replacePolicy(found, body)
    )
    if (written._tag === "Success") {
      return found === undefined ? there : { there: true, note: `${why}: put right` }
    }
    const error = written.failure
    if (error._tag === "Forbidden") return notThere(error.message)
    if (error._tag !== "Conflict") return yield* error
    // It exists, but may not be read: as far as can be told it is the one that another agent made.
    if (read._tag === "Failure" && read.failure._tag === "Forbidden") {
      return unread(`policy ${name}`, read.failure)
    }
    if (tried >= tries) return yield* error
  }
})

const isOurs = ({ tags }: Policy, body: Readonly<Record<string, unknown>>): boolean => {
  const own = body["tags"] as Readonly<Record<string, unknown>> | undefined
  return tags?.[poolTag] === own?.[poolTag]
}

const grantedBySome = (
  secrets: Client,
  identityLink: string,
  needed: ReadonlyArray<string>,
  otherwise: Extract<There, { readonly there: false }>
) =>
  secrets.policies.pipe(
    Effect.map((all) => (notRevealed(all, identityLink, needed).length === 0 ? there : otherwise)),
    Effect.catchTag(["Forbidden", "NotFound"], () => Effect.succeed<There>(otherwise))
  )

/** The identity that the job's owner named: nothing of it is ever written. */
const checkGiven = Effect.fnUntraced(function* (
  secrets: Client,
  { access, gvc, secrets: needed }: WantedIdentity,
  link: string
): Effect.fn.Return<EnsuredIdentity, IdentityUnusable | ApiError> {
  const name = link.split("/").at(-1) ?? ""
  const read = yield* secrets.readIdentity(gvc, name).pipe(
    Effect.as(there),
    Effect.catchTag("NotFound", () =>
      Effect.succeed(notThere(`its service account ${name} is no identity of GVC ${gvc}`))
    ),
    Effect.catchTag("Forbidden", (error) => Effect.succeed(unread(`identity ${name}`, error)))
  )
  if (!read.there)
    return yield* new IdentityUnusable({
      reason: read.why,
      remedy: "Create the identity, or correct the name."
    })
  const notes = read.note === undefined ? [] : [read.note]
  if (needed.length === 0) return { linked: true, notes }
  const policy = revealPolicy(`${name}-reveal-policy`, link, needed)
  const unchecked = (why: string): EnsuredIdentity => ({
    linked: true,
    notes: [
      ...notes,
      `whether its service account ${name} may reveal ${secretsText(needed)} cannot be checked: ${why}`
    ]
  })
  const all = yield* Effect.result(secrets.policies)
  if (all._tag === "Failure") {
    const error = all.failure
    return error._tag === "Forbidden" || error._tag === "NotFound" ? unchecked(error.message) : yield* error
  }
  // Every org has policies of its own: where none is shown, none may be seen.
  if (all.success.length === 0) return unchecked("no policy of the org can be seen")
  const lacking = notRevealed(all.success, link, needed)
  if (lacking.length === 0) return { linked: true, notes }
  return yield* new IdentityUnusable({
    reason: `its service account ${name} may not reveal ${secretsText(lacking)}`,
    remedy: [
      `Apply this (cpln apply --org ${access.org} --file FILE), then run it again:`,
      toApply({ ...policy, targetLinks: lacking.map((each) => `//secret/${each}`) })
    ].join("\n")
  })
})
