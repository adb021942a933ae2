/** The pages: who sees them, what they tell, and that nothing in them is ever markup but their own. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { client, cron, emulator, gvc, idOf, org, runner, token, withRunner } from "../harness.ts"
import { end, isOver, running } from "../faults/asked.ts"

/** As a browser, which follows nothing by itself here. */
const visit = (url: string, path: string, cookie?: string) =>
  Effect.promise(async () => {
    const answer = await fetch(`${url}${path}`, {
      redirect: "manual",
      headers: cookie === undefined ? {} : { cookie }
    })
    return { status: answer.status, headers: answer.headers, text: await answer.text() }
  })

/** The cookie of a browser that was let in. */
const letIn = Effect.fnUntraced(function* (url: string) {
  const { headers } = yield* visit(url, `/?token=${token}`)
  return (headers.get("set-cookie") ?? "").split(";")[0]!
})

describe("the way in", () => {
  it.live("is the token, once: then a cookie that does not hold it opens the pages and nothing else", () =>
    Effect.gen(function* () {
      const { url } = yield* withRunner()
      const entered = yield* visit(url, `/?token=${token}`)
      expect([entered.status, entered.headers.get("location")]).toEqual([303, "/"])
      const set = entered.headers.get("set-cookie") ?? ""
      expect(set).toMatch(/^cpln-emulator=[\w-]{40,}; Path=\/; HttpOnly; SameSite=Strict$/u)
      expect(set).not.toContain(token)
      const cookie = set.split(";")[0]!
      const page = yield* visit(url, "/", cookie)
      expect([page.status, page.text]).toEqual([200, expect.stringContaining(`href="/page${runner}"`)])
      expect((yield* visit(url, org, cookie)).status).toBe(401)
      expect((yield* client(url, cookie.split("=")[1]!).get(org)).status).toBe(401)
    })
  )

  it.live("is shut without it: there is a form and nothing of what the emulator holds", () =>
    Effect.gen(function* () {
      const { url } = yield* withRunner()
      const paths = ["/", `/page${runner}`, `/page${gvc}/workload/none`, `/page${runner}/command/x`]
      for (const path of paths) {
        for (const cookie of [undefined, "cpln-emulator=", "cpln-emulator=wrong", "other=1"]) {
          const page = yield* visit(url, path, cookie)
          expect(page.status).toBe(401)
          expect(page.text).toContain(`<input name="token" type="password"`)
          expect(page.text).not.toContain("runner")
        }
      }
      const wrong = yield* visit(url, "/?token=wrong")
      expect([wrong.status, wrong.headers.get("set-cookie")]).toEqual([401, null])
      expect(wrong.text).toContain("That is not it.")
    })
  )

  it.live("stands open in an open emulator", () =>
    Effect.gen(function* () {
      const { url } = yield* emulator({ token: undefined })
      const page = yield* visit(url, "/")
      expect([page.status, page.text]).toEqual([200, expect.stringContaining("There are no workloads.")])
    })
  )

  it.live("leads to pages that fetch nothing, run nothing and are not kept", () =>
    Effect.gen(function* () {
      const { url } = yield* withRunner()
      const { headers, text } = yield* visit(url, "/", yield* letIn(url))
      expect(headers.get("content-type")).toBe("text/html; charset=utf-8")
      expect(headers.get("content-security-policy")).toContain("default-src 'none'")
      expect(headers.get("cache-control")).toBe("no-store")
      expect(text).not.toMatch(/<script|src=|@import|url\(/u)
    })
  )
})

describe("the pages", () => {
  it.live("tell of workloads, of their runs and how those ended, and of faults", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ startDelay: 0 })
      const { url } = cpln
      const path = yield* cpln.start("runner", {}, { "prefect.io/flow-run-name": "happy-otter" })
      yield* running(cpln, path)
      yield* end(cpln, path, 7)
      yield* cpln.until(path, isOver)
      yield* cpln.post("/emulator/faults", { what: "oom", where: { workload: "runner" } })
      const cookie = yield* letIn(url)
      const id = idOf(path)
      const overview = (yield* visit(url, "/", cookie)).text
      expect(overview).toContain(`<a href="/page${runner}">runner</a>`)
      expect(overview).toContain(`href="/page${runner}/command/${id}"`)
      expect(overview).toContain(`<span class="stage bad">failed</span>`)
      expect(overview).toContain("main: 7 Error")
      expect(overview).toContain("&quot;what&quot;:&quot;oom&quot;")
      const workload = (yield* visit(url, `/page${runner}`, cookie)).text
      expect(workload).toContain(id)
      expect(workload).toContain("cron, version 1")
      const command = (yield* visit(url, `/page${runner}/command/${id}`, cookie)).text
      expect(command).toContain("happy-otter")
      expect(command).toContain(`command-${id}-`)
      for (const missing of [`/page${gvc}/workload/none`, `/page${runner}/command/none`]) {
        expect((yield* visit(url, missing, cookie)).status).toBe(404)
      }
    })
  )

  it.live("show output, the newest lines, and never the values of variables", () =>
    Effect.gen(function* () {
      const script = "for i in $(seq 1 400); do echo line $i; done; echo trouble >&2"
      const containers = [{ name: "main", image: "x", command: "sh", args: ["-c", script] }]
      const cpln = yield* withRunner({ mode: "exec", startDelay: 0 }, { containers })
      const env = [{ name: "SECRET", value: "do-not-show" }]
      const path = yield* cpln.start("runner", { containerOverrides: [{ name: "main", env }] })
      yield* cpln.until(path, isOver)
      const cookie = yield* letIn(cpln.url)
      const { text } = yield* visit(cpln.url, `/page${runner}/command/${idOf(path)}`, cookie)
      expect(text).toContain("line 400")
      expect(text).toContain("<b>trouble</b>")
      expect(text).toContain("The newest 300 lines.")
      expect(text).not.toMatch(/line 50\n/u)
      expect(text).toContain("SECRET")
      yield* cpln.patch(runner, { spec: { "$patch/containers": [{ name: "main", env }] } })
      const workload = (yield* visit(cpln.url, `/page${runner}`, cookie)).text
      expect(workload).toContain("SECRET")
      expect(`${text}${workload}`).not.toContain("do-not-show")
    })
  )

  it.live("take nothing for markup that came from outside: tags, output, messages, faults, paths", () =>
    Effect.gen(function* () {
      const evil = `"'><script>alert(1)</script>&amp;<img src=x onerror=alert(1)>`
      const containers = [
        {
          name: "main",
          image: evil,
          command: "sh",
          args: ["-c", `echo '${evil.replaceAll("'", "")}'; exit 1`]
        }
      ]
      const cpln = yield* withRunner({ mode: "exec", startDelay: 0 }, { containers })
      yield* cpln.patch(runner, { description: evil.slice(0, 200), tags: { evil } })
      yield* cpln.post("/emulator/faults", { what: "image-failure", message: evil, where: { tag: evil } })
      const path = yield* cpln.start("runner", {}, { [evil]: evil })
      yield* Effect.sleep(100)
      yield* cpln.remove("/emulator/faults")
      const second = yield* cpln.start("runner", {}, { evil })
      yield* cpln.until(second, isOver)
      yield* cpln.post("/emulator/faults", { what: "unknown-stage", stage: evil })
      const cookie = yield* letIn(cpln.url)
      for (const page of [
        "/",
        `/page${runner}`,
        `/page${runner}/command/${idOf(path)}`,
        `/page${runner}/command/${idOf(second)}`,
        `/page${gvc}/workload/${encodeURIComponent(evil)}`,
        `/?token=${encodeURIComponent(evil)}`
      ]) {
        const { text } = yield* visit(cpln.url, page, cookie)
        expect(text).not.toMatch(/<script|<img|onerror=alert\(1\)>/u)
      }
    })
  )

  it.live("stay short, whatever there is", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ startDelay: 60_000 })
      yield* cpln.post(`${gvc}/workload`, cron("second"))
      yield* Effect.forEach(Array.from({ length: 70 }), () => cpln.start("runner"), { concurrency: 10 })
      const { text } = yield* visit(cpln.url, "/", yield* letIn(cpln.url))
      expect(text.match(/\/command\//gu)).toHaveLength(50)
      expect(text).toContain("The newest 50 of 70.")
    })
  )
})
