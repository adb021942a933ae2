/**
 * Who may do what: every request is checked here, before its handler.
 *
 * Invariant: the emulator's own token may do all; everybody else exactly what policies grant, and read the own org. What is
 * forbidden is told with the permission that is missing.
 */
import { Context, Effect, Layer } from "effect"
import type { Ask } from "../answer.ts"
import type { Principal } from "../auth.ts"
import { type ApiError, forbidden } from "../errors.ts"
import { at, textOf } from "../json.ts"
import { type Resource, Store } from "../store.ts"
import { missing } from "./permissions.ts"
import { isGranted, type Wanted, withGroups } from "./policies.ts"
import { requiredFor } from "./required.ts"

/** The identity of a workload, as a full link. */
export const identityOf = (workload: Resource | undefined): string | undefined => {
  const link = textOf(at(workload?.body, ["spec", "identityLink"]))
  return link === "" ? undefined : link
}

/** Whether a workload's identity may read a secret, which is what puts it into a container. */
export const mayReveal = (workload: Resource, secret: string, store: Store["Service"]): boolean => {
  const identity = identityOf(workload)
  const { org } = workload
  return (
    identity !== undefined &&
    isGranted([identity], { org, kind: "secret", permission: "reveal", path: secret }, store)
  )
}

const orgOf = (link: string): string => link.split("/")[2] ?? ""

export class Access extends Context.Service<
  Access,
  {
    may(principal: Principal, wanted: Wanted): boolean
    /** Fails with a 403 that names what is missing. */
    check(ask: Pick<Ask, "body" | "method" | "path" | "principal">): Effect.Effect<void, ApiError>
    /** Whether it is in lists for the principal. */
    sees(principal: Principal, resource: Resource): boolean
  }
>()("emulator/access/Access") {
  static readonly layer = Layer.effect(
    Access,
    Effect.gen(function* () {
      const store = yield* Store

      const linksOf = (principal: Principal): ReadonlyArray<string> => {
        switch (principal._tag) {
          case "Owner":
            return []
          case "Pod": {
            const identity = identityOf(store.get(principal.workload))
            return identity === undefined ? [] : [identity]
          }
          case "ServiceAccount":
            return withGroups(principal.account, orgOf(principal.account), store)
        }
      }

      const isOwnOrg = (principal: Principal, { org, kind, permission }: Wanted): boolean => {
        if (kind !== "org" || permission !== "view") return false
        return principal._tag === "Pod"
          ? orgOf(principal.workload) === org
          : principal._tag === "ServiceAccount" && orgOf(principal.account) === org
      }

      const may = (principal: Principal, wanted: Wanted): boolean => {
        if (principal._tag === "Owner" || isOwnOrg(principal, wanted)) return true
        // The token of a pod is good for the API alone.
        if (principal._tag === "Pod" && wanted.permission === "readLogs") return false
        return isGranted(linksOf(principal), wanted, store)
      }

      return Access.of({
        may,
        check: ({ body, method, path, principal }) => {
          if (principal._tag === "Owner") return Effect.void
          const needed = requiredFor(
            { method, path, body },
            (each) => store.get(each) !== undefined,
            (workload) => identityOf(store.get(workload))
          )
          const lacking = needed.find((wanted) => !may(principal, wanted))
          if (lacking === undefined) return Effect.void
          const { kind, org, permission } = lacking
          const place = kind === "org" ? org : (lacking.path ?? "")
          return Effect.fail(forbidden(missing(permission, kind, place)))
        },
        sees: (principal, { kind, org, path }) =>
          principal._tag === "Owner" || may(principal, { org, kind, permission: "view", path })
      })
    })
  )
}
