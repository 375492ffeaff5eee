import { expect, test } from "vitest"
import { inChild } from "./child.ts"

test("the answer comes back, whatever else is printed", async () => {
  const body = `console.log("noise"); const bytes = require("node:fs").readFileSync(0); console.error("more")
    return { length: bytes.length, args }`
  const outcome = await inChild(body, { args: ["a b", "--c"], input: new Uint8Array(300_000) })
  expect(outcome).toEqual({ ok: true, value: { length: 300_000, args: ["a b", "--c"] } })
})

test.each([
  ["an error", `throw new Error("no device\\n  here")`, "no device here"],
  [
    "a crash",
    `process.kill(process.pid, "SIGSEGV"); await new Promise(() => setTimeout(() => {}, 9e6))`,
    "crashed (SIGSEGV)",
  ],
  ["an exit", "process.exit(3)", "crashed (exit code 3)"],
  ["an exit that looks well", "process.exit(0)", "crashed (exit code 0)"],
  ["a hang", "await new Promise(() => setTimeout(() => {}, 9e6))", "gave no answer within 1 seconds"],
])("%s is a reason", async (_, body, reason) => {
  const input = new Uint8Array(1_000_000)
  const timeoutSeconds = reason.startsWith("gave no answer") ? 1 : 60
  expect(await inChild(body, { input, timeoutSeconds })).toEqual({ ok: false, reason })
})
