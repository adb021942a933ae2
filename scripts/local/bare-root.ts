/**
 * The binary as a container without a distribution would run it: as uid 65532, in a read-only root that holds nothing but
 * the binary, the five libraries that it is linked against, and `/proc`. No shell, no `/tmp`, no `/etc`.
 *
 * Invariant: the mounts are made in a mount namespace of their own and end with the process.
 */
import { execFileSync } from "node:child_process"
import { constants, copyFileSync, existsSync, mkdirSync, realpathSync } from "node:fs"
import { dirname, join } from "node:path"

const script = [
  'mount --bind "$0" "$0"',
  'mount -o remount,bind,ro "$0"',
  'mount -t proc proc "$0/proc"',
  'exec chroot --userspec=65532:65532 "$0" /agent "$@"'
].join(" && ")

/** What this machine lacks for it; undefined when nothing. */
export const bareRootNeeds = (): string | undefined => {
  if (process.platform !== "linux") return "Linux"
  if (process.getuid?.() !== 0) return "root"
  try {
    execFileSync("unshare", ["--mount", "true"], { stdio: "ignore" })
    return undefined
  } catch {
    return "a mount namespace"
  }
}

/** The libraries that the loader would map, its own file included; the kernel's vdso is none. */
export const libraries = (binary: string): ReadonlyArray<string> =>
  [...execFileSync("ldd", [binary], { encoding: "utf8" }).matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(
    ([, path]) => path ?? ""
  )

/** Builds the root in `folder`; the words that start the binary inside, to be followed by its arguments. */
export const bareRoot = (binary: string, folder: string): ReadonlyArray<string> => {
  if (!existsSync(folder)) {
    mkdirSync(join(folder, "proc"), { recursive: true })
    copyFileSync(binary, join(folder, "agent"), constants.COPYFILE_FICLONE)
    for (const library of libraries(binary)) {
      mkdirSync(join(folder, dirname(library)), { recursive: true })
      // Most are links to a name with a version in it; what is copied is the file.
      copyFileSync(realpathSync(library), join(folder, library))
    }
  }
  return ["unshare", "--mount", "--", "sh", "-c", script, folder]
}
