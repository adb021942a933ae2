/**
 * Who may reveal which secrets, as policies say it.
 *
 * Invariant: pure. An identity is never in a group, so a policy speaks of it only by its own link, in whichever of the
 * platform's forms.
 */

/** What of a policy counts here. */
export interface Grant {
  readonly targetKind?: string | null
  /** "all", or none. */
  readonly target?: string | null
  readonly targetLinks?: ReadonlyArray<string> | null
  readonly targetQuery?: unknown
  readonly bindings?: ReadonlyArray<{
    readonly permissions?: ReadonlyArray<string> | null
    readonly principalLinks?: ReadonlyArray<string> | null
  }> | null
}

/** `/org/O/x/y` and `//x/y` are one thing; inside a GVC so is `//identity/y`. */
const shortLink = (link: string): string => link.replace(/^\/org\/[^/]+\//u, "//")

const revealing = new Set(["reveal", "manage"])

const bindsTo = ({ bindings }: Grant, identityLink: string): boolean =>
  (bindings ?? []).some(
    ({ permissions, principalLinks }) =>
      (permissions ?? []).some((each) => revealing.has(each)) &&
      (principalLinks ?? []).some((each) => shortLink(each) === shortLink(identityLink))
  )

/** Of the named secrets, those that no policy lets the identity reveal. A policy with a query is taken at its best. */
export const notRevealed = (
  policies: ReadonlyArray<Grant>,
  identityLink: string,
  secrets: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const grants = policies.filter((each) => each.targetKind === "secret" && bindsTo(each, identityLink))
  const isOpen = grants.some(({ target, targetQuery }) => target === "all" || targetQuery != null)
  const named = new Set(grants.flatMap(({ targetLinks }) => targetLinks ?? []).map(shortLink))
  return isOpen ? [] : secrets.filter((secret) => !named.has(`//secret/${secret}`))
}
