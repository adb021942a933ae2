import { describe, expect, it } from "@effect/vitest"
import { accepted, manifest, pathsOf, problems } from "./convert-one.ts"

const pod = (part: Readonly<Record<string, unknown>>) => manifest({}, { pod: part })

describe("restart policy", () => {
  it("of a flow run's job is Never whatever was asked, with a warning; other jobs keep OnFailure", () => {
    const asked = pod({ restartPolicy: "OnFailure" })
    const ofRun = accepted(asked)
    expect(ofRun.spec["job"]).toMatchObject({ restartPolicy: "Never" })
    expect(ofRun.warnings.join()).toContain("restartPolicy")
    expect(accepted(asked, { poolId: undefined }).spec["job"]).toMatchObject({ restartPolicy: "OnFailure" })
    expect(pathsOf(pod({ restartPolicy: "Always" }))).toEqual(["spec.template.spec.restartPolicy"])
  })
})

describe("deadlines", () => {
  it("of the pod stand in the workload, of the Job in the command, where the shorter one counts", () => {
    const ofPod = accepted(pod({ activeDeadlineSeconds: 3600 }))
    expect(ofPod.spec["job"]).toMatchObject({ activeDeadlineSeconds: 3600 })
    expect(ofPod.activeDeadlineSeconds).toBeUndefined()
    const ofJob = accepted(manifest({}, { job: { activeDeadlineSeconds: 1800 } }))
    expect(ofJob.spec["job"]).not.toHaveProperty("activeDeadlineSeconds")
    expect(ofJob.activeDeadlineSeconds).toBe(1800)
    const both = manifest({}, { job: { activeDeadlineSeconds: 1800 }, pod: { activeDeadlineSeconds: 60 } })
    expect(accepted(both).spec["job"]).toMatchObject({ activeDeadlineSeconds: 60 })
    expect(accepted(both).activeDeadlineSeconds).toBeUndefined()
    const shorter = manifest({}, { job: { activeDeadlineSeconds: 30 }, pod: { activeDeadlineSeconds: 60 } })
    expect(accepted(shorter).activeDeadlineSeconds).toBe(30)
  })

  it.each([-1, 0.5, 86_401, "60"])("of %s are refused; 0 is none", (seconds) => {
    expect(pathsOf(pod({ activeDeadlineSeconds: seconds }))).toEqual([
      "spec.template.spec.activeDeadlineSeconds"
    ])
    expect(accepted(pod({ activeDeadlineSeconds: 0 })).spec["job"]).not.toHaveProperty(
      "activeDeadlineSeconds"
    )
  })
})

describe("user and identity", () => {
  it("runAsUser and fsGroup become securityOptions; root, 1337 and texts are refused", () => {
    const job = accepted(pod({ securityContext: { runAsUser: 1000, fsGroup: 2000, runAsNonRoot: true } }))
    expect(job.spec["securityOptions"]).toEqual({ runAsUser: 1000, filesystemGroupId: 2000 })
    expect(job.warnings.join()).toContain("securityContext.runAsNonRoot")
    for (const runAsUser of [0, 1337, 65_535, "1000"]) {
      expect(pathsOf(pod({ securityContext: { runAsUser } }))).toEqual([
        "spec.template.spec.securityContext.runAsUser"
      ])
    }
  })

  it.each(["runner", "//identity/runner", "/org/acme/gvc/dev/identity/runner"])(
    "a service account given as %s is the job's identity, and nothing is made",
    (serviceAccountName) => {
      const job = accepted(pod({ serviceAccountName }))
      expect(job.spec["identityLink"]).toBe("/org/acme/gvc/dev/identity/runner")
      expect([job.identity, job.policy]).toEqual([undefined, undefined])
    }
  )

  it("an identity of another GVC is refused", () => {
    const serviceAccountName = "/org/acme/gvc/prod/identity/runner"
    expect(pathsOf(pod({ serviceAccountName }))).toEqual(["spec.template.spec.serviceAccountName"])
  })

  it("without one, identity and policy are named after the workload and carry the pool", () => {
    const job = accepted(manifest({ env: [{ name: "A", value: "cpln://secret/db.user" }] }))
    expect(job.identity?.name).toBe(`${job.name}-identity`)
    expect(job.policy?.body).toMatchObject({
      name: `${job.name}-reveal-policy`,
      targetKind: "secret",
      targetLinks: ["//secret/db"],
      tags: { "prefect.io/work-pool-id": "0f3b6a52-97ea-4ffd-8d44-0cbf3d6e7b10" },
      bindings: [
        { permissions: ["reveal"], principalLinks: [`/org/acme/gvc/dev/identity/${job.name}-identity`] }
      ]
    })
    expect(`${job.name}-reveal-policy`.length).toBeLessThanOrEqual(63)
  })
})

describe("the Job around the pod", () => {
  it("needs metadata with a name and labels, a template and a pod", () => {
    expect(pathsOf({})).toEqual(["metadata", "spec"])
    expect(pathsOf({ metadata: {}, spec: {} })).toEqual([
      "metadata.generateName",
      "metadata.labels",
      "spec.template"
    ])
    expect(pathsOf("a text")).toEqual(["manifest"])
  })

  it("with a job type needs no generateName; a job type that is none is refused", () => {
    const given = manifest({}, { metadata: { generateName: undefined } })
    expect(accepted(given, { jobType: "ml-training" }).tags["cpln/prefectJobType"]).toBe("ml-training")
    expect(problems(given, { jobType: "ML\n" }).map(({ path }) => path)).toEqual(["job_type"])
  })

  it("loses no field without a word", () => {
    const job = accepted(
      manifest(
        { imagePullPolicy: "Always", livenessProbe: { exec: {} }, imagee: "typo" },
        {
          job: { completions: 3, ttlSecondsAfterFinished: 600, backoffLimit: 4 },
          metadata: { annotations: { a: "b" }, namespace: "other" },
          pod: { nodeSelector: { pool: "gpu" }, terminationGracePeriodSeconds: 300 }
        }
      )
    )
    const said = job.warnings.join("\n")
    for (const field of [
      "imagePullPolicy",
      "livenessProbe",
      "imagee",
      "completions",
      "ttlSecondsAfterFinished",
      "backoffLimit",
      "annotations",
      "namespace",
      "nodeSelector",
      "terminationGracePeriodSeconds"
    ]) {
      expect(said).toContain(field)
    }
  })

  it("of another kind that has its shape is run, with a warning; the plain one warns of nothing", () => {
    expect(accepted({ ...manifest({}), kind: "Deployment" }).warnings).toHaveLength(1)
    const plain = { backoffLimit: 0, completions: 1, parallelism: 1 }
    expect(accepted(manifest({}, { job: plain, pod: { completions: 1, parallelism: 1 } })).warnings).toEqual(
      []
    )
  })
})

describe("labels", () => {
  it("become texts; more than a command may carry are left out, Prefect's last, and that is said", () => {
    const many = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`l${index}`, index]))
    const job = accepted(manifest({}, { metadata: { labels: { ...many, "prefect.io/flow-name": "etl" } } }))
    expect(Object.keys(job.labels)).toHaveLength(45)
    expect(job.labels).toMatchObject({ "prefect.io/flow-name": "etl", l0: "0" })
    expect(job.warnings.join()).toContain("l59")
  })

  it("that are no texts are refused, and one called __proto__ stays a label", () => {
    expect(pathsOf(manifest({}, { metadata: { labels: { "a/b": {} } } }))).toEqual(['metadata.labels["a/b"]'])
    const labels = JSON.parse('{"__proto__": "x"}') as unknown
    expect(Object.keys(accepted(manifest({}, { metadata: { labels } })).labels)).toEqual(["__proto__"])
  })
})
