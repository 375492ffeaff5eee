/** Native code is tried in a process of its own: a crash or a hang is reported, and does not end this one. */
import { spawn } from "node:child_process"

export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false
      /** In one line: an error's message, "crashed (SIGSEGV)", "gave no answer within 20 seconds". */
      readonly reason: string
    }

interface ChildOptions {
  readonly args?: readonly string[]
  /** What the child reads from its standard input. */
  readonly input?: Uint8Array
  readonly timeoutSeconds?: number
}

/**
 * Runs the body of an async function in Node, with `require` and its arguments in `args`, and gives what it returns, as
 * JSON carries it. Whatever else the child prints is ignored.
 */
export async function inChild<T>(
  body: string,
  { args = [], input = new Uint8Array(), timeoutSeconds = 20 }: ChildOptions = {},
): Promise<Outcome<T>> {
  const child = spawn(process.execPath, ["-e", program(body), "--", ...args], {
    stdio: ["pipe", "pipe", "ignore"],
    timeout: timeoutSeconds * 1000,
    killSignal: "SIGKILL",
  })
  // A child that ends before it has read everything breaks the pipe; its exit says more.
  child.stdin.on("error", () => {})
  child.stdin.end(input)
  let output = ""
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text
  })
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (code, signal) => resolve([code, signal]))
  })
  return outcomeOf(output, code, child.killed ? "timeout" : signal, timeoutSeconds)
}

/** Marks the answer among what native code prints. */
const MARK = "mobileclip-child:"

function program(body: string): string {
  const answer = (value: string) =>
    `process.stdout.write("\\n${MARK}" + JSON.stringify(${value}) + "\\n", () => process.exit(0))`
  return `(async (args) => {${body}\n})(process.argv.slice(1)).then(
    (value) => ${answer("{ ok: true, value }")},
    (error) => ${answer("{ ok: false, reason: String(error?.message ?? error) }")})`
}

function outcomeOf<T>(output: string, code: number | null, signal: string | null, seconds: number): Outcome<T> {
  if (signal === "timeout") return { ok: false, reason: `gave no answer within ${seconds} seconds` }
  const line = output.split("\n").findLast((line) => line.startsWith(MARK))
  if (signal || code !== 0 || !line) return { ok: false, reason: `crashed (${signal ?? `exit code ${code}`})` }
  const answer: Outcome<T> = JSON.parse(line.slice(MARK.length))
  return answer.ok ? answer : { ok: false, reason: answer.reason.replaceAll(/\s+/g, " ").trim() }
}
