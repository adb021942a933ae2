/** A run of the deployment "nightly" in a pool with the official template, to be varied by tests. */
import type { ConfigurationSource } from "../../src/job/configuration.ts"
import { configure } from "../../src/job/configuration.ts"
import { type Known, nothingKnown } from "../../src/job/references.ts"
import { officialTemplate } from "../../src/job/template.ts"

export interface Variation {
  readonly version?: string
  readonly template?: Readonly<Record<string, unknown>>
  readonly deployment?: Readonly<Record<string, unknown>>
  readonly run?: Readonly<Record<string, unknown>>
  readonly source?: Partial<ConfigurationSource>
}

export const sourceOf = ({
  version = "3.8.8",
  template,
  deployment = {},
  run = {},
  source
}: Variation = {}): ConfigurationSource => ({
  template: template ?? officialTemplate({ version }),
  version,
  run: { id: "4c2a9b6f-76b7-4f7f-9c75-70c3f3dbc003", name: "quiet-otter", jobVariables: run },
  flow: { id: "2a0f7f4e-54f5-4d5d-9a53-5ea1d1b9a001", name: "etl" },
  deployment: {
    id: "3b1f8a5e-65a6-4e6e-8b64-6fb2e2cab002",
    name: "nightly",
    updated: "2026-03-01T05:05:06.789+01:00",
    jobVariables: deployment
  },
  pool: { id: "0f3b6a52-97ea-4ffd-8d44-0cbf3d6e7b10", name: "cpln" },
  workerName: "cpln-host-1a2b3c",
  settings: { PREFECT_API_URL: "http://prefect.test/api" },
  environment: { HOME: "/root", CPLN_TOKEN: "agents-own-token" },
  injected: { org: "acme", gvc: "dev", location: "aws-us-west-2", hasToken: true },
  context: { flow: { name: "etl" }, flow_run: { name: "quiet-otter", tags: ["blue"] } },
  ...source
})

export const configured = (variation: Variation, known: Known = nothingKnown) => {
  const step = configure(sourceOf(variation), known)
  if (step._tag !== "Configured") throw new Error(`not configured: ${JSON.stringify(step)}`)
  return step
}

export const refusals = (variation: Variation, known: Known = nothingKnown): ReadonlyArray<string> => {
  const step = configure(sourceOf(variation), known)
  return step._tag === "Refused" ? step.problems.map(({ path, rule }) => `${path}: ${rule}`) : []
}
