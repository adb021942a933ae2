/**
 * Deployments made with Prefect's own Python, from a local folder or from a local git repository.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { root } from "./paths.ts"
import { run } from "./process.ts"
import type { Operator, PrefectServer } from "./prefect-server.ts"

export interface Deployment {
  readonly name: string
  readonly pool: string
  /** A folder, or the URL of a git repository; see `flowFolder` and `flowRepository`. */
  readonly source: string
  /** `<file>:<function>` */
  readonly entrypoint: string
  readonly parameters?: Readonly<Record<string, unknown>>
  readonly job_variables?: Readonly<Record<string, unknown>>
  readonly tags?: ReadonlyArray<string>
  readonly work_queue_name?: string
}

const flows = join(root, "scripts", "local", "flows")

/** A copy of the flows in a plain folder, made once: jobs of others may read it. Prefect writes beside what it deploys. */
export const flowFolder = (within: string) => {
  const folder = join(within, "flows")
  mkdirSync(folder, { recursive: true })
  const file = join(folder, "flows.py")
  if (!existsSync(file)) cpSync(join(flows, "flows.py"), file)
  return folder
}

/**
 * The same flows in a git repository. Both lines of Prefect take a source for a repository when its path ends with
 * `.git`; `file://` makes git clone it as it would over a network.
 */
export const flowRepository = Effect.fnUntraced(function* (within: string) {
  const work = join(within, "repository")
  mkdirSync(work, { recursive: true })
  cpSync(join(flows, "flows.py"), join(work, "flows.py"))
  const env = {
    ...(process.env as Record<string, string>),
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_AUTHOR_NAME: "demo",
    GIT_AUTHOR_EMAIL: "demo@example.org",
    GIT_COMMITTER_NAME: "demo",
    GIT_COMMITTER_EMAIL: "demo@example.org"
  }
  const git = (...args: ReadonlyArray<string>) =>
    run({ name: `git ${args[0]}`, command: "git", args, env, cwd: work, logFile: join(within, "git.log") })
  yield* git("init", "--quiet", "--initial-branch", "main")
  yield* git("add", "flows.py")
  yield* git("commit", "--quiet", "--message", "The flows")
  const bare = join(within, "flows.git")
  yield* git("clone", "--quiet", "--bare", work, bare)
  return `file://${bare}`
})

/** Makes the deployments; the ids by deployment name. */
export const deploy = Effect.fnUntraced(function* (
  server: PrefectServer,
  deployments: ReadonlyArray<Deployment>
) {
  const stem = join(
    server.home,
    `deploy-${deployments
      .map(({ name }) => name)
      .join("-")
      .slice(0, 60)}-${deployments[0]?.pool}`
  )
  writeFileSync(`${stem}.json`, JSON.stringify(deployments))
  yield* run({
    name: "flow.deploy",
    command: join(server.venv.bin, "python"),
    args: [join(flows, "deploy.py"), `${stem}.json`, `${stem}.ids.json`],
    env: server.clientEnv,
    logFile: `${stem}.log`,
    cwd: server.home
  })
  return JSON.parse(readFileSync(`${stem}.ids.json`, "utf8")) as Readonly<Record<string, string>>
})

/** A deployment as a client that is no Python registers it: nothing looks at the flow's code before a job does. */
export const register = Effect.fnUntraced(function* (
  prefect: Operator,
  { name, pool, source, entrypoint, parameters = {} }: Deployment
) {
  const flow = yield* prefect.post<{ readonly id: string }>("/flows/", { name: entrypoint.split(":")[1] })
  const made = yield* prefect.post<{ readonly id: string }>("/deployments/", {
    name,
    flow_id: flow.id,
    work_pool_name: pool,
    path: source,
    entrypoint,
    parameters,
    enforce_parameter_schema: false,
    pull_steps: [{ "prefect.deployments.steps.set_working_directory": { directory: source } }]
  })
  return made.id
})
