import { describe, expect, it } from "@effect/vitest"
import { accepted, containersOf, first, manifest, pathsOf } from "./convert-one.ts"

type Part = Readonly<Record<string, unknown>>

const withVolume = (source: Part, mount: Part = {}) =>
  manifest(
    { volumeMounts: [{ name: "v", mountPath: "/data", ...mount }] },
    { pod: { volumes: [{ name: "v", ...source }] } }
  )

const volumesOf = (source: Part, mount: Part = {}) =>
  containersOf(accepted(withVolume(source, mount)))[0]?.["volumes"]

const items = [
  { key: "cert", path: "cert.pem" },
  { key: "key", path: "private/key.pem" }
]

describe("volumes", () => {
  it.each<readonly [string, Part, Part, ReadonlyArray<Part>]>([
    [
      "a claim is a volume set",
      { persistentVolumeClaim: { claimName: "shared" } },
      {},
      [{ uri: "cpln://volumeset/shared", path: "/data" }]
    ],
    ["a secret", { secret: { secretName: "tls" } }, {}, [{ uri: "cpln://secret/tls", path: "/data" }]],
    [
      "one key by subPath",
      { secret: { secretName: "tls" } },
      { subPath: "cert" },
      [{ uri: "cpln://secret/tls.cert", path: "/data" }]
    ],
    [
      "items",
      { secret: { secretName: "tls", items } },
      {},
      [
        { uri: "cpln://secret/tls.cert", path: "/data/cert.pem" },
        { uri: "cpln://secret/tls.key", path: "/data/private/key.pem" }
      ]
    ],
    [
      "the item that subPath names, AT the mount path",
      { secret: { secretName: "tls", items } },
      { subPath: "cert.pem" },
      [{ uri: "cpln://secret/tls.cert", path: "/data" }]
    ],
    [
      "the items below subPath",
      { secret: { secretName: "tls", items } },
      { subPath: "private" },
      [{ uri: "cpln://secret/tls.key", path: "/data/key.pem" }]
    ],
    [
      "a config map is the secret of its name",
      { configMap: { name: "app" } },
      {},
      [{ uri: "cpln://secret/app", path: "/data" }]
    ],
    [
      "projected items",
      {
        projected: {
          sources: [
            { secret: { name: "tls", items: [{ key: "cert", path: "c" }] } },
            { configMap: { name: "app", items: [{ key: "M", path: "m" }] } }
          ]
        }
      },
      {},
      [
        { uri: "cpln://secret/tls.cert", path: "/data/c" },
        { uri: "cpln://secret/app.M", path: "/data/m" }
      ]
    ],
    ["an empty directory is scratch space", { emptyDir: {} }, {}, [{ uri: "scratch://v", path: "/data" }]]
  ])("%s", (_, source, mount, expected) => {
    expect(volumesOf(source, mount)).toEqual(expected)
  })

  it.each<readonly [string, Part]>([
    ["hostPath", { hostPath: { path: "/mnt" } }],
    ["nfs", { nfs: { server: "x", path: "/" } }],
    ["no kind at all", {}],
    ["two kinds", { emptyDir: {}, secret: { secretName: "x" } }]
  ])("of %s are refused", (_, source) => {
    expect(pathsOf(withVolume(source))).toEqual(["spec.template.spec.volumes[0]"])
  })

  it("that project a token are refused", () => {
    const source = { projected: { sources: [{ serviceAccountToken: { path: "token" } }] } }
    expect(pathsOf(withVolume(source))).toEqual([
      "spec.template.spec.volumes[0].projected.sources[0].serviceAccountToken"
    ])
  })

  it("without a name, or with names that the platform does not know, are refused", () => {
    expect(pathsOf(manifest({}, { pod: { volumes: [{ secret: { secretName: "x" } }] } }))).toEqual([
      "spec.template.spec.volumes[0].name"
    ])
    expect(pathsOf(withVolume({ secret: { secretName: "My.Secret" } }))).toEqual([
      "spec.template.spec.volumes[0].secret.secretName"
    ])
  })

  it("as null are refused, as the reference does; left out or empty there are none", () => {
    expect(pathsOf(manifest({}, { pod: { volumes: null } }))).toEqual(["spec.template.spec.volumes"])
    expect(containersOf(accepted(manifest({}, { pod: { volumes: [] } })))[0]).not.toHaveProperty("volumes")
  })

  it("that nothing mounts, and mounts of nothing, are said", () => {
    const job = accepted(
      manifest(
        { volumeMounts: [{ name: "ghost", mountPath: "/g" }] },
        { pod: { volumes: [{ name: "unused", hostPath: { path: "/" } }] } }
      )
    )
    expect(containersOf(job)[0]?.["volumes"]).toEqual([])
    expect(job.warnings.join("\n")).toMatch(
      /ghost[^]*no container mounts it: spec\.template\.spec\.volumes\[0\]/u
    )
  })
})

describe("mount paths", () => {
  it.each(["work", "/a/../b", "/tmp", "/tmp/", "/var", "/dev/log"])("%s is refused", (mountPath) => {
    expect(pathsOf(withVolume({ emptyDir: {} }, { mountPath }))).toEqual([
      `${first}.volumeMounts[0].mountPath`
    ])
  })

  it("must not be equal or lie inside one another, and may be in two containers", () => {
    const pod = {
      volumes: [
        { name: "a", emptyDir: {} },
        { name: "b", emptyDir: {} }
      ]
    }
    const mounts = (one: string, other: string) => ({
      volumeMounts: [
        { name: "a", mountPath: one },
        { name: "b", mountPath: other }
      ]
    })
    expect(pathsOf(manifest(mounts("/x", "/x/"), { pod }))).toEqual([`${first}.volumeMounts[1].mountPath`])
    expect(pathsOf(manifest(mounts("/x", "/x/y"), { pod }))).toEqual([`${first}.volumeMounts[1].mountPath`])
    expect(pathsOf(manifest(mounts("/x/y", "/x"), { pod }))).toEqual([`${first}.volumeMounts[1].mountPath`])
    expect(
      accepted(manifest(mounts("/x", "/xy"), { pod, sidecars: [{ image: "a:1", ...mounts("/x", "/z") }] }))
    ).toBeDefined()
  })

  it("may be fifteen at most", () => {
    const many = Array.from({ length: 16 }, (_, index) => ({ key: `k${index}`, path: `f${index}` }))
    expect(pathsOf(withVolume({ secret: { secretName: "x", items: many } }))).toEqual([
      `${first}.volumeMounts`
    ])
  })
})
