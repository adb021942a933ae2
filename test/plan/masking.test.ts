/** What of a plan is hidden, and how differences are told. */
import { describe, expect, it } from "@effect/vitest"
import { changes } from "../../src/plan/changes.ts"
import { hidden, masking, secretsIn } from "../../src/plan/masking.ts"

describe("masking", () => {
  const mask = masking(["hunter2", "ab"])

  it("hides a secret wherever it stands, inside texts too", () => {
    expect(mask({ args: ["--password=hunter2"], note: "hunter2", list: [{ deep: "xhunter2y" }] })).toEqual({
      args: [`--password=${hidden}`],
      note: hidden,
      list: [{ deep: `x${hidden}y` }]
    })
  })

  it("hides a short one only where it stands alone", () => {
    expect(mask(["ab", "about"])).toEqual([hidden, "about"])
  })

  it("hides the values of variables that are named like secrets, and leaves references to secrets", () => {
    expect(
      mask([
        { name: "PREFECT_API_KEY", value: "pnu_1" },
        { name: "DB_PASSWORD", value: "cpln://secret/db.password" },
        { name: "STAGE", value: "prod" },
        { name: "API_TOKEN", value: "" }
      ])
    ).toEqual([
      { name: "PREFECT_API_KEY", value: hidden },
      { name: "DB_PASSWORD", value: "cpln://secret/db.password" },
      { name: "STAGE", value: "prod" },
      { name: "API_TOKEN", value: "" }
    ])
  })

  it("hides user and password of an address", () => {
    expect(mask("postgres://me:word@host/db")).toBe(`postgres://${hidden}@host/db`)
    expect(mask("https://host/a@b:c")).toBe("https://host/a@b:c")
  })
})

describe("secrets of a block", () => {
  it("are what the server shows as asterisks, with everything under them", () => {
    const full = { value: "s1", open: "o", nested: { config: { token: "s2" } }, all: { a: "s3", b: ["s4"] } }
    const shown = { value: hidden, open: "o", nested: { config: { token: hidden } }, all: hidden }
    expect(secretsIn(full, shown)).toEqual(["s1", "s2", "s3", "s4"])
  })

  it("are tokens that an old schema keeps in clear, too, and nothing else of a manifest", () => {
    const full = { token: "s1", job: { secretKeyRef: { name: "db", key: "user" } } }
    expect(secretsIn(full, full)).toEqual(["s1"])
  })
})

describe("changes", () => {
  it("tell each difference with both values, containers by their names", () => {
    const there = {
      job: { restartPolicy: "OnFailure" },
      containers: [{ name: "b", cpu: "1" }, { name: "a" }]
    }
    const planned = { job: { restartPolicy: "Never" }, containers: [{ name: "a" }, { name: "b" }] }
    expect(changes(there, planned, "spec")).toEqual([
      { path: "spec.job.restartPolicy", there: "OnFailure", planned: "Never" },
      { path: "spec.containers[b].cpu", there: "1", planned: null }
    ])
    expect(changes(planned, planned, "spec")).toEqual([])
  })
})
