/**
 * The objects of the Control Plane API, cut down to what an agent reads.
 *
 * Invariant: stages and statuses stay text. One that we do not know is "not final, keep watching".
 */
import { Schema } from "effect"

const maybe = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))
const Tags = Schema.Record(Schema.String, Schema.Unknown)

export const Link = Schema.Struct({ rel: Schema.String, href: Schema.String })

/** A workload by the three names that its path is made of. */
export class WorkloadRef extends Schema.Class<WorkloadRef>("WorkloadRef")({
  org: Schema.NonEmptyString,
  gvc: Schema.NonEmptyString,
  name: Schema.NonEmptyString
}) {
  get path(): string {
    return `/org/${encodeURIComponent(this.org)}/gvc/${encodeURIComponent(this.gvc)}/workload/${encodeURIComponent(this.name)}`
  }
}

/** `created` is ISO; `lastModified` of a final command is when it became final. */
export const Command = Schema.Struct({
  id: Schema.String,
  type: Schema.String,
  created: Schema.String,
  lastModified: maybe(Schema.String),
  version: maybe(Schema.Number),
  /** pending, running, completed, failed, cancelled, cancellation-requested, or something new. */
  lifecycleStage: Schema.String,
  tags: Schema.optionalKey(Tags),
  spec: Schema.optionalKey(
    Schema.Struct({
      location: maybe(Schema.String),
      replica: maybe(Schema.String),
      containerOverrides: maybe(
        Schema.Array(
          Schema.Struct({
            name: Schema.String,
            command: maybe(Schema.String),
            args: maybe(Schema.Array(Schema.String))
          })
        )
      )
    })
  ),
  status: maybe(Schema.Struct({ replica: maybe(Schema.String) }))
})
export type Command = typeof Command.Type

export const Container = Schema.Struct({
  name: maybe(Schema.String),
  ready: maybe(Schema.Boolean),
  message: maybe(Schema.String),
  restarts: maybe(
    Schema.Struct({
      exitCode: maybe(Schema.Number),
      reason: maybe(Schema.String),
      count: maybe(Schema.Number)
    })
  )
})

/** One run of a job in one location; that of a command is named `command-<id>`. */
export const JobExecution = Schema.Struct({
  name: Schema.String,
  /** successful, failed, active, pending, invalid, removed, or empty. */
  status: maybe(Schema.String),
  startTime: maybe(Schema.String),
  completionTime: maybe(Schema.String),
  replica: maybe(Schema.String),
  message: maybe(Schema.String),
  conditions: maybe(
    Schema.Array(
      Schema.Struct({
        type: maybe(Schema.String),
        status: maybe(Schema.String),
        reason: maybe(Schema.String),
        message: maybe(Schema.String)
      })
    )
  ),
  containers: maybe(Schema.Record(Schema.String, Container))
})
export type JobExecution = typeof JobExecution.Type

export const Deployment = Schema.Struct({
  name: Schema.String,
  status: maybe(
    Schema.Struct({
      ready: maybe(Schema.Boolean),
      deploying: maybe(Schema.Boolean),
      message: maybe(Schema.String),
      jobExecutions: maybe(Schema.Array(JobExecution))
    })
  )
})
export type Deployment = typeof Deployment.Type

/** `spec` is left as it came: the service fills in defaults, so it is never compared with what was sent. */
export const Workload = Schema.Struct({
  name: Schema.String,
  created: maybe(Schema.String),
  lastModified: maybe(Schema.String),
  version: maybe(Schema.Number),
  tags: Schema.optionalKey(Tags),
  spec: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown))
})
export type Workload = typeof Workload.Type

export const Gvc = Schema.Struct({
  name: Schema.String,
  spec: Schema.optionalKey(
    Schema.Struct({
      staticPlacement: maybe(Schema.Struct({ locationLinks: maybe(Schema.Array(Schema.String)) }))
    })
  )
})
export type Gvc = typeof Gvc.Type

/** A condition of a query: exactly one of `property`, `rel`, `tag`. */
export interface Term {
  readonly op: "=" | "!=" | "exists" | "!exists" | "~"
  readonly property?: string
  readonly rel?: string
  readonly tag?: string
  readonly value?: string
}
