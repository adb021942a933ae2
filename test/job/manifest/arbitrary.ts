/**
 * Manifests for tests: plausible ones, spoilt ones, and any JSON at all, each from one seed.
 *
 * Invariant: the same seed gives the same values on every machine.
 */

export type Chance = () => number

/** Numbers in [0, 1) from a 32-bit seed (mulberry32). */
export const seeded = (seed: number): Chance => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export const below = (chance: Chance, limit: number): number => Math.floor(chance() * limit)

export const pick = <A>(chance: Chance, from: ReadonlyArray<A>): A => from[below(chance, from.length)] as A

const keys = [
  ..."metadata spec template containers name image command args env envFrom value valueFrom secretKeyRef".split(
    " "
  ),
  ..."configMapKeyRef fieldRef fieldPath key secretRef configMapRef prefix volumes volumeMounts mountPath".split(
    " "
  ),
  ..."subPath secret secretName items path projected sources emptyDir persistentVolumeClaim claimName".split(
    " "
  ),
  ..."resources limits requests cpu memory lifecycle preStop exec labels generateName restartPolicy".split(
    " "
  ),
  ..."activeDeadlineSeconds securityContext runAsUser fsGroup serviceAccountName initContainers kind".split(
    " "
  ),
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "",
  "a/b",
  "é"
]

const texts = [
  ..."a prefect-job side Job Never OnFailure Always //identity/x 0 -1 500m 2Gi 1e9 0.5 10m /data /data/x".split(
    " "
  ),
  ..."/tmp / .. /a/../b x.y CPLN_X K_REVISION db gone A metadata.name status.phase status.podIP".split(" "),
  ..."cpln://secret/db.user cpln://secret/ __proto__ \u0000 \ud83d 日本 🚀".split(" "),
  "",
  " ",
  "B C",
  "cpln://secret/A B",
  "x".repeat(300),
  "y".repeat(5000)
]

const numbers = [
  0,
  1,
  -1,
  0.5,
  2,
  1337,
  65534,
  65535,
  86400,
  86401,
  1e21,
  1e-9,
  536870912,
  Number.MAX_SAFE_INTEGER
]

/** Any JSON, at most `depth` levels deep. */
export const anyJson = (chance: Chance, depth = 4): unknown => {
  switch (below(chance, depth > 0 ? 8 : 5)) {
    case 0:
      return null
    case 1:
      return chance() < 0.5
    case 2:
      return pick(chance, numbers)
    case 3:
    case 4:
      return pick(chance, texts)
    case 5:
      return Array.from({ length: below(chance, 4) }, () => anyJson(chance, depth - 1))
    default:
      return Object.fromEntries(
        Array.from({ length: below(chance, 5) }, () => [pick(chance, keys), anyJson(chance, depth - 1)])
      )
  }
}

const maybe = (chance: Chance, share: number, part: () => Readonly<Record<string, unknown>>) =>
  chance() < share ? part() : {}

const variables = (chance: Chance) =>
  Array.from({ length: below(chance, 4) }, (_, index) => {
    const name = `VAR_${index}`
    switch (below(chance, 6)) {
      case 0:
        return { name }
      case 1:
        return { name, value: `cpln://secret/${pick(chance, ["db", "app-config"])}.user` }
      case 2:
        return { name, valueFrom: { secretKeyRef: { name: "db", key: pick(chance, ["user", "pass-word"]) } } }
      case 3:
        return { name, valueFrom: { configMapKeyRef: { name: "app-config", key: "MODE" } } }
      case 4:
        return {
          name,
          valueFrom: { fieldRef: { fieldPath: pick(chance, ["metadata.name", "status.podIP"]) } }
        }
      default:
        return { name, value: pick(chance, ["", "1", "日本 🚀", "a b"]) }
    }
  })

const volumeSources = [
  { secret: { secretName: "tls-cert" } },
  { secret: { secretName: "tls-cert", items: [{ key: "cert", path: "cert.pem" }] } },
  { configMap: { name: "app-config" } },
  { emptyDir: {} },
  { emptyDir: { medium: "Memory" } },
  { persistentVolumeClaim: { claimName: "shared-data" } },
  { projected: { sources: [{ secret: { name: "db", items: [{ key: "user", path: "u" }] } }] } }
]

const sizes = [
  ["500m", "512Mi"],
  ["1", "2Gi"],
  ["0.25", "1000M"],
  ["25m", "32Mi"],
  ["4", "30Gi"]
] as const

const containerOf = (chance: Chance, index: number, volumes: ReadonlyArray<string>) => ({
  ...(index > 0 && chance() < 0.5 ? {} : { name: index === 0 ? "main" : `side-${index}x` }),
  image: pick(chance, ["acme/flows:1.4.2", "/org/acme/image/flows:2", "//image/x:1"]),
  ...maybe(chance, 0.3, () => ({ command: ["sh", "-c", "echo a b"] })),
  ...maybe(chance, 0.6, () => ({ args: ["prefect", "flow-run", "execute"] })),
  ...maybe(chance, 0.6, () => ({ env: variables(chance) })),
  ...maybe(chance, 0.2, () => ({ envFrom: [{ prefix: "P_", secretRef: { name: "app-config" } }] })),
  ...maybe(chance, 0.5, () => {
    const [cpu, memory] = pick(chance, sizes)
    return { resources: { limits: { cpu, memory } } }
  }),
  ...maybe(chance, 0.3, () => ({ workingDir: pick(chance, ["/opt/flows", "/données"]) })),
  ...maybe(chance, 0.2, () => ({ lifecycle: { preStop: { exec: { command: ["true"] } } } })),
  ...maybe(chance, 0.5, () => ({
    volumeMounts: volumes.map((name) => ({ name, mountPath: `/mnt/${name}` }))
  }))
})

/** A manifest that a user might write, and that converts. */
export const plausible = (chance: Chance): Record<string, unknown> => {
  const volumes = Array.from({ length: below(chance, 3) }, (_, index) => ({
    name: `v${index}`,
    ...pick(chance, volumeSources)
  }))
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: {
      generateName: pick(chance, ["daily-report", "2026-x", "", "Any Name"]),
      labels: { "prefect.io/flow-name": "etl", ...maybe(chance, 0.3, () => ({ team: "data" })) },
      ...maybe(chance, 0.3, () => ({ annotations: { a: "b" } }))
    },
    spec: {
      backoffLimit: 0,
      ...maybe(chance, 0.2, () => ({ activeDeadlineSeconds: 1 + below(chance, 86_400) })),
      template: {
        spec: {
          restartPolicy: pick(chance, ["Never", "Never", "OnFailure"]),
          containers: Array.from({ length: 1 + below(chance, 3) }, (_, index) =>
            containerOf(
              chance,
              index,
              volumes.map(({ name }) => name)
            )
          ),
          ...maybe(chance, 0.7, () => ({ volumes })),
          ...maybe(chance, 0.2, () => ({ serviceAccountName: "flow-runner" })),
          ...maybe(chance, 0.2, () => ({ securityContext: { runAsUser: 1000, fsGroup: 2000 } })),
          ...maybe(chance, 0.1, () => ({ activeDeadlineSeconds: 60 }))
        }
      }
    }
  }
}

/** A plausible manifest with a few of its parts replaced, doubled or taken out. */
export const spoilt = (chance: Chance): unknown => {
  const manifest = structuredClone(plausible(chance))
  for (let times = 1 + below(chance, 3); times > 0; times--) spoil(chance, manifest)
  return manifest
}

const spoil = (chance: Chance, root: Record<string, unknown>): void => {
  let at: Record<string, unknown> | Array<unknown> = root
  for (;;) {
    const members: ReadonlyArray<string> = Object.keys(at)
    if (members.length === 0) return
    const key = pick(chance, members)
    const child: unknown = (at as Record<string, unknown>)[key]
    if (typeof child === "object" && child !== null && chance() < 0.85) {
      at = child as Record<string, unknown>
      continue
    }
    if (Array.isArray(at)) {
      const index = Number(key)
      if (chance() < 0.5) at[index] = anyJson(chance, 3)
      else at.push(child)
    } else if (chance() < 0.2) delete at[key]
    else if (chance() < 0.7) at[key] = anyJson(chance, 3)
    else at[pick(chance, keys)] = anyJson(chance, 3)
    return
  }
}
