import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { type Saving, save } from "../../src/blocks/create.ts"
import { on, PrefectBlocks } from "./server.ts"

const saving = (given: Partial<Saving> & Pick<Saving, "slug" | "name">, data: object = {}): Saving => ({
  data: Redacted.make(data as Record<string, unknown>),
  nested: {},
  replace: false,
  ...given
})

const config = saving({ slug: "control-plane-infrastructure-config", name: "conf" }, { token: "s3cret" })
const infrastructure = saving(
  { slug: "control-plane-infrastructure", name: "infra", nested: { config: "conf" } },
  { type: "cpln-infrastructure", image: "i:1", env: { A: "1" } }
)

describe("saving a block", () => {
  it.effect("registers what is missing, and refers to saved blocks by their id", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      const first = yield* on(server)(save(config))
      expect(first.outcome).toBe("created")
      expect(first.registered.map(({ slug }) => slug)).toEqual(["control-plane-infrastructure-config"])
      yield* on(server)(save(infrastructure))
      const made = server.document("control-plane-infrastructure", "infra")
      expect(made.data).toEqual(Redacted.value(infrastructure.data))
      expect(made.references).toEqual({
        config: server.document("control-plane-infrastructure-config", "conf").id
      })
      expect(JSON.stringify(server.shown(made))).not.toContain("s3cret")
    })
  )

  it.effect("under a name that is taken changes nothing and says what to do", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      yield* on(server)(save(config))
      const before = server.writes.length
      const error = yield* Effect.flip(
        on(server)(save(saving({ slug: config.slug, name: "conf" }, { token: "s3cret-2" })))
      )
      expect(error._tag).toBe("BlockExists")
      expect(error.message).toMatch(
        /control-plane-infrastructure-config\/conf exists already on http:.*\n.*--replace/u
      )
      expect(error.message).not.toContain("s3cret")
      expect(server.writes).toHaveLength(before)
    })
  )

  it.effect("that another made in the meantime is told like one that was there", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      server.intercept = ({ path }) =>
        path === "/api/block_documents/"
          ? { status: 409, body: { detail: "Block already exists" } }
          : undefined
      expect((yield* Effect.flip(on(server)(save(config))))._tag).toBe("BlockExists")
    })
  )

  for (const [whose, outcome] of [
    ["its own earlier try, whose answer was lost, counts as created", "created"],
    ["another with other fields meanwhile is not called created", "BlockExists"]
  ] as const) {
    it.effect(`that was made by ${whose}`, () =>
      Effect.gen(function* () {
        const server = new PrefectBlocks()
        const given = saving(
          { slug: infrastructure.slug, name: "infra" },
          { type: "cpln-infrastructure", image: "i:1", env: { STAGE: "x" } }
        )
        let left = 1
        server.intercept = ({ path, body }) => {
          if (path !== "/api/block_documents/" || left-- < 1) return undefined
          const { block_schema_id, block_type_id, data, name } = body as Record<string, string>
          const stored = outcome === "created" ? data : { image: "i:2" }
          server.add({
            name: name!,
            block_type_id: block_type_id!,
            block_schema_id: block_schema_id!,
            data: stored as never
          })
          return { status: 503 }
        }
        const fiber = yield* Effect.forkChild(
          on(server)(save(given)).pipe(
            Effect.match({ onFailure: ({ _tag }) => _tag, onSuccess: (saved) => saved.outcome })
          )
        )
        yield* TestClock.adjust("1 minute")
        expect(yield* Fiber.join(fiber)).toBe(outcome)
        expect(server.documents).toHaveLength(1)
      })
    )
  }

  it.effect("with `replace` leaves nothing of the one that was there but its id", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      yield* on(server)(save(config))
      yield* on(server)(save(infrastructure))
      const { id } = server.document("control-plane-infrastructure", "infra")
      const { outcome } = yield* on(server)(
        save(saving({ slug: "control-plane-infrastructure", name: "infra", replace: true }, { image: "i:2" }))
      )
      expect(outcome).toBe("replaced")
      expect(server.document("control-plane-infrastructure", "infra")).toMatchObject({
        id,
        data: { image: "i:2" },
        references: {}
      })
    })
  )

  it.effect("with `replace` where there is none makes it", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      expect((yield* on(server)(save({ ...config, replace: true }))).outcome).toBe("created")
    })
  )

  it.effect("with `replace` moves a block of the Python package to the schema that hides its token", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      server.types.push({ id: server.id(), slug: config.slug })
      const { id } = server.typeOf(config.slug)
      const plain = server.addSchema({ block_type_id: id, fields: { secret_fields: [] } }).row
      server.add({ name: "conf", block_type_id: id, block_schema_id: plain.id, data: { token: "old" } })
      yield* on(server)(save({ ...config, replace: true }))
      expect(server.shown(server.document(config.slug, "conf"))["data"]).toEqual({ token: "********" })
    })
  )

  it.effect("that names one which does not exist writes nothing and says how to make that one", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      const error = yield* Effect.flip(on(server)(save(infrastructure)))
      expect(error._tag).toBe("NoSuchBlock")
      expect(error.message).toContain("control-plane-infrastructure-config/conf")
      expect(error.message).toContain("--config")
      expect(error.message).toContain("agent blocks create control-plane-infrastructure-config conf")
      expect(server.writes).toEqual([])
    })
  )
})
