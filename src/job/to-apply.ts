/**
 * What a person has to apply so that a job may read its secrets, as the YAML that `cpln apply` takes.
 *
 * Invariant: pure; names and links only, never a value.
 */
import { stringify } from "yaml"

type Body = Readonly<Record<string, unknown>>

/** Several objects, as one text of YAML documents. */
export const toApply = (...bodies: ReadonlyArray<Body>): string =>
  bodies.map((body) => stringify(body, { lineWidth: 0 }).trimEnd()).join("\n---\n")

/** A policy by which the principal may reveal the secrets. */
export const revealPolicy = (name: string, principalLink: string, secrets: ReadonlyArray<string>): Body => ({
  kind: "policy",
  name,
  targetKind: "secret",
  targetLinks: secrets.map((secret) => `//secret/${secret}`),
  bindings: [{ permissions: ["reveal"], principalLinks: [principalLink] }]
})

/** Whether a text ends in such objects, so that nothing may follow it. */
export const isToApply = (text: string): boolean => /^kind: (?:policy|identity)$/mu.test(text)
