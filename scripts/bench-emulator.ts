/** The bench behind `scripts/bench-emulator`: what an emulator of ten thousand live jobs takes, in memory and in time. */
import { Effect } from "effect"
import { commands, kinds, measured, workloads } from "./local/emulator-load.ts"
import { options, runScript } from "./local/script.ts"
import { table } from "./local/table.ts"

const bench = Effect.fnUntraced(function* () {
  const given = options(["requests", "runtime"], [])
  const amount = Number(given.requests ?? 3000)
  const runtime = given.runtime ?? "bun"
  if (!(amount >= 100)) {
    console.error("--requests is at least 100")
    return 1
  }
  const figures = yield* Effect.scoped(measured(runtime, ["src/main.ts"], amount))
  const whole = (value: number) => String(Math.round(value))
  const rows = [
    [`memory with ${commands} live commands over ${workloads} workloads, MB`, "300", whole(figures.memory)],
    ["memory after the load, MB", "300", whole(figures.memoryAfter)],
    ["start of all commands, s of processor time", "", figures.starting.toFixed(1)],
    ...kinds.map((kind) => [
      `${kind}, requests for each second of processor time`,
      kind === "start and end" ? "" : "2000",
      whole(figures.rates[kind])
    ])
  ]
  console.log(table(["figure", "goal", runtime], rows))
  return 0
})

runScript(Effect.scoped(bench()))
