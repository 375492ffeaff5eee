/** README's commands name what there is: subcommands, flags, scripts, files; and its program compiles. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, expect, test } from "vitest"
import { commands, main } from "../src/cli/main.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const readme = readFileSync(join(root, "README.md"), "utf8")
const blocksOf = (language: string) =>
  [...readme.matchAll(RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, "g"))].map(([, text]) => text!)
const lines = [
  ...blocksOf("sh").flatMap((block) => block.split("\n").filter(Boolean)),
  ...[...readme.matchAll(/`((?:npx|npm run|node) [^`]+)`/g)].map(([, command]) => command!),
].flatMap((line) => line.replace(/\s+#.*$/, "").split(" && "))

const scratch = join(root, "dist/readme")
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

async function helpOf(words: readonly string[]): Promise<string> {
  let text = ""
  const code = await main([...words, "--help"], undefined, { out: (more) => (text += more), err: () => {} })
  expect(code, words.join(" ")).toBe(0)
  return text
}

/** `reinforce run embedding` and `train`: the words before the first that is no subcommand. */
function subcommandOf(words: readonly string[]): readonly string[] {
  if (words[0] !== "reinforce") return words.slice(0, 1)
  return words.slice(0, words[1] === "run" ? 3 : 2)
}

const own = lines.filter((line) => line.startsWith("npx mobileclip "))

test("there are commands to check, one of each kind of work", () => {
  expect(lines.length).toBeGreaterThan(25)
  const used = new Set(own.map((line) => line.split(" ")[2]))
  for (const name of Object.keys(commands)) if (name !== "quickstart") expect(used, name).toContain(name)
})

test.each(own)("%s", async (line) => {
  const words = line.split(/\s+/).slice(2)
  const help = await helpOf(subcommandOf(words))
  for (const flag of words.filter((word) => /^--[a-z]/.test(word))) expect(help, flag).toMatch(RegExp(`${flag}\\b`))
})

test.each(lines.filter((line) => !line.startsWith("npx mobileclip ")))("%s", (line) => {
  const words = line.split(/\s+/)
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  if (words[0] === "node") expect(existsSync(join(root, words[1]!))).toBe(true)
  else if (words[1] === "run" || words[1] === "test")
    expect(scripts).toHaveProperty([words[1] === "run" ? words[2]! : "test"])
  else expect(line).toBe("npm ci")
})

test("the program compiles against the package's types", () => {
  mkdirSync(scratch, { recursive: true })
  const [program] = blocksOf("ts")
  writeFileSync(join(scratch, "program.mts"), program!)
  const options = [
    "--ignoreConfig",
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--module",
    "nodenext",
    "--lib",
    "es2023,esnext.disposable,dom",
  ]
  execFileSync(process.execPath, [
    join(root, "node_modules/typescript/bin/tsc"),
    ...options,
    join(scratch, "program.mts"),
  ])
}, 60_000)
