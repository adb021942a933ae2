/** The compiled binary as users get it. `scripts/test` builds it first. */
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { bareRoot, bareRootNeeds, libraries } from "../../scripts/local/bare-root.ts"
import { agentBinary, root } from "../../scripts/local/paths.ts"

const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }
let folder = ""

beforeAll(() => {
  expect(existsSync(agentBinary), "dist/agent is missing: run scripts/build").toBe(true)
  folder = mkdtempSync(join(tmpdir(), "prefect-cpln-binary-"))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Runs it with nothing of this machine's settings; both streams, and the exit code. */
const runs = (words: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}, cwd = folder) => {
  const [command = "", ...args] = words
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    timeout: 30_000,
    env: { PATH: process.env["PATH"] ?? "", HOME: folder, ...env }
  })
  return { code: status, output: `${stdout}${stderr}` }
}

/** Starts it, sends SIGTERM once it has printed something, and gives its exit code and how long that took. */
const ended = (words: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number | null; readonly seconds: number; readonly output: string }>(
    (resolve) => {
      const [command = "", ...args] = words
      const child = spawn(command, args, {
        cwd: folder,
        env: { PATH: process.env["PATH"] ?? "", HOME: folder }
      })
      let output = ""
      let from = 0
      const hear = (chunk: Buffer) => {
        if (from === 0) {
          from = performance.now()
          setTimeout(() => child.kill("SIGTERM"), 300)
        }
        output += chunk.toString()
      }
      child.stdout.on("data", hear)
      child.stderr.on("data", hear)
      child.once("exit", (code) =>
        resolve({ code, seconds: (performance.now() - from - 300) / 1000, output })
      )
    }
  )

const fitsAScreen = (help: string) => {
  const lines = help.trimEnd().split("\n")
  expect(lines.length).toBeLessThanOrEqual(50)
  // oxlint-disable-next-line no-control-regex
  expect(lines.filter((line) => line.replaceAll(/\u001B\[[0-9;]*m/g, "").length > 80)).toEqual([])
}

describe("the binary", () => {
  it("says the version of package.json", () => {
    expect(runs([agentBinary, "--version"])).toEqual({ code: 0, output: expect.stringContaining(version) })
  })

  it.each([["--help"], ["pool", "create", "--help"], ["emulator", "--help"]])(
    "has a help that fits a screen of 80 by 50: %s %s %s",
    (...args) => {
      const { code, output } = runs([agentBinary, ...args.filter((word) => word !== undefined)])
      expect(code).toBe(0)
      expect(output).toMatch(/--\w+/)
      fitsAScreen(output)
    }
  )

  it("is at most 130 MB", () => {
    expect(statSync(agentBinary).size).toBeLessThanOrEqual(130_000_000)
  })

  it("reads no .env from where it is started", () => {
    const elsewhere = join(folder, "dotenv")
    mkdirSync(elsewhere)
    writeFileSync(join(elsewhere, ".env"), "PREFECT_API_URL=http://127.0.0.1:1/api\nCPLN_TOKEN=x\n")
    const { code, output } = runs([agentBinary, "--pool", "cpln"], {}, elsewhere)
    expect(code).toBe(1)
    expect(output).toContain("PREFECT_API_URL")
    expect(output).not.toContain("127.0.0.1:1")
  })

  it("ends with exit code 0 on SIGTERM, within five seconds", async () => {
    const { code, seconds, output } = await ended([agentBinary, "emulator", "--port", "0"])
    expect(code, output).toBe(0)
    expect(seconds).toBeLessThan(5)
  })

  it("says in its log why it does not start, under [CPLN] Init", async () => {
    const server = createServer(({ url = "" }, response) => {
      const isVersion = url === "/api/admin/version"
      response
        .writeHead(isVersion ? 200 : 404)
        .end(JSON.stringify(isVersion ? "3.8.8" : { detail: "not found" }))
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const address = server.address() as AddressInfo
    const child = spawn(agentBinary, ["--pool", "nowhere", "--listen", "off"], {
      cwd: folder,
      timeout: 15_000,
      env: {
        PATH: process.env["PATH"] ?? "",
        HOME: folder,
        PREFECT_API_URL: `http://127.0.0.1:${address.port}/api`
      }
    })
    const said = { stdout: "", stderr: "" }
    child.stdout.on("data", (chunk: Buffer) => (said.stdout += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => (said.stderr += chunk.toString()))
    const code = await new Promise((resolve) => child.once("close", resolve))
    server.closeAllConnections()
    server.close()
    expect(code).toBe(1)
    expect(said.stdout).toMatch(/ERROR \[CPLN\] Init > Work pool "nowhere" does not exist/u)
    expect(said.stderr).toMatch(/^agent: Work pool "nowhere" does not exist/mu)
  })

  it("stops in order when its output is read no more: its worker's row goes, and the exit code is that of SIGPIPE", async () => {
    const asked: Array<string> = []
    const pool = {
      id: "1",
      name: "cpln",
      type: "cpln",
      base_job_template: { job_configuration: {}, variables: {} }
    }
    const server = createServer(({ method, url = "" }, response) => {
      asked.push(`${method} ${url}`)
      const body = url === "/api/admin/version" ? "2.20.25" : url === "/api/work_pools/cpln" ? pool : []
      response.writeHead(url.startsWith("/api/csrf-token") ? 404 : 200).end(JSON.stringify(body))
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const address = server.address() as AddressInfo
    const child = spawn(
      agentBinary,
      ["--pool", "cpln", "--name", "w", "--listen", "off", "--log-level", "debug", "--interval", "0.2"],
      {
        cwd: folder,
        timeout: 15_000,
        env: {
          PATH: process.env["PATH"] ?? "",
          HOME: folder,
          PREFECT_API_URL: `http://127.0.0.1:${address.port}/api`
        }
      }
    )
    let said = ""
    child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()))
    child.stdout.on("data", (chunk: Buffer) => {
      // Only now, so that the worker's row is there.
      if (chunk.toString().includes("serves work pool")) child.stdout.destroy()
    })
    const code = await new Promise((resolve) => child.once("exit", resolve))
    server.closeAllConnections()
    server.close()
    expect(said).toMatch(/^agent: Nobody reads standard output any more/mu)
    expect(code).toBe(128 + 13)
    expect(asked.at(-1)).toBe("DELETE /api/work_pools/cpln/workers/w")
  })

  it("needs five libraries and no more", (context) => {
    if (process.platform !== "linux") {
      console.log("skipped: needs Linux")
      return context.skip("needs Linux")
    }
    const names = libraries(agentBinary).map((path) =>
      path
        .split("/")
        .at(-1)
        ?.replace(/\.so.*$/, "")
    )
    expect(names.map((name) => name?.replace(/^ld-linux.*/, "ld-linux")).sort()).toEqual([
      "ld-linux",
      "libc",
      "libdl",
      "libm",
      "libpthread"
    ])
  })

  it("runs as uid 65532 on a read-only root with five libraries and /proc", async (context) => {
    const needs = bareRootNeeds()
    if (needs !== undefined) {
      console.log(`skipped: needs ${needs}`)
      return context.skip(`needs ${needs}`)
    }
    const inside = bareRoot(agentBinary, join(folder, "root"))
    expect(runs([...inside, "--version"])).toEqual({ code: 0, output: expect.stringContaining(version) })
    expect(runs([...inside, "--help"]).code).toBe(0)
    const { code, output } = await ended([...inside, "emulator", "--port", "0"])
    expect(code, output).toBe(0)
  })
})

describe("the container build", () => {
  it("holds no emulator", () => {
    const outfile = join(folder, "agent-container")
    execFileSync(join(root, "scripts", "build"), ["--container", "--outfile", outfile], { stdio: "pipe" })
    const { sources } = JSON.parse(readFileSync(`${outfile}.map`, "utf8")) as {
      sources: ReadonlyArray<string>
    }
    expect(sources.some((source) => source.endsWith("src/main-container.ts"))).toBe(true)
    expect(sources.filter((source) => /src\/(emulator\/|cli\/emulator)/.test(source))).toEqual([])
    expect(runs([outfile, "--version"])).toEqual({ code: 0, output: expect.stringContaining(version) })
    expect(runs([outfile, "--help"]).output).not.toMatch(/emulator/)
    expect(runs([outfile, "emulator", "--port", "0"]).code).toBe(1)
  }, 60_000)
})

describe("builds for other systems", () => {
  it.each([
    ["x64-musl", [0x7f, 0x45, 0x4c, 0x46], 0x3e],
    ["arm64", [0x7f, 0x45, 0x4c, 0x46], 0xb7],
    ["darwin-arm64", [0xcf, 0xfa, 0xed, 0xfe], undefined]
  ] as const)(
    "%s is a program of that system",
    (target, magic, machine) => {
      const outfile = join(folder, `agent-${target}`)
      execFileSync(join(root, "scripts", "build"), ["--target", target, "--outfile", outfile], {
        stdio: "pipe"
      })
      const head = readFileSync(outfile).subarray(0, 20)
      expect([...head.subarray(0, 4)]).toEqual([...magic])
      if (machine !== undefined) expect(head[18]).toBe(machine)
    },
    120_000
  )
})

describe.each([
  ["Deno", join(root, "node_modules", ".bin", "deno"), ["run", "-A", "--node-modules-dir=manual"]],
  ["Node 24", join(root, "node_modules", ".bin", "node"), []]
] as const)("the sources under %s", (name, runtime, args) => {
  const words = [runtime, ...args, join(root, "src", "main.ts")]

  it("say their version and their help", (context) => {
    const there = spawnSync(runtime, ["--version"], { encoding: "utf8" })
    if (there.status !== 0 || (name === "Node 24" && !there.stdout.startsWith("v24."))) {
      console.log(`skipped: needs ${name}`)
      return context.skip(`needs ${name}`)
    }
    const env = { DENO_DIR: join(root, ".cache", "deno"), DENO_NO_UPDATE_CHECK: "1" }
    expect(runs([...words, "--version"], env, root).code).toBe(0)
    const { code, output } = runs([...words, "--help"], env, root)
    expect(code, output).toBe(0)
    fitsAScreen(output)
  }, 60_000)
})
