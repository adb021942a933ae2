/** A program that runs one job, to see what becomes of it when the program ends: `FILE HOW`. */
import { Effect, Layer } from "effect"
import { Driver } from "../../../src/emulator/jobs/driver.ts"
import { processDriver } from "../../../src/emulator/jobs/processes/process-driver.ts"
import { LogStore } from "../../../src/emulator/logs/log-store.ts"
import { host, runMain, signalIsSuccess } from "../../../src/platform.ts"

const [file = "", how = ""] = host.arguments()

/** With `flood` it also prints as fast as it can. */
const script = `trap '' TERM INT
sh -c 'trap "" TERM INT; echo $$ >> ${file}; echo ready >> ${file}; while :; do sleep 0.05; done' &
${how === "flood" ? "yes & exec yes hello >&2" : "while :; do sleep 0.05; done"}`

const job = Effect.flatMap(Driver, (driver) =>
  driver.run(
    {
      org: "acme",
      gvc: "dev",
      workload: "runner",
      location: "aws-us-west-2",
      replica: `command-${process.pid}-abcde`,
      workloadVersion: 1,
      containers: [
        { name: "main", image: "", command: "sh", args: ["-c", script], env: {}, workingDir: undefined }
      ]
    },
    () => Effect.void
  )
)

if (how === "crash") {
  // As an error in a callback would: no scope is closed.
  setTimeout(() => {
    throw new Error("on purpose")
  }, 1_000)
}

runMain(job.pipe(Effect.provide(processDriver.pipe(Layer.provide(LogStore.layer)))), signalIsSuccess)
