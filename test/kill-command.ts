/** Commands that are killed in the middle of their work. */
import { spawn } from "node:child_process"
import { once } from "node:events"

/**
 * Runs `mobileclip` with `argv` and kills it when it has made a file or folder whose path below `folder` matches, where it stops:
 * what is there for a moment would not always be seen in time. Throws where it ended before.
 */
export async function killCommand(argv: readonly string[], folder: string, pattern: RegExp): Promise<void> {
  const words = ["--import", stopping(folder, pattern), "bin/mobileclip.js", ...argv]
  const child = spawn(process.execPath, words, { stdio: ["ignore", "ignore", "ignore", "pipe"] })
  const exited = once(child, "exit")
  await Promise.race([once(child.stdio[3]!, "data"), exited])
  child.kill("SIGKILL")
  const [, signal] = await exited
  if (signal !== "SIGKILL") throw new Error(`mobileclip ${argv.join(" ")} ended before ${pattern} was there`)
}

/** The address of a module that says by its fourth descriptor that the path is there, and goes no further. */
function stopping(folder: string, pattern: RegExp): string {
  const code = `
    import { writeSync } from "node:fs"
    import promises from "node:fs/promises"
    import { syncBuiltinESMExports } from "node:module"
    import { relative } from "node:path"
    for (const name of ["mkdir", "open"]) {
      const make = promises[name]
      promises[name] = async (path, ...rest) => {
        const made = await make(path, ...rest)
        if (!${pattern}.test(relative(${JSON.stringify(folder)}, String(path)))) return made
        writeSync(3, "it is there")
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
      }
    }
    syncBuiltinESMExports()`
  return `data:text/javascript,${encodeURIComponent(code)}`
}
