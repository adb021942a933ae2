import { describe, expect, it } from "@effect/vitest"
import { secretsToReveal } from "../../../src/job/convert.ts"
import { accepted, first, manifest, pathsOf, problems } from "./convert-one.ts"

const envOf = (container: Readonly<Record<string, unknown>>) =>
  accepted(manifest(container)).overrides[0]?.env

describe("variables", () => {
  it("keep their order, an empty value and a missing one", () => {
    const env = [{ name: "B", value: "2" }, { name: "A", value: "" }, { name: "FLAG" }]
    expect(envOf({ env })).toEqual(env)
  })

  it("from a secret, a config map or a field become references, and the policy lists the secrets once", () => {
    const job = accepted(
      manifest({
        env: [
          { name: "P", valueFrom: { secretKeyRef: { name: "db", key: "password" } } },
          { name: "U", valueFrom: { secretKeyRef: { name: "db", key: "user" } } },
          { name: "M", valueFrom: { configMapKeyRef: { name: "app-config", key: "mode" } } },
          { name: "N", valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "metadata.name" } } },
          { name: "T", value: "cpln://secret/api-token.payload" }
        ]
      })
    )
    expect(job.overrides[0]?.env).toEqual([
      { name: "P", value: "cpln://secret/db.password" },
      { name: "U", value: "cpln://secret/db.user" },
      { name: "M", value: "cpln://secret/app-config.mode" },
      { name: "N", value: "cpln://reference/metadata.name" },
      { name: "T", value: "cpln://secret/api-token.payload" }
    ])
    expect(job.policy?.secretLinks).toEqual(["//secret/db", "//secret/app-config", "//secret/api-token"])
    expect(job.warnings.join()).toContain('the dictionary secret "app-config"')
  })

  it.each([
    ["resourceFieldRef", { resourceFieldRef: { resource: "limits.cpu" } }, "valueFrom.resourceFieldRef"],
    [
      "an unknown field",
      { fieldRef: { fieldPath: "spec.serviceAccountName" } },
      "valueFrom.fieldRef.fieldPath"
    ],
    ["no source", {}, "valueFrom"],
    [
      "two sources",
      { fieldRef: { fieldPath: "metadata.name" }, secretKeyRef: { name: "a", key: "b" } },
      "valueFrom"
    ]
  ])("are refused with %s", (_, valueFrom, path) => {
    expect(pathsOf(manifest({ env: [{ name: "A", valueFrom }] }))).toEqual([`${first}.env[0].${path}`])
  })

  it("with both a value and a source are refused", () => {
    const both = { name: "A", value: "x", valueFrom: { secretKeyRef: { name: "db", key: "user" } } }
    expect(pathsOf(manifest({ env: [both] }))).toEqual([`${first}.env[0].valueFrom`])
  })

  it.each(["K_REVISION", "CPLN_TOKEN", "MY VAR", "1A", "x".repeat(121)])(
    "are refused with the name %s",
    (name) => {
      expect(pathsOf(manifest({ env: [{ name, value: "x" }] }))).toEqual([`${first}.env[0].name`])
    }
  )

  it("with numbers and booleans are sent as texts, with a warning; longer ones than 4096 are refused", () => {
    const job = accepted(
      manifest({
        env: [
          { name: "A", value: 4 },
          { name: "B", value: true }
        ]
      })
    )
    expect(job.overrides[0]?.env).toEqual([
      { name: "A", value: "4" },
      { name: "B", value: "true" }
    ])
    expect(job.warnings).toHaveLength(2)
    expect(pathsOf(manifest({ env: [{ name: "A", value: "x".repeat(4097) }] }))).toEqual([
      `${first}.env[0].value`
    ])
  })
})

describe("envFrom", () => {
  it("adds one reference for each key, with the prefix; env wins, and the later source wins", () => {
    const env = [{ name: "MODE", value: "green" }]
    const envFrom = [{ configMapRef: { name: "app-config" } }, { prefix: "DB_", secretRef: { name: "db" } }]
    expect(envOf({ env, envFrom })).toEqual([
      { name: "MODE", value: "green" },
      { name: "REGION", value: "cpln://secret/app-config.REGION" },
      { name: "DB_user", value: "cpln://secret/db.user" },
      { name: "DB_pass-word", value: "cpln://secret/db.pass-word" }
    ])
  })

  it("skips keys that make no variable and sources that name nothing, with a warning each", () => {
    const job = accepted(
      manifest({ envFrom: [{ secretRef: { name: "odd" } }, { secretRef: {} }, { prefix: "X_" }] })
    )
    expect(job.overrides[0]?.env).toEqual([{ name: "GOOD", value: "cpln://secret/odd.GOOD" }])
    expect(job.warnings).toHaveLength(4)
  })

  it("of an empty secret sends an empty list and needs no policy", () => {
    const job = accepted(manifest({ envFrom: [{ secretRef: { name: "none" } }] }))
    expect(job.overrides[0]?.env).toEqual([])
    expect(job.policy).toBeUndefined()
  })

  it("is refused for a secret that is not there, or is no dictionary, in the words that users know", () => {
    const given = manifest({
      envFrom: [{ secretRef: { name: "gone" } }, { secretRef: { name: "", optional: true } }]
    })
    expect(problems(given).map(({ rule }) => rule)).toEqual([
      'the secret "gone" does not exist, or the agent may not reveal its key names.',
      "A Secret name cannot be empty in a job manifest. Either configMapRef or secretRef references an empty name in envFrom."
    ])
    const [problem] = problems(manifest({ envFrom: [{ secretRef: { name: "blob" } }] }), {
      secretTypes: new Map([["blob", "opaque"]])
    })
    expect(problem?.rule).toBe(
      "The secret with the name 'blob' that is being referenced in 'envFrom' must be of type 'dictionary', type found 'opaque'."
    )
  })

  it("is refused for a secret that may not be revealed, with what to do about it", () => {
    const [problem] = problems(manifest({ envFrom: [{ secretRef: { name: "gone" } }] }), {
      secretsHidden: new Map([["gone", "Apply this."]])
    })
    expect(problem).toEqual({
      path: "spec.template.spec.containers[0].envFrom[0].secretRef.name",
      rule: 'the agent may not reveal the key names of the secret "gone".',
      remedy: "Apply this."
    })
  })

  it("names each secret to reveal once, whatever the manifest", () => {
    const sidecars = [
      { image: "a:1", envFrom: [{ secretRef: { name: "db" } }, { configMapRef: { name: "x" } }, 7] }
    ]
    expect(secretsToReveal(manifest({ envFrom: [{ secretRef: { name: "db" } }] }, { sidecars }))).toEqual([
      "db",
      "x"
    ])
    expect(secretsToReveal({ spec: { template: { spec: { containers: "none" } } } })).toEqual([])
    expect(secretsToReveal(null)).toEqual([])
  })
})
