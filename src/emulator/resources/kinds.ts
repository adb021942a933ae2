/**
 * The kinds of objects that the emulator keeps, and what is special to each.
 *
 * Invariant: a kind that is not in this table does not exist: its paths are 404.
 */
import { object } from "../json.ts"
import { gvcKind } from "./gvc.ts"
import type { Kind } from "./kind.ts"
import { policyProblems, secretProblems } from "./rules.ts"
import { workloadKind } from "../workload/kind.ts"

const all = ["create", "change", "delete"] as const

const plain = (name: string, scope: Kind["scope"] = "org"): Kind => ({ name, scope, allows: all })

const location: Kind = {
  name: "location",
  scope: "org",
  allows: ["change"],
  extra: ({ name }) => ({ status: { geo: {}, ipRanges: [], nodes: 1, name } })
}

/** What is secret is left out unless asked for by `-reveal`. */
const secret: Kind = {
  name: "secret",
  scope: "org",
  allows: all,
  problems: secretProblems,
  read: ({ body }) => object({ ...body, data: undefined })
}

const serviceaccount: Kind = {
  name: "serviceaccount",
  scope: "org",
  allows: all,
  read: ({ body }) => ({ origin: "default", keys: [], ...body })
}

const policy: Kind = {
  name: "policy",
  scope: "org",
  allows: all,
  problems: policyProblems,
  read: ({ body }) => ({ origin: "default", bindings: [], ...body })
}

const volumeset: Kind = {
  ...plain("volumeset", "gvc"),
  extra: () => ({ status: { locations: [], volumes: [] } })
}

const kinds: ReadonlyArray<Kind> = [
  gvcKind,
  location,
  secret,
  serviceaccount,
  policy,
  plain("group"),
  plain("agent"),
  plain("cloudaccount"),
  plain("domain"),
  plain("ipset"),
  plain("auditctx"),
  { ...plain("image"), allows: ["change", "delete"] },
  { ...plain("quota"), allows: [] },
  { ...plain("user"), allows: [] },
  workloadKind,
  plain("identity", "gvc"),
  volumeset,
  plain("dbcluster", "gvc")
]

const byName = new Map(kinds.map((kind) => [kind.name, kind]))

export const kindOf = (name: string): Kind | undefined => byName.get(name)
