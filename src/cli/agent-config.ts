/** Everything of an agent that what it would do depends on, for commands that only tell what that is. */
import { Effect } from "effect"
import { withCredentialReference } from "../job/environment.ts"
import type { AgentConfig } from "../plan/targets.ts"
import { host } from "../platform.ts"
import { Prefect } from "../prefect/prefect.ts"
import { filled, injectedFrom, type readSettings } from "./environment.ts"

export type GivenSettings = Effect.Success<ReturnType<typeof readSettings>>

/** Of an agent with these settings; its pool is not known yet. */
export const agentConfig = Effect.fnUntraced(function* ({
  environment,
  prefectSettings,
  settings
}: GivenSettings) {
  const server = yield* Prefect.use((prefect) => prefect.version)
  const all = Object.fromEntries([...prefectSettings].map(([name, { value }]) => [name, value]))
  const seconds = (value: number) => value * 1000
  const config: AgentConfig = {
    workerName: settings.name ?? `cpln-${host.name()}`,
    agentLink: filled(environment["CPLN_WORKLOAD"]) ?? settings.name ?? `cpln-${host.name()}`,
    adopted: new Set(settings.adopt),
    server,
    injected: injectedFrom(environment),
    identities: settings.identities,
    prefectSettings:
      settings.jobApiKeySecret === undefined ? all : withCredentialReference(all, settings.jobApiKeySecret),
    environment,
    maxDisruption: settings.maxDisruption,
    settle: seconds(settings.settle),
    cancelGrace: seconds(settings.cancelGrace),
    linger: seconds(settings.linger),
    mainLinger: seconds(settings.mainLinger),
    startTimeout: seconds(settings.startTimeout),
    launchDeadline: seconds(settings.launchDeadline),
    doubtHorizon: seconds(settings.doubtHorizon),
    monitorInterval: seconds(settings.interval),
    unreportedExit: settings.unreportedExit === "completed" ? "COMPLETED" : "CRASHED"
  }
  return config
})
