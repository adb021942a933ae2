/**
 * A Prefect server at the HTTP boundary that keeps block types, schemas and documents as the real ones do: texts and
 * schemas, secrets that are hidden by the document's own schema, references, conflicts.
 */
import { Effect, Layer } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { schemaChecksum } from "../../src/blocks/checksum.ts"
import { Blocks } from "../../src/prefect/blocks.ts"
import { access, type Answer, type Asked } from "../prefect/server.ts"

type Json = Readonly<Record<string, unknown>>

export interface TypeRow extends Json {
  readonly id: string
  readonly slug: string
}

export interface SchemaRow extends Json {
  readonly id: string
  readonly block_type_id: string
  readonly checksum: string
  readonly version: string
  readonly fields: Json
}

export interface DocumentRow {
  readonly id: string
  readonly name: string
  readonly block_type_id: string
  readonly is_anonymous: boolean
  block_schema_id: string
  data: Record<string, unknown>
  references: Record<string, string>
}

const hidden = "********"

const referenceIn = (value: unknown): string | undefined =>
  typeof value === "object" && value !== null && "$ref" in value
    ? (value.$ref as { block_document_id: string }).block_document_id
    : undefined

const withHidden = (data: Json, [key = "", ...rest]: ReadonlyArray<string>): Json => {
  const value = data[key]
  if (value === undefined || value === null) return data
  return { ...data, [key]: rest.length === 0 ? hidden : withHidden(value as Json, rest) }
}

export class PrefectBlocks {
  readonly types: Array<TypeRow & Record<string, unknown>> = []
  readonly schemas: Array<SchemaRow> = []
  readonly documents: Array<DocumentRow> = []
  readonly asked: Array<Asked> = []
  /** Runs before a request is answered; an answer of its own stands for the server's. */
  intercept: (asked: Asked) => Answer | undefined = () => undefined
  #last = 0

  id(): string {
    this.#last += 1
    return `00000000-0000-4000-8000-${String(this.#last).padStart(12, "0")}`
  }

  /** Requests that change something. */
  get writes(): ReadonlyArray<Asked> {
    return this.asked.filter(({ method, path }) => method !== "GET" && !path.endsWith("/filter"))
  }

  typeOf(slug: string): TypeRow & Record<string, unknown> {
    const found = this.types.find((each) => each.slug === slug)
    if (found === undefined) throw new Error(`no block type ${slug}`)
    return found
  }

  document(slug: string, name: string): DocumentRow {
    const type = this.typeOf(slug)
    const found = this.documents.find((each) => each.block_type_id === type.id && each.name === name)
    if (found === undefined) throw new Error(`no block ${slug}/${name}`)
    return found
  }

  addSchema(body: Json): { readonly row: SchemaRow; readonly isNew: boolean } {
    const fields = body["fields"] as Json
    const checksum = schemaChecksum(fields)
    const version = String(body["version"] ?? "non-versioned")
    const there = this.schemas.find((each) => each.checksum === checksum && each.version === version)
    if (there !== undefined) return { row: there, isNew: false }
    const row: SchemaRow = {
      ...body,
      id: this.id(),
      block_type_id: String(body["block_type_id"]),
      checksum,
      version,
      fields
    }
    this.schemas.push(row)
    return { row, isNew: true }
  }

  add(
    document: Omit<DocumentRow, "id" | "is_anonymous" | "references"> & { readonly is_anonymous?: boolean }
  ) {
    const row: DocumentRow = { is_anonymous: false, ...document, id: this.id(), data: {}, references: {} }
    this.#fill(row, document.data)
    this.documents.push(row)
    return row
  }

  /** What the server shows without secrets. */
  shown(row: DocumentRow): Json {
    const type = this.types.find(({ id }) => id === row.block_type_id)
    const schema = this.schemas.find(({ id }) => id === row.block_schema_id)
    const secrets = (schema?.fields["secret_fields"] ?? []) as ReadonlyArray<string>
    const inside = Object.entries(row.references).map(
      ([field, id]) => [field, this.documents.find((each) => each.id === id)!] as const
    )
    return {
      id: row.id,
      name: row.name,
      is_anonymous: row.is_anonymous,
      data: {
        ...secrets.reduce((data, secret) => withHidden(data, secret.split(".")), row.data as Json),
        ...Object.fromEntries(inside.map(([field, child]) => [field, this.shown(child)["data"]]))
      },
      block_type: type,
      block_schema_id: row.block_schema_id,
      block_schema: schema,
      block_document_references: Object.fromEntries(
        inside.map(([field, child]) => [
          field,
          { block_document: { id: child.id, name: child.name, block_type: this.shown(child)["block_type"] } }
        ])
      )
    }
  }

  #fill(row: DocumentRow, data: Json): void {
    const entries = Object.entries(data)
    row.references = Object.fromEntries(
      entries.flatMap(([key, value]) => {
        const id = referenceIn(value)
        return id === undefined ? [] : [[key, id]]
      })
    )
    row.data = Object.fromEntries(entries.filter(([, value]) => referenceIn(value) === undefined))
  }

  answer(asked: Asked): Answer {
    const { method } = asked
    const [path = "", query = ""] = asked.path.replace("/api", "").split("?")
    const body = (asked.body ?? {}) as Json
    const [, kind, ...rest] = path.split("/").map(decodeURIComponent)
    const missing: Answer = { status: 404, body: { detail: "not found" } }
    if (path === "/admin/version") return { status: 200, body: "3.8.8" }
    if (kind === "block_types" && method === "GET") {
      const type = this.types.find(({ slug }) => slug === rest[1])
      if (rest[2] !== "block_documents") return type === undefined ? missing : { status: 200, body: type }
      const row = this.documents.find((each) => each.block_type_id === type?.id && each.name === rest[4])
      return row === undefined ? missing : { status: 200, body: this.shown(row) }
    }
    if (kind === "block_types" && method === "POST") {
      if (this.types.some(({ slug }) => slug === body["slug"]))
        return { status: 409, body: { detail: "Block type already exists" } }
      const row = { ...body, id: this.id(), slug: String(body["slug"]) }
      this.types.push(row)
      return { status: 201, body: row }
    }
    if (kind === "block_types" && method === "PATCH") {
      Object.assign(this.types.find(({ id }) => id === rest[0]) ?? {}, body)
      return { status: 204 }
    }
    if (kind === "block_schemas" && method === "GET") {
      const version = new URLSearchParams(query).get("version")
      const row = this.schemas.find((each) => each.checksum === rest[1] && each.version === version)
      return row === undefined ? missing : { status: 200, body: row }
    }
    if (kind === "block_schemas") {
      const references = Object.values((body["fields"] as Json)["block_schema_references"] as Json)
      if (
        references.some((each) => !this.types.some(({ slug }) => slug === (each as Json)["block_type_slug"]))
      )
        return { status: 409, body: { detail: "block type was not found" } }
      const { isNew, row } = this.addSchema(body)
      return { status: isNew ? 201 : 200, body: row }
    }
    if (kind === "block_documents" && rest[0] === "filter") {
      const wanted = ((body["block_types"] as Json)["slug"] as Json)["any_"] as ReadonlyArray<string>
      const found = this.documents.map((row) => this.shown(row))
      return {
        status: 200,
        body: found.filter((each) => wanted.includes((each["block_type"] as TypeRow).slug))
      }
    }
    if (kind === "block_documents" && method === "POST") {
      const { name, block_type_id, block_schema_id, data } = body as unknown as DocumentRow
      if (this.documents.some((each) => each.block_type_id === block_type_id && each.name === name))
        return { status: 409, body: { detail: "Block already exists" } }
      return { status: 201, body: this.shown(this.add({ name, block_type_id, block_schema_id, data })) }
    }
    if (kind === "block_documents" && method === "PATCH") {
      const row = this.documents.find(({ id }) => id === rest[0])
      if (row === undefined) return missing
      this.#fill(row, {
        ...(body["merge_existing_data"] === false ? {} : row.data),
        ...(body["data"] as Json)
      })
      row.block_schema_id = String(body["block_schema_id"] ?? row.block_schema_id)
      return { status: 204 }
    }
    return { status: 404, body: { detail: "Not Found" } }
  }

  get client(): HttpClient.HttpClient {
    return clientOf((asked) => {
      this.asked.push(asked)
      return this.intercept(asked) ?? this.answer(asked)
    })
  }

  get layer(): Layer.Layer<Blocks> {
    return blocksOver(this.client)
  }
}

/** An HTTP client whose requests are answered by a function of them. */
export const clientOf = (answer: (asked: Asked) => Answer): HttpClient.HttpClient =>
  HttpClient.make((request, url) =>
    Effect.sync(() => {
      const text =
        request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : undefined
      const { body, status } = answer({
        method: request.method,
        path: url.pathname + url.search,
        headers: { ...request.headers },
        body: text === undefined ? undefined : (JSON.parse(text) as unknown)
      })
      const content = status === 204 || body === undefined ? null : JSON.stringify(body)
      return HttpClientResponse.fromWeb(
        request,
        new Response(content, { status, headers: { "content-type": "application/json" } })
      )
    })
  )

export const blocksOver = (client: HttpClient.HttpClient): Layer.Layer<Blocks> =>
  Blocks.layer(access, { ratePerSecond: 0 }).pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, client)))

/** Runs with this server as Prefect. */
export const on =
  (server: PrefectBlocks) =>
  <A, E>(work: Effect.Effect<A, E, Blocks>): Effect.Effect<A, E> =>
    Effect.provide(work, server.layer)
