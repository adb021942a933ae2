import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Redacted } from "effect"
import { HttpClient } from "effect/http"
import { Socket } from "effect/socket"
import { TestClock } from "effect/testing"
import { startUp } from "../../src/agent/start-up.ts"
import { ControlPlane } from "../../src/cpln/control-plane.ts"
import { recordOf } from "../../src/job/json.ts"
import { officialTemplate, type TemplateDefaults } from "../../src/job/template.ts"
import { Prefect } from "../../src/prefect/prefect.ts"
import { answer, type Answering, type Asked, serving } from "../http/service.ts"
import { access } from "../prefect/server.ts"

const version = "3.8.8"

interface Given {
  readonly pool?: Omit<TemplateDefaults, "version">
  /** Over the usual template. */
  readonly template?: Readonly<Record<string, unknown>>
  readonly org?: string
  readonly token?: string
  readonly url?: string
  /** Before anything else that answers. */
  readonly answers?: (asked: Asked) => Answering | undefined
}

/** What comes of a start after a minute, what was said of it, and what was asked. */
const starting = Effect.fnUntraced(function* (given: Given) {
  const lines: Array<string> = []
  const url = given.url ?? access.url
  const service = serving((asked) => {
    const own = given.answers?.(asked)
    if (own !== undefined) return own
    if (asked.path.endsWith("/admin/version")) return answer(200, JSON.stringify(version))
    if (!asked.path.includes("/work_pools/")) return answer(200, {})
    const base_job_template = given.template ?? officialTemplate({ version, ...given.pool })
    return answer(200, { id: "1", name: "cpln", type: "cpln", base_job_template })
  })
  const layers = Layer.mergeAll(
    Prefect.layer({ ...access, url }, { ratePerSecond: 0 }),
    ControlPlane.layerWith({ ratePerSecond: 0, logsEndpoint: undefined, logsToken: undefined })
  ).pipe(
    Layer.provide(Layer.succeed(HttpClient.HttpClient, service.client)),
    Layer.provide(
      Layer.succeed(Socket.WebSocketConstructor, () => {
        throw new Error("no tails here")
      })
    )
  )
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    lines.push(`${logLevel} ${String(message)}`)
  })
  const fiber = yield* startUp({
    pool: "cpln",
    queues: [],
    createPool: false,
    baseJobTemplate: undefined,
    environment: {},
    injected: {
      endpoint: "http://cpln.test",
      org: given.org,
      gvc: undefined,
      location: undefined,
      token: given.token === undefined ? undefined : Redacted.make(given.token)
    }
  }).pipe(
    Effect.match({ onFailure: ({ message }) => message, onSuccess: () => "started" }),
    Effect.provide(Layer.merge(layers, Logger.layer([logger]))),
    Effect.forkChild
  )
  yield* TestClock.adjust("1 minute")
  return { outcome: yield* Fiber.join(fiber), lines: lines.join("\n"), asked: service.asked }
})

const orgs = (asked: ReadonlyArray<Asked>) =>
  asked.flatMap(({ path }) => (path.startsWith("/org/") ? [path.slice("/org/".length)] : []))

const refusing =
  (org: string, status: number) =>
  ({ path }: Asked) =>
    path === `/org/${org}` ? answer(status, { message: "no" }) : undefined

describe("the agent's credential", () => {
  it.effect("is tried on the org that only the pool's template names", () =>
    Effect.gen(function* () {
      const { asked, lines, outcome } = yield* starting({ pool: { org: "acme" }, token: "t" })
      expect(outcome).toBe("started")
      expect(orgs(asked)).toEqual(["acme"])
      expect(lines).toContain('Control Plane org "acme"')
      expect(lines).not.toContain("CPLN_ORG")
    })
  )

  it.effect("that is not accepted there ends the start, with the pool named and what to do", () =>
    Effect.gen(function* () {
      const { outcome } = yield* starting({
        pool: { org: "acme" },
        token: "t",
        answers: refusing("acme", 401)
      })
      expect(outcome).toMatch(/org "acme", which the template of work pool "cpln" names.*401/u)
      expect(outcome).toMatch(/\n {2}Check CPLN_TOKEN/u)
    })
  )

  for (const status of [403, 404]) {
    it.effect(`that may not use that org (${status}) is said as an error, and the agent starts`, () =>
      Effect.gen(function* () {
        const { lines, outcome } = yield* starting({
          pool: { org: "acme" },
          org: "own",
          token: "t",
          answers: refusing("acme", status)
        })
        expect(outcome).toBe("started")
        expect(lines).toMatch(/Error .*CPLN_TOKEN does not open org "acme".*work pool "cpln".*Correct/u)
      })
    )

    it.effect(`that may not use the org of the settings (${status}) ends the start`, () =>
      Effect.gen(function* () {
        const { outcome } = yield* starting({ org: "own", token: "t", answers: refusing("own", status) })
        expect(outcome).toContain(`refused the credential for org "own"`)
      })
    )
  }

  it.effect("is not tried on the pool's org where the pool brings its own credential", () =>
    Effect.gen(function* () {
      const template = officialTemplate({ version, org: "acme" })
      const configuration = recordOf(template["job_configuration"])
      const config = "{{ prefect.blocks.control-plane-configuration.prod }}"
      const { asked, lines } = yield* starting({
        template: { ...template, job_configuration: { ...configuration, config } },
        token: "t"
      })
      expect(orgs(asked)).toEqual([])
      expect(lines).not.toContain("CPLN_")
    })
  )

  it.effect("without an org anywhere, or missing itself, is said to be the deployments' matter", () =>
    Effect.gen(function* () {
      expect((yield* starting({ token: "t" })).lines).toContain("CPLN_ORG is not set, and the pool names no")
      const { asked, lines } = yield* starting({ pool: { org: "acme" } })
      expect(lines).toContain("CPLN_TOKEN is not set")
      expect(lines).not.toContain("CPLN_ORG")
      expect(orgs(asked)).toEqual([])
    })
  )
})

describe("a first answer that cannot be read", () => {
  const page = answer(200, "<html>Sign in</html>", { "content-type": "text/html; charset=utf-8" })
  const login = ({ path }: Asked) => (path.startsWith("/org/") ? undefined : page)

  it.effect("is waited out: a proxy may have given it", () =>
    Effect.gen(function* () {
      let left = 3
      const { lines, outcome } = yield* starting({
        answers: (asked) => (left > 0 && left-- > 0 ? login(asked) : undefined)
      })
      expect(outcome).toBe("started")
      expect(lines.match(/text\/html with status 200, not JSON.*trying again/gu)).toHaveLength(3)
    })
  )

  it.effect("of the pool, too", () =>
    Effect.gen(function* () {
      let left = 2
      const { outcome } = yield* starting({
        answers: ({ path }) => (path.includes("/work_pools/") && left > 0 && left-- > 0 ? page : undefined)
      })
      expect(outcome).toBe("started")
    })
  )

  it.effect("of the pool that stays is told with the place in it", () =>
    Effect.gen(function* () {
      const { outcome } = yield* starting({ template: "none" as never })
      expect(outcome).toMatch(
        /gave what is not known.* GET \/work_pools\/cpln .*at \["base_job_template"\]\n/u
      )
    })
  )

  it.effect("that stays ends the start, with what it was and what to do", () =>
    Effect.gen(function* () {
      const { asked, outcome } = yield* starting({ answers: login })
      expect(outcome).toMatch(/http:\/\/prefect\.test\/api.*text\/html with status 200/u)
      expect(outcome).toMatch(/\n {2}.*proxy.*PREFECT_CLIENT_CUSTOM_HEADERS/u)
      expect(outcome).not.toContain("Sign in")
      expect(asked).toHaveLength(11)
    })
  )

  it.effect("of an address without /api ends it at once", () =>
    Effect.gen(function* () {
      const { asked, outcome } = yield* starting({ url: "http://prefect.test", answers: login })
      expect(outcome).toContain("http://prefect.test/api")
      expect(asked).toHaveLength(1)
    })
  )
})
