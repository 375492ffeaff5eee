import { execFileSync } from "node:child_process"
import { expect, test } from "vitest"
import { commandLine, shellQuote } from "./shell-quote.ts"

test("plain words stay, others are quoted", () => {
  for (const word of ["runs/mine", "a-b_c.d", "s3://b/x", "--labels", "cat,dog", "été/猫", "x=1"]) {
    expect(shellQuote(word)).toBe(word)
  }
  expect(shellQuote("hot dog")).toBe("'hot dog'")
  expect(shellQuote("it's")).toBe("'it'\\''s'")
  expect(shellQuote("")).toBe("''")
  expect(shellQuote("=ls")).toBe("'=ls'")
  expect(shellQuote("a\x1b[2J'\\")).toBe("$'a\\x1b[2J\\x27\\\\'")
  expect(commandLine(["npx", "mobileclip", "loss.weights=[0,1]"])).toBe("npx mobileclip 'loss.weights=[0,1]'")
})

const hostile = [
  "$(touch x)",
  "`touch x`",
  "a;b",
  "a&&b",
  "~",
  "*",
  "a'b\"c",
  "\\",
  "!x",
  "a\nb",
  "#x",
  "{a,b}",
  "x>y",
  "-n ",
]

test.each([
  ["sh", hostile.filter((word) => !word.includes("\n"))],
  ["bash", [...hostile, "\x1b[2J'; touch x; '", "\t\r\u202e\u2028", "\x9b31m\x7f"]],
])("%s reads each word as it was", (shell, words) => {
  const script = `printf '%s\\0' ${commandLine(words)}`
  const env = { ...process.env, LC_ALL: "C.UTF-8" }
  expect(execFileSync(shell, ["-c", script], { encoding: "utf8", env }).split("\0").slice(0, -1)).toEqual(words)
})

test("no shell finds a command in a word with control characters", () => {
  const word = "\x1b'; echo found; '"
  expect(execFileSync("sh", ["-c", `printf '%s' ${shellQuote(word)}`], { encoding: "utf8" })).not.toMatch(/^found/m)
})
