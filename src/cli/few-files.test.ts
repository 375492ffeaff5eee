import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"
import { exitCodeOf } from "./errors.ts"

const program = fileURLToPath(new URL("../../bin/mobileclip.js", import.meta.url))

function run(limit: number, ...args: string[]) {
  const command = `ulimit -n ${limit}; exec "$0" "$@"`
  const { status, stderr } = spawnSync("sh", ["-c", command, process.execPath, program, ...args], { encoding: "utf8" })
  return { status, stderr }
}

test.skipIf(process.platform !== "linux")("where too few files may be open, a line says so and names ulimit", () => {
  for (const [limit, command] of [
    [64, "train"],
    [120, "train"],
    [128, "finetune"],
  ] as const)
    expect(run(limit, command, "--help")).toEqual({
      status: 1,
      stderr: `mobileclip: ${limit} files may be open at a time here, and 256 are needed\n  raise the limit: ulimit -n 4096\n`,
    })
  expect(run(256, "finetune", "--help")).toEqual({ status: 0, stderr: "" })
})

test("the same error later is one line too", () => {
  const lines: string[] = []
  const error = Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE", path: "/a.js" })
  expect(exitCodeOf(error, (text) => lines.push(text), "")).toBe(1)
  expect(lines).toEqual([expect.stringMatching(/too many open files while reading \/a\.js\n {2}raise ulimit -n\n$/)])
})
