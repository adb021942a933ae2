/**
 * Plays Prefect's flow engine for the virtual jobs of an emulator:
 *
 *   bun test/engine/main.ts --prefect http://127.0.0.1:4200/api --emulator http://127.0.0.1:4281 --token T
 *
 * Runs until it is told to stop by a signal. The parameter `seconds` of a flow run says how long the flow takes.
 */
import { Effect } from "effect"
import { options, runScript } from "../../scripts/local/script.ts"
import { play } from "./engine.ts"
import { emulatorJobs, prefectRuns } from "./services.ts"

const main = Effect.gen(function* () {
  const { prefect, emulator, token } = options(["prefect", "emulator", "token"], [])
  if (prefect === undefined || emulator === undefined || token === undefined) {
    console.error("usage: bun test/engine/main.ts --prefect URL --emulator URL --token T")
    return 1
  }
  const slashless = (url: string) => url.replace(/\/+$/u, "")
  return yield* play(emulatorJobs(slashless(emulator), token), prefectRuns(slashless(prefect)))
})

runScript(Effect.suspend(() => main))
