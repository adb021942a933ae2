/**
 * CplnJob blocks: run from the command line, and from a flow in Python, with nothing of the manual's scripts changed but an
 * import line. On a Prefect server and an emulator that other tests use too.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Schedule } from "effect"
import { access, agentCommand, injected, startAgent } from "../../scripts/local/agent.ts"
import { type Command, ensureGvc, type Place, startCommands } from "../../scripts/local/control-plane.ts"
import { root } from "../../scripts/local/paths.ts"
import { type FlowRun, isFinal } from "../../scripts/local/prefect-server.ts"
import { ProcessFailed, run, type Running, start } from "../../scripts/local/process.ts"
import type { World } from "../../scripts/local/world.ts"
import { Broken, type Suite, must } from "./suite.ts"

/** As people write them for kubectl. */
const manifest = (script: string) => `apiVersion: batch/v1
kind: Job
metadata:
  name: a-job
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: ubuntu:latest
          command: [sh, -c]
          args:
            - ${JSON.stringify(script)}
`

const scripts = {
  "says-three": "echo one; echo two >&2; sleep 1; echo three",
  "exits-three": "echo about to fail; exit 3",
  waits: "echo waiting; trap 'echo got the signal; exit 0' TERM; for i in $(seq 1200); do sleep 0.5; done"
} as const

type JobName = keyof typeof scripts

/** The manual's own: only the block's name is put in. */
const orchestrator = (block: string) => `
from prefect import flow, get_run_logger
from prefect_cpln.flows import run_namespaced_job # this is a flow
from prefect_cpln.jobs import CplnJob

cpln_job_block = CplnJob.load("${block}")

@flow
def cpln_orchestrator():
    # run the flow and send logs to the parent flow run's logger
    logger = get_run_logger()
    run_namespaced_job(cpln_job_block, print_func=logger.info)

if __name__ == "__main__":
    cpln_orchestrator()
`

const infrastructure = `
import os
from prefect_cpln.infrastructure import CplnInfrastructure, CplnInfrastructureConfig

cpln_infra_config_block = CplnInfrastructureConfig(token=os.getenv("CPLN_TOKEN")) # Your Control Plane token here
kubernetes_manifest = CplnInfrastructure.job_from_file("job_template.yaml") # The path to a Kubernetes job YAML file

cpln_infra_block = CplnInfrastructure(
    config=cpln_infra_config_block,
    job=kubernetes_manifest,
    image="/org/epoch/image/prefect-repo-info-workflow:v1", # The image that contains the flow code in Python
    env={"PREFECT_API_URL": "http://prefect.example/api"},
)

cpln_infra_config_block.save("cpln-infra-config-py")
cpln_infra_block.save("cpln-infra-py")
`

const deployment = `
from prefect.deployments import Deployment
from prefect_cpln.infrastructure import CplnInfrastructure

# Define CplnJob infrastructure
control_plane_infrastructure_block = CplnInfrastructure.load("cpln-infra-py")

# Build the deployment
deployment = Deployment(
    name="repo-info-deployment",
    flow_name="repo_info",
    path="/opt/prefect/flows",
    entrypoint="repo_info.py:repo_info",
    infrastructure=control_plane_infrastructure_block,
    work_pool_name="cpln-agent-work-pool",
)

# Apply the deployment
deployment.apply()
`

const jobTemplate = `apiVersion: batch/v1
kind: Job
metadata: {labels: {}}
spec:
  template:
    spec:
      parallelism: 1
      completions: 1
      restartPolicy: Never
      containers:
        - name: prefect-job
          env: []
`

interface Event {
  readonly event: string
  readonly line?: string
  readonly state?: string
  readonly exitCode?: number
  readonly id?: string
  readonly workload?: string
}

const eventsIn = (output: string): ReadonlyArray<Event> =>
  output
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Event)

const final = ["completed", "failed", "cancelled"]

export const cplnJobTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const { prefect, cpln, folder, agent } = world
  // A GVC of its own, so that the jobs of other tests are not among those that are counted.
  const place: Place = { ...world.place, gvc: "single-jobs" }
  yield* ensureGvc(cpln, place)
  const home = join(folder, "cpln-job")
  mkdirSync(home, { recursive: true })
  const { CPLN_WORKLOAD: _none, ...injectedPlace } = injected(place)
  const env = { ...access(prefect, cpln), ...injectedPlace }
  let count = 0
  const options = (args: ReadonlyArray<string>) => ({
    agent,
    args,
    home: join(home, `command-${++count}`),
    env
  })
  const command = (...args: ReadonlyArray<string>) => agentCommand(options(args))
  const failing = (...args: ReadonlyArray<string>) =>
    command(...args).pipe(
      Effect.flip,
      Effect.flatMap((error) =>
        error instanceof ProcessFailed
          ? Effect.succeed(error)
          : Effect.fail(new Broken({ text: String(error) }))
      )
    )
  const fileOf = (name: string, text: string) => {
    const path = join(home, name)
    writeFileSync(path, text)
    return path
  }

  const commands = startCommands(cpln, place)
  /** Jobs that were started since. */
  const since = (before: ReadonlyArray<{ readonly command: Command }>) =>
    Effect.map(commands, (all) =>
      all.filter(({ command: each }) => !before.some(({ command: known }) => known.id === each.id))
    )
  const until = (running: Running, text: string) =>
    Effect.sync(() => running.output().includes(text)).pipe(
      Effect.repeat({ until: (there) => there, schedule: Schedule.spaced("100 millis") }),
      Effect.timeoutOrElse({
        duration: "40 seconds",
        orElse: () => Effect.fail(new Broken({ text: `no ${JSON.stringify(text)} in:\n${running.output()}` }))
      })
    )
  const stopJobs = (made: ReadonlyArray<{ readonly workload: string; readonly command: Command }>) =>
    Effect.forEach(made, ({ command: { id }, workload }) =>
      Effect.gen(function* () {
        const { status } = yield* cpln.command(place, workload, id)
        yield* cpln.post(`/org/${place.org}/gvc/${place.gvc}/workload/${workload}/-command`, {
          type: "stopReplica",
          spec: { location: place.location, replica: status?.replica }
        })
      })
    )

  const onlyStopped = Effect.fnUntraced(function* (before: ReadonlyArray<{ readonly command: Command }>) {
    const made = yield* since(before)
    yield* must(made.length === 1, `${made.length} jobs were started`)
    const stage = made[0]?.command.lifecycleStage ?? "none"
    yield* must(final.includes(stage), `the job is ${stage}`)
  })

  const jobsAreOver = (before: ReadonlyArray<{ readonly command: Command }>) =>
    since(before).pipe(
      Effect.repeat({
        until: (made) => made.every(({ command: each }) => final.includes(each.lifecycleStage)),
        schedule: Schedule.spaced("500 millis")
      }),
      Effect.timeout("40 seconds"),
      Effect.andThen(onlyStopped(before))
    )

  for (const [name, script] of Object.entries(scripts)) {
    const file = fileOf(`${name}.yaml`, manifest(script))
    yield* command("blocks", "create", "cpln-job", name, "--job", file, "--keep")
  }
  const named = (name: JobName) => name

  yield* suite.test(
    "job run: the job's lines on stdout in order, exit code 0, and a workload that belongs to no pool",
    Effect.gen(function* () {
      const output = yield* command("job", "run", named("says-three"))
      const lines = output.split("\n").filter((line) => ["one", "two", "three"].includes(line))
      yield* must([...lines].sort().join() === "one,three,two" && lines.at(-1) === "three", output)
      yield* must(/^Job [0-9a-f-]{36} completed\.$/mu.test(output), output)
      const workloads = yield* cpln.workloads(place)
      yield* must(
        workloads.length === 1 &&
          /^j-job-[0-9a-f]{12}$/u.test(workloads[0]?.name ?? "") &&
          workloads[0]?.tags?.["prefect.io/work-pool-id"] === undefined,
        JSON.stringify(workloads)
      )
    })
  )

  // Of the server these need one block, and the test before showed that it is read on both lines.
  const onNewer: Suite["test"] = prefect.venv.line === "3" ? suite.test : () => Effect.void

  yield* onNewer(
    "job run: a job that fails ends it with exit code 1, and the message has the job's exit code",
    Effect.gen(function* () {
      const { code, output } = yield* failing("job", "run", named("exits-three"))
      yield* must(code === 1, `exit code ${code}`)
      yield* must(/failed: exit code 3/u.test(output) && /^about to fail$/mu.test(output), output)
    })
  )

  yield* onNewer(
    "job run -o json: every line of the output is an event",
    Effect.gen(function* () {
      const good = eventsIn(yield* command("job", "run", named("says-three"), "-o", "json"))
      const lines = good.filter(({ event }) => event === "output").map(({ line }) => line)
      yield* must([...lines].sort().join() === "one,three,two", JSON.stringify(good))
      yield* must(good.at(-1)?.event === "ended" && good.at(-1)?.state === "completed", JSON.stringify(good))
      const bad = eventsIn((yield* failing("job", "run", named("exits-three"), "-o", "json")).output)
      const end = bad.find(({ event }) => event === "ended")
      yield* must(end?.state === "failed" && end.exitCode === 3, JSON.stringify(bad))
    })
  )

  for (const [signal, why] of [
    ["SIGINT", "interrupted"],
    ["SIGTERM", "terminated"]
  ] as const) {
    yield* onNewer(
      `job run: ${signal} without a terminal stops the job, shows its last lines and ends with exit code 1`,
      Effect.gen(function* () {
        const before = yield* commands
        const running = yield* startAgent(options(["job", "run", named("waits")]))
        yield* until(running, "waiting")
        yield* running.signal(signal)
        const { code } = yield* running.ended.pipe(Effect.timeout("40 seconds"))
        yield* must(code === 1, `exit code ${code}`)
        yield* must(running.output().includes("got the signal"), running.output())
        yield* must(running.output().includes(`was stopped: ${why}`), running.output())
        yield* onlyStopped(before)
      })
    )
  }

  for (const { answer, title, stops } of [
    { answer: "y", title: "yes leaves the job running and ends with exit code 0", stops: false },
    { answer: "n", title: "no stops the job", stops: true }
  ]) {
    yield* onNewer(
      `job run: Ctrl-C at a terminal asks once whether to leave the job, and ${title}`,
      Effect.gen(function* () {
        const before = yield* commands
        const { args, env: agentEnv, home: cwd } = options(["job", "run", named("waits")])
        mkdirSync(cwd, { recursive: true })
        const output = yield* run({
          name: "a terminal",
          command: join(prefect.venv.bin, "python"),
          args: [join(root, "test", "e2e", "at-terminal.py"), answer, ...agent, ...args],
          env: { ...prefect.clientEnv, ...agentEnv, HOME: cwd },
          logFile: join(cwd, "terminal.log"),
          cwd
        })
        yield* must(output.includes("Leave the job running?"), output)
        yield* must(output.includes(`exit code ${stops ? 1 : 0}`), output)
        const made = yield* since(before)
        const stage = made[0]?.command.lifecycleStage ?? "none"
        yield* must(made.length === 1 && final.includes(stage) === stops, `the job is ${stage}:\n${output}`)
        if (!stops) yield* stopJobs(made)
      })
    )
  }

  yield* onNewer(
    "job run --detach: prints the id and returns, and the job runs on",
    Effect.gen(function* () {
      const before = yield* commands
      const output = yield* command("job", "run", named("waits"), "--detach")
      const id = /^[0-9a-f-]{36}$/mu.exec(output)?.[0]
      const made = yield* since(before)
      yield* must(made.length === 1 && made[0]?.command.id === id, output)
      yield* Effect.sleep("2 seconds")
      const [job] = made
      const stage = (yield* cpln.command(place, job?.workload ?? "", id ?? "")).lifecycleStage
      yield* must(stage === "running", `the job is ${stage}`)
      yield* stopJobs(made)
    })
  )

  yield* onNewer(
    "job run --timeout: stops the job when its time is over, and ends with exit code 1",
    Effect.gen(function* () {
      const before = yield* commands
      const { code, output } = yield* failing("job", "run", named("waits"), "--timeout", "2")
      yield* must(code === 1 && /timeout/u.test(output), `exit code ${code}: ${output}`)
      yield* onlyStopped(before)
    })
  )

  yield* onNewer(
    "job run --delete: the workload is gone afterwards",
    Effect.gen(function* () {
      const file = fileOf("shape.yaml", manifest("echo short").replace("Never", "OnFailure"))
      yield* command("blocks", "create", "cpln-job", "shape", "--job", file, "--keep")
      const before = (yield* cpln.workloads(place)).length
      yield* command("job", "run", "shape")
      yield* must((yield* cpln.workloads(place)).length === before + 1, "no workload of its own was made")
      const output = yield* command("job", "run", "shape", "--delete")
      yield* must(/is deleted/u.test(output), output)
      yield* must((yield* cpln.workloads(place)).length === before, "the workload is still there")
    })
  )

  yield* onNewer(
    "job run: what cannot be run is refused with what and where, and nothing is started",
    Effect.gen(function* () {
      const before = yield* commands
      const none = yield* failing("job", "run", "nowhere")
      yield* must(/cpln-job\/nowhere/u.test(none.output), none.output)
      const file = fileOf("wrong.yaml", manifest("x").replace(/ +image: .*\n/u, ""))
      yield* command("blocks", "create", "cpln-job", "wrong", "--job", file)
      const wrong = yield* failing("job", "run", "wrong")
      yield* must(/containers\[0\]\.image: is missing/u.test(wrong.output), wrong.output)
      yield* must((yield* since(before)).length === 0, "a job was started")
    })
  )

  // From Python. The package is taken as it is, from its folder.

  const pythonEnv = {
    ...prefect.clientEnv,
    ...env,
    PYTHONPATH: join(root, "python"),
    PYTHONDONTWRITEBYTECODE: "1",
    PYTHONWARNINGS: "ignore",
    PREFECT_CPLN_AGENT: oneProgram(agent, home)
  }
  const python = (name: string, text: string) => {
    const file = fileOf(`${name}.py`, text)
    return {
      name: `python ${name}.py`,
      command: join(prefect.venv.bin, "python"),
      args: [file],
      env: pythonEnv,
      logFile: join(home, `${name}.log`),
      cwd: home
    }
  }
  /** The newest run of the parent flow. */
  const parent = Effect.gen(function* () {
    const runs = yield* prefect.post<ReadonlyArray<FlowRun>>("/flow_runs/filter", {
      flows: { name: { any_: ["cpln-orchestrator"] } },
      sort: "ID_DESC",
      limit: 200
    })
    return [...runs].sort((a, b) => b.expected_start_time.localeCompare(a.expected_start_time))[0]
  })
  const linesOf = (id: string) => Effect.map(prefect.logs(id), (logs) => logs.map(({ message }) => message))

  yield* suite.test(
    "Python: the manual's script runs the job, and its lines arrive in the parent run's log",
    Effect.gen(function* () {
      yield* run(python("orchestrator", orchestrator(named("says-three"))))
      const found = yield* parent
      yield* must(found?.state_type === "COMPLETED", `the parent is ${found?.state_name}`)
      const lines = yield* linesOf(found?.id ?? "").pipe(
        // Prefect sends logs in batches.
        Effect.repeat({ until: (all) => all.includes("three"), schedule: Schedule.spaced("500 millis") }),
        Effect.timeout("15 seconds")
      )
      for (const line of ["one", "two", "three"]) {
        yield* must(lines.filter((each) => each === line).length === 1, lines.join("\n"))
      }
    })
  )

  yield* suite.test(
    "Python: a job that fails raises, and the parent run fails",
    Effect.gen(function* () {
      const error = yield* Effect.flip(run(python("failing", orchestrator(named("exits-three")))))
      yield* must(/CplnJobError: Job .* failed: exit code 3/u.test(String(error)), String(error))
      const found = yield* parent
      yield* must(found?.state_type === "FAILED", `the parent is ${found?.state_name}`)
    })
  )

  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    yield* suite.test(
      `Python: a parent that ends by ${signal} leaves no job behind`,
      Effect.gen(function* () {
        const before = yield* commands
        const running = yield* start(python(`ended-${signal}`, orchestrator(named("waits"))))
        yield* until(running, "waiting")
        yield* running.signal(signal)
        yield* running.ended.pipe(Effect.timeout("40 seconds"))
        yield* jobsAreOver(before)
      })
    )
  }

  yield* suite.test(
    "Python: cancelling the parent flow run stops the job",
    Effect.gen(function* () {
      const before = yield* commands
      fileOf("cancelled.py", orchestrator(named("waits")).replace(/if __name__[^]*$/u, ""))
      const serve = python(
        "serve",
        `from cancelled import cpln_orchestrator\n\nif __name__ == "__main__":\n    cpln_orchestrator.serve(name="served")\n`
      )
      const running = yield* start(serve)
      const found = yield* prefect
        .get<{ readonly id: string }>("/deployments/name/cpln-orchestrator/served")
        .pipe(Effect.retry(Schedule.spaced("300 millis")), Effect.timeout("40 seconds"))
      const { id } = yield* prefect.run(found.id)
      yield* prefect.waitFor(id, (each) => each.state_type === "RUNNING" || isFinal(each), 60)
      yield* since(before).pipe(
        Effect.repeat({
          until: (made) => made.some(({ command: each }) => each.lifecycleStage === "running"),
          schedule: Schedule.spaced("500 millis")
        }),
        Effect.timeoutOrElse({
          duration: "60 seconds",
          orElse: () => Effect.fail(new Broken({ text: `no job was started:\n${running.output()}` }))
        })
      )
      yield* prefect.cancel(id)
      const ended = yield* prefect.waitFor(id, isFinal, 60)
      yield* must(ended.state_type === "CANCELLED", `the parent is ${ended.state_name}`)
      yield* jobsAreOver(before)
    }),
    "4 minutes"
  )

  yield* suite.test(
    "Python: infrastructure blocks are saved and loaded, with tokens that the server hides",
    Effect.gen(function* () {
      fileOf("job_template.yaml", jobTemplate)
      yield* run(python("infrastructure", infrastructure))
      const shown = yield* prefect.get<{ readonly data: Record<string, unknown> }>(
        "/block_types/slug/control-plane-infrastructure/block_documents/name/cpln-infra-py"
      )
      yield* must(
        shown.data["image"] === "/org/epoch/image/prefect-repo-info-workflow:v1" &&
          !JSON.stringify(shown).includes(cpln.token),
        JSON.stringify(shown.data)
      )
      const output = yield* run(
        python(
          "loaded",
          `from prefect_cpln import CplnInfrastructure\nblock = CplnInfrastructure.load("cpln-infra-py")\nprint("LOADED", block.job["kind"], block.config.token.get_secret_value())\n`
        )
      )
      yield* must(output.includes(`LOADED Job ${cpln.token}`), "the loaded block is not what was saved")
    })
  )

  if (prefect.venv.line === "2") {
    yield* suite.test(
      "Python: the manual's deployment with an infrastructure block is made with stock Prefect 2.20",
      Effect.gen(function* () {
        yield* prefect.createPool("cpln-agent-work-pool", "prefect-agent")
        yield* run(python("deployment", deployment))
        const made = yield* prefect.get<{
          readonly infrastructure_document_id: string | null
          readonly work_pool_name: string
        }>("/deployments/name/repo_info/repo-info-deployment")
        const block = yield* prefect.get<{ readonly id: string }>(
          "/block_types/slug/control-plane-infrastructure/block_documents/name/cpln-infra-py"
        )
        yield* must(
          made.infrastructure_document_id === block.id && made.work_pool_name === "cpln-agent-work-pool",
          JSON.stringify(made)
        )
      })
    )
  }
})

/** The package starts one program; a runtime with its script is wrapped into one. */
const oneProgram = (agent: ReadonlyArray<string>, home: string): string => {
  const [first = ""] = agent
  if (agent.length === 1) return first
  const file = join(home, "agent.sh")
  if (!existsSync(file)) {
    writeFileSync(file, `#!/bin/sh\nexec ${agent.map((part) => `'${part}'`).join(" ")} "$@"\n`, {
      mode: 0o755
    })
  }
  return file
}
