/**
 * `npm run simulate`: what plays the agent without services.
 *
 *   npm run simulate -- --replay FILE    decides a recorded flight anew; exit code 1 when a decision differs
 */
import { options } from "../../scripts/local/script.ts"
import { replayFile } from "./replay.ts"

const { replay } = options(["replay"], [])
if (replay === undefined) {
  console.error("--replay FILE is needed: what `agent explain RUN --export FILE` wrote")
  process.exitCode = 1
} else {
  process.exitCode = replayFile(replay, (line) => console.log(line))
}
