/** What `agent blocks` tells a person and asks of a server. */
import { describe, expect, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import { catalogue } from "../../src/blocks/catalogue.ts"
import { told, withFile } from "./person.ts"
import { PrefectBlocks } from "./server.ts"

const token = "s3cret-of-a-service-account"

const manifest = `apiVersion: batch/v1
kind: Job
metadata: {labels: {}}
spec:
  template:
    spec:
      parallelism: 1
      completions: 1
      restartPolicy: Never
      containers: [{name: prefect-job, image: "i:1", env: []}]
`

describe("help", () => {
  const creates = catalogue.map(({ type }) => ["create", type.slug])
  it.effect.each([[], ["register"], ["list"], ["create"], ...creates].map((path) => [path] as const))(
    "fits 80 columns: %j",
    ([path]) =>
      Effect.gen(function* () {
        const { text } = yield* told(new PrefectBlocks(), [...path, "--help"])
        expect(text).toContain("USAGE")
        for (const line of text.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80)
      })
  )

  it.effect("has a create command for every block type", () =>
    Effect.gen(function* () {
      const { text } = yield* told(new PrefectBlocks(), ["create", "--help"])
      for (const { type } of catalogue) expect(text).toMatch(new RegExp(`^  ${type.slug} `, "mu"))
    })
  )
})

describe("agent blocks register", () => {
  it.effect("tells what it did, and the second time that nothing was changed", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      const first = yield* told(server, ["register"])
      expect(first.text.match(/ registered$/gmu)).toHaveLength(catalogue.length)
      const second = yield* told(server, ["register"])
      expect(second.text).toBe(
        `All ${catalogue.length} block types are on http://prefect.test/api already; nothing was changed.`
      )
    })
  )

  it.effect("names blocks whose token stands in clear, and hides it when asked to", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      yield* told(server, ["register"])
      const { id } = server.typeOf("control-plane-configuration")
      const plain = server.addSchema({ block_type_id: id, fields: { secret_fields: [] } }).row
      server.add({ name: "old", block_type_id: id, block_schema_id: plain.id, data: { token } })
      const named = yield* told(server, ["register"])
      expect(named.text).toContain("control-plane-configuration/old")
      expect(named.text).toContain("agent blocks register --protect")
      expect((yield* told(server, ["list"])).text).toContain("token in clear")
      const hidden = yield* told(server, ["register", "--protect"])
      expect(hidden.text).toMatch(/hidden from now on in:\n {2}control-plane-configuration\/old/u)
      const last = yield* told(server, ["register"])
      expect(last.text).toMatch(/nothing was changed\.$/u)
      for (const { text } of [named, hidden, last]) expect(text).not.toContain(token)
    })
  )

  it.effect("says which server refused it and what to check", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      server.intercept = () => ({ status: 401, body: { exception_message: "Unauthorized" } })
      const { text, failed } = yield* told(server, ["register"])
      expect(failed).toBe(true)
      expect(text).toMatch(/http:\/\/prefect\.test\/api refused the credentials[^]*PREFECT_API_KEY/u)
    })
  )
})

describe("agent blocks create", () => {
  const create = ["create", "control-plane-infrastructure-config", "conf"]
  const stored = (server: PrefectBlocks) =>
    server.document("control-plane-infrastructure-config", "conf").data

  it.effect("takes the token from CPLN_TOKEN, and registers what is missing", () =>
    Effect.gen(function* () {
      vi.stubEnv("CPLN_TOKEN", token)
      const server = new PrefectBlocks()
      const { text } = yield* told(server, create)
      expect(text).toMatch(/control-plane-infrastructure-config +registered/u)
      expect(text).toMatch(/conf created on http:\/\/prefect\.test\/api \(token from CPLN_TOKEN\)\.$/u)
      expect(text).not.toContain(token)
      expect(stored(server)).toEqual({ token })
    })
  )

  it.effect(
    "takes the token from standard input where there is no other, and always with --token-stdin",
    () =>
      Effect.gen(function* () {
        const server = new PrefectBlocks()
        expect((yield* told(server, create, `${token}\n`)).text).toContain("token from standard input")
        expect(stored(server)).toEqual({ token })
        vi.stubEnv("CPLN_TOKEN", "another")
        yield* told(server, [...create, "--replace", "--token-stdin"], "t-2\n")
        expect(stored(server)).toEqual({ token: "t-2" })
      })
  )

  it.effect("leaves the token out when it is told to", () =>
    Effect.gen(function* () {
      vi.stubEnv("CPLN_TOKEN", token)
      const server = new PrefectBlocks()
      yield* told(server, [...create, "--without-token"])
      expect(stored(server)).toEqual({})
    })
  )

  it.effect.each([
    ["none at all", create, ""],
    ["an argument", [...create, token], ""],
    ["a flag", [...create, "--token", token], ""],
    ["more than one word", create, `${token}\nand more`],
    ["contradicting flags", [...create, "--token-stdin", "--without-token"], token]
  ] as const)("refuses a token that comes as %s, and does not repeat it", ([, args, stdin]) =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      const { text, failed } = yield* told(server, args, stdin)
      expect(failed).toBe(true)
      expect(text).toMatch(/token/u)
      expect(text).not.toContain(token)
      expect(server.asked).toEqual([])
    })
  )

  it.effect("makes an infrastructure block with the reference's field names", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      yield* told(server, create, token)
      const patch = yield* withFile("- {op: add, path: /spec/backoffLimit, value: 0}")
      const line =
        "--config conf --image i:1 --env A=1 --env B=2 --label team=data --org acme --gvc dev --location aws-us-west-2 --service-account flows --job-type etl --job-name nightly --job-watch-timeout 60 --pod-watch-timeout 90 --no-stream-output"
      const { text } = yield* told(server, [
        "create",
        "control-plane-infrastructure",
        "infra",
        "--job",
        yield* withFile(manifest),
        "--customizations",
        patch,
        "--command",
        "python -m 'prefect.engine'",
        ...line.split(" ")
      ])
      expect(text).toMatch(/control-plane-infrastructure\/infra created/u)
      const { data, references } = server.document("control-plane-infrastructure", "infra")
      expect(data).toEqual({
        type: "cpln-infrastructure",
        env: { A: "1", B: "2" },
        labels: { team: "data" },
        name: "nightly",
        command: ["python", "-m", "prefect.engine"],
        org: "acme",
        namespace: "dev",
        location: "aws-us-west-2",
        service_account_name: "flows",
        job_type: "etl",
        job: expect.objectContaining({ kind: "Job" }) as unknown,
        customizations: [{ op: "add", path: "/spec/backoffLimit", value: 0 }],
        image: "i:1",
        job_watch_timeout_seconds: 60,
        pod_watch_timeout_seconds: 90,
        stream_output: false
      })
      const fields = catalogue.at(-1)?.schema.fields["properties"] as object
      expect(Object.keys(fields).sort()).toEqual([...Object.keys(data), ...Object.keys(references)].sort())
    }).pipe(Effect.scoped)
  )

  it.effect("makes credentials and a CplnJob block with the reference's field names", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      yield* told(server, ["create", "control-plane-configuration", "prod"], token)
      yield* told(server, ["create", "control-plane-credentials", "prod", "--config", "prod"])
      const line =
        "create cpln-job nightly --credentials prod --org acme --gvc dev --location l --keep --interval 3 --timeout 60 --job"
      yield* told(server, [...line.split(" "), yield* withFile(manifest)])
      const { data, references } = server.document("cpln-job", "nightly")
      expect(data).toEqual({
        org: "acme",
        namespace: "dev",
        location: "l",
        v1_job: expect.objectContaining({ kind: "Job" }) as unknown,
        delete_after_completion: false,
        interval_seconds: 3,
        timeout_seconds: 60
      })
      const { schema } = catalogue.find(({ type }) => type.slug === "cpln-job")!
      expect(Object.keys(schema.fields["properties"] as object).sort()).toEqual(
        [...Object.keys(data), ...Object.keys(references)].sort()
      )
    }).pipe(Effect.scoped)
  )

  it.effect("tells every problem at once, and asks the server for nothing", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      const broken = yield* withFile("a: [s3cret")
      const { text, failed } = yield* told(server, [
        "create",
        "control-plane-infrastructure",
        "No Name",
        "--job",
        broken,
        "--customizations",
        "/nowhere.yaml",
        "--env",
        "s3cret",
        "--command",
        "sh 'a",
        "--job-watch-timeout",
        "0"
      ])
      expect(failed).toBe(true)
      for (const said of ["NAME", `--job ${broken}: line 1`, "/nowhere.yaml: it cannot be read", "--env"])
        expect(text).toContain(said)
      for (const said of ["--command", "--job-watch-timeout", "nothing was changed", "--help"])
        expect(text).toContain(said)
      expect(text).not.toContain("s3cret")
      expect(server.asked).toEqual([])
    }).pipe(Effect.scoped)
  )

  it.effect("makes a block whose jobs would be refused, and warns of it", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      const path = yield* withFile(manifest.replace("env: []", "env: [{name: K_REVISION, value: a}]"))
      const { text, failed } = yield* told(server, ["create", "cpln-job", "j", "--job", path])
      expect(failed).toBe(false)
      expect(text).toMatch(/cpln-job\/j created/u)
      expect(text).toMatch(/As it stands, Control Plane would refuse its jobs\. .*K_REVISION/u)
    }).pipe(Effect.scoped)
  )
})

describe("agent blocks list", () => {
  it.effect("names blocks and those in them, never a value", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      expect((yield* told(server, ["list"])).text).toContain(
        "No Control Plane blocks on http://prefect.test/api"
      )
      yield* told(server, ["create", "control-plane-configuration", "prod"], token)
      yield* told(server, ["create", "control-plane-credentials", "all", "--config", "prod"])
      expect((yield* told(server, ["list"])).text).toBe(
        "control-plane-configuration/prod\ncontrol-plane-credentials/all   (config: prod)"
      )
    })
  )
})
