import type { Command } from "commander"
import { expect, test } from "vitest"
import { UserError } from "../core/errors.ts"
import { signedWords } from "../search/query/parse/signed-words.ts"
import { sameCommand } from "./context.ts"
import { type CommandTable, main } from "./main.ts"
import { number } from "./options.ts"

let loaded: string[] = []
let seen: unknown

const table: CommandTable = {
  train: {
    summary: "train a model",
    async load() {
      loaded.push("train")
      return {
        register: (program) =>
          program
            .command("train <shards...>")
            .description("train a model on shards")
            .option("--lr <number>", "learning rate", number(0, 1))
            .action((shards, options) => {
              seen = { shards, options }
            }),
      }
    },
  },
  fail: {
    summary: "fail",
    async load() {
      return {
        register: (program) =>
          program.command("fail <how>").action((how) => {
            if (how === "hostile") throw new UserError("\x1b]0;t\x07.jpg\u202e is damaged", "\x1b[2J")
            if (how === "user") throw new UserError("labels.txt is empty\n(0 bytes)", "put one label on each line")
            throw new Error("a bug", { cause: new Error("deeper") })
          }),
      }
    },
  },
  find: {
    summary: "find pictures",
    async load() {
      return {
        register: (program) =>
          program
            .command("find [words...]")
            .option("--minus <text>")
            .action((words, { minus }) => {
              seen = { words, minus }
            }),
        optionWords: signedWords,
      }
    },
  },
  long: {
    summary: "work until interrupted",
    async load() {
      return {
        register: (program, { abortOnInterrupt }) =>
          program
            .command("long")
            .option("--throw")
            .option("--what <text>")
            .action(async (options) => {
              const signal = abortOnInterrupt(options.what, sameCommand(["long", "a b"]))
              process.emit("SIGINT", "SIGINT")
              if (options.throw) signal.throwIfAborted()
            }),
      }
    },
  },
}

async function run(...argv: string[]) {
  loaded = []
  let [out, err] = ["", ""]
  const code = await main(argv, table, { out: (text) => (out += text), err: (text) => (err += text) })
  return { code, out, err }
}

test("help and version load no command", async () => {
  const help = await run("--help")
  expect(help).toMatchObject({ code: 0, err: "" })
  expect(help.out).toMatch(/train +train a model\n/)
  expect(help.out).toContain("Examples:")
  expect(await run("--version")).toEqual({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), err: "" })
  expect(loaded).toEqual([])
})

test("a command is loaded when it is asked for, or for its help", async () => {
  expect(await run("train", "a.tar", "b.tar", "--lr=1e-3")).toEqual({ code: 0, out: "", err: "" })
  expect(seen).toEqual({ shards: ["a.tar", "b.tar"], options: { lr: 0.001 } })
  for (const argv of [
    ["train", "--help"],
    ["help", "train"],
  ]) {
    expect(await run(...argv)).toMatchObject({ code: 0, out: expect.stringContaining("--lr <number>"), err: "" })
    expect(loaded).toEqual(["train"])
  }
})

test("wrong usage is exit code 2, on stderr, with the nearest name and a pointer to the help", async () => {
  expect(await run("trian")).toEqual({
    code: 2,
    out: "",
    err: "mobileclip: unknown command 'trian'\n(Did you mean train?)\n  see mobileclip --help\n",
  })
  expect(await run("train", "a.tar", "--lt", "1")).toEqual({
    code: 2,
    out: "",
    err: "mobileclip: unknown option '--lt'\n(Did you mean --lr?)\n  see mobileclip train --help\n",
  })
  expect((await run("train", "a.tar", "--lr", "2")).err).toContain("expected a number from 0 to 1")
  expect(await run("train")).toMatchObject({
    code: 2,
    err: expect.stringContaining("missing required argument 'shards'"),
  })
  expect(await run()).toMatchObject({ code: 2, out: "", err: expect.stringContaining("Usage: mobileclip") })
})

test("a command may take words with a dash, also where they begin with a letter of the program's own options", async () => {
  expect(await run("find", "italy", "-Venice")).toEqual({ code: 0, out: "", err: "" })
  expect(seen).toEqual({ words: ["italy"], minus: "Venice" })
  expect((await run("find", "--minsu", "x")).err).toContain("(Did you mean --minus?)")
})

test("a user's error is one line and a hint; a bug of ours keeps its stack", async () => {
  expect(await run("fail", "user")).toEqual({
    code: 1,
    out: "",
    err: "mobileclip: labels.txt is empty (0 bytes)\n  put one label on each line\n",
  })
  const { code, err } = await run("fail", "bug")
  expect(code).toBe(1)
  expect(err).toMatch(/Error: a bug\n +at [\s\S]*deeper/)
})

test("Ctrl-C lets the command finish and is exit code 130, also where the command throws the signal's reason", async () => {
  const before = process.listenerCount("SIGINT")
  expect(await run("long")).toMatchObject({
    code: 130,
    err: "\nmobileclip: stopping after the current step; once more stops now\n",
  })
  expect(await run("long", "--what", "leaving")).toMatchObject({
    code: 130,
    err: "\nmobileclip: leaving; once more stops now\n",
  })
  const thrown = await run("long", "--throw")
  expect(thrown).toMatchObject({
    code: 130,
    err: expect.stringMatching(/\nmobileclip: stopped; to go on:\n {2}mobileclip long 'a b'\n$/),
  })
  expect(process.listenerCount("SIGINT")).toBe(before)
})

test("a token is not repeated in the command that goes on", () => {
  for (const token of [["--token", "hf_a"], ["--token=hf_a"]])
    expect(sameCommand(["pull", "x", ...token])()).toBe("stopped; the same command goes on")
})

test("foreign text is made printable, and our colours are not changed", async () => {
  const { err } = await run("fail", "hostile")
  expect(err).toContain("\\x1b]0;t\\x07.jpg\\u202e is damaged\n  \\x1b[2J\n")
  const said: CommandTable = {
    say: {
      summary: "say",
      load: async () => ({
        register: (program) =>
          program.command("say").action((_, command: Command) => {
            command.configureOutput().writeOut?.("\x1b[31mred\x1b[39m \x1b[2J\x9b5m\n\u2028")
            command.configureOutput().writeErr?.(`${JSON.stringify({ name: "\x7f\u202e" })}\n`)
          }),
      }),
    },
  }
  let [out, json] = ["", ""]
  await main(["say"], said, { out: (text) => (out += text), err: (text) => (json += text) })
  expect(out).toBe("\x1b[31mred\x1b[39m \\x1b[2J\\u009b5m\n\\u2028")
  expect(json).toBe('{"name":"\\u007f\\u202e"}\n')
})

test("what a command made itself may be written as it is", async () => {
  const table: CommandTable = {
    show: {
      summary: "show",
      load: async () => ({
        register: (program, { writeUnchanged }) =>
          program.command("show").action(() => writeUnchanged("\x1b_Ga=T;AAAA\x1b\\")),
      }),
    },
  }
  let text = ""
  await main(["show"], table, { out: (part) => (text += part), err: () => {} })
  expect(text).toBe("\x1b_Ga=T;AAAA\x1b\\")
})
