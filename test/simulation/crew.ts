/**
 * The processes that play plans: a few at once, each one plan at a time.
 *
 * Invariant: every task is answered once; a process that dies fails the run with what it said.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process"
import { join } from "node:path"
import { createInterface } from "node:readline"
import type { Readable, Writable } from "node:stream"
import type { Answer, Task } from "./worker.ts"

/** A process grows with what it compiled and played; it is replaced after so many tasks. */
const tasksEach = 400

interface Worker {
  readonly ask: (task: Task) => Promise<Answer>
  readonly end: () => void
}

const startWorker = (mutant: string | undefined): Worker => {
  const script = join(import.meta.dirname, "worker.ts")
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(
    process.execPath,
    [script, ...(mutant === undefined ? [] : [mutant])],
    { stdio: ["pipe", "pipe", "pipe"] }
  )
  let waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined
  let complaint = ""
  child.stderr.on("data", (chunk) => (complaint = `${complaint}${String(chunk)}`.slice(-4_000)))
  createInterface({ input: child.stdout }).on("line", (line) => {
    const answered = waiting
    waiting = undefined
    answered?.resolve(JSON.parse(line) as Answer)
  })
  child.on("close", (code) => {
    waiting?.reject(new Error(complaint.trim() || `a process of the simulation ended with ${code}`))
  })
  return {
    ask: (task) =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject }
        child.stdin.write(`${JSON.stringify(task)}\n`)
      }),
    end: () => child.stdin.end()
  }
}

/**
 * Asks all tasks of `size` processes; `answered` says with false that no more are wanted. Tasks are taken as processes get
 * free, so answers come in any order.
 */
export const askAll = async (
  tasks: Iterable<Task>,
  size: number,
  mutant: string | undefined,
  answered: (answer: Answer) => boolean
): Promise<void> => {
  const left = tasks[Symbol.iterator]()
  let wanted = true
  const one = async () => {
    let worker = startWorker(mutant)
    let asked = 0
    for (;;) {
      const next = wanted ? left.next() : undefined
      if (next === undefined || next.done === true) return worker.end()
      if (asked++ === tasksEach) {
        worker.end()
        worker = startWorker(mutant)
        asked = 1
      }
      if (!answered(await worker.ask(next.value))) wanted = false
    }
  }
  await Promise.all(Array.from({ length: size }, one))
}

export const askOne = async (task: Task, mutant: string | undefined): Promise<Answer> => {
  const worker = startWorker(mutant)
  const answer = await worker.ask(task)
  worker.end()
  return answer
}
