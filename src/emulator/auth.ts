/**
 * Who asks. The token of the emulator opens everything; each pod has one of its own, and keys of service accounts count too.
 *
 * Invariant: tokens are compared in constant time, and the token of a pod names its workload without being stored.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto"
import { Context, Effect, Layer, Redacted } from "effect"
import { SecureRandom } from "effect/crypto"
import { at, listOf } from "./json.ts"
import { Settings } from "./settings.ts"
import { Store } from "./store.ts"

export type Principal =
  | { readonly _tag: "Owner" }
  /** A process in a pod; `workload` is its link. */
  | { readonly _tag: "Pod"; readonly workload: string }
  | { readonly _tag: "ServiceAccount"; readonly account: string }

export class Auth extends Context.Service<
  Auth,
  {
    /** Takes the header with and without `Bearer `; undefined is a 401. */
    identify(authorization: string | undefined): Principal | undefined
    /** What a container of the workload finds in `CPLN_TOKEN`. */
    podToken(workload: string): string
    /** A new key of a service account, shown this once. */
    addKey(org: string, account: string, name: string): Effect.Effect<string>
    /** Keys of an account that is gone open nothing, no more than those that were dropped from it. */
    dropKeys(account: string): void
  }
>()("emulator/Auth") {
  static readonly layer = Layer.effect(
    Auth,
    Effect.gen(function* () {
      const { token } = yield* Settings
      const store = yield* Store
      const random = yield* SecureRandom.SecureRandom
      const secret = yield* random.randomBytes(32)
      const given = token === undefined ? undefined : digest(Redacted.value(token))
      /** By digest, so that a look-up tells nothing of a key. */
      const keys = new Map<string, AccountKey>()

      const isKept = ({ account, name }: AccountKey): boolean =>
        listOf(store.get(account)?.body["keys"]).some((key) => at(key, ["name"]) === name)

      const signature = (text: string) => createHmac("sha256", secret).update(text).digest("base64url")
      const podToken = (workload: string) => {
        const name = Buffer.from(workload).toString("base64url")
        return `${podPrefix}${name}.${signature(name)}`
      }
      const podOf = (text: string): Principal | undefined => {
        if (!text.startsWith(podPrefix)) return undefined
        const workload = Buffer.from(text.slice(podPrefix.length).split(".")[0] ?? "", "base64url").toString()
        return isSame(digest(podToken(workload)), digest(text)) ? { _tag: "Pod", workload } : undefined
      }

      return Auth.of({
        podToken,
        identify: (authorization) => {
          const text = authorization?.replace(/^Bearer\s+/iu, "").trim() ?? ""
          if (text === "") return undefined
          const seen = digest(text)
          if (given !== undefined && isSame(seen, given)) return owner
          const key = keys.get(seen.toString("base64url"))
          if (key !== undefined)
            return isKept(key) ? { _tag: "ServiceAccount", account: key.account } : undefined
          return podOf(text) ?? (given === undefined ? owner : undefined)
        },
        addKey: Effect.fnUntraced(function* (org: string, account: string, name: string) {
          const bytes = Buffer.from(yield* random.randomBytes(32))
          const half = bytes.toString("base64url")
          const key = `s${half.slice(0, 20)}.${Buffer.from(`${org}/${account}`).toString("base64url")}.${half.slice(20)}`
          keys.set(digest(key).toString("base64url"), { account, name })
          return key
        }),
        dropKeys: (account) => {
          for (const [key, of] of keys) if (of.account === account) keys.delete(key)
        }
      })
    })
  )
}

interface AccountKey {
  /** Link of the service account. */
  readonly account: string
  readonly name: string
}

const podPrefix = "pod."
const owner: Principal = { _tag: "Owner" }

const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

const isSame = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b)
