import { Command } from "commander"
import { expect, test } from "vitest"
import { UserError } from "../../../core/errors.ts"
import { signedWords } from "./signed-words.ts"

/** As `mobileclip search` is parsed: a program that knows -V and -h, and a command with options of all kinds. */
function parse(...argv: string[]) {
  let found = { words: [] as string[], minus: [] as string[], json: false, index: "", k: 0, null: false }
  const program = new Command("mobileclip").version("1.0.0").exitOverride()
  program.configureOutput({ writeErr: () => {}, writeOut: () => {} })
  const command = program.command("search").argument("[words...]")
  const list = (value: string, before: string[] = []) => [...before, value]
  command
    .option("--minus <text>", "", list)
    .option("--json")
    .option("--index <dir>")
    .option("-k, --limit <n>", "", Number)
  command.option("-0, --null").option("--sheet <file>")
  command.action((words, { minus = [], json = false, index = "", limit = 0, null: nul = false }) => {
    found = { words, minus, json, index, k: limit, null: nul }
  })
  program.parse(["search", ...signedWords(argv, command.options)], { from: "user" })
  return found
}

test("a word with a dash is subtracted, wherever it stands", () => {
  expect(parse("beach", "-people")).toMatchObject({ words: ["beach"], minus: ["people"] })
  expect(parse("-people", "red", "--json", "car")).toMatchObject({
    words: ["red", "car"],
    minus: ["people"],
    json: true,
  })
  expect(parse("a", "-people in suits", "-猫", "-1.5:dog", "-2")).toMatchObject({
    words: ["a"],
    minus: ["people in suits", "猫", "1.5:dog", "2"],
  })
})

test("letters of short options do not eat a word", () => {
  expect(parse("italy", "-Venice")).toMatchObject({ words: ["italy"], minus: ["Venice"] })
  expect(parse("x", "-hat", "-kids", "-007")).toMatchObject({ words: ["x"], minus: ["hat", "kids", "007"] })
  expect(parse("x", "-k5", "-0", "-k", "7")).toMatchObject({ words: ["x"], minus: [], k: 7, null: true })
  expect(parse("x", "-k5")).toMatchObject({ k: 5 })
})

test("values of options and what follows -- stay", () => {
  expect(parse("x", "--index", "-odd")).toMatchObject({ index: "-odd", minus: [] })
  expect(parse("x", "--index=-odd", "-cat")).toMatchObject({ index: "-odd", minus: ["cat"] })
  expect(parse("--", "beach", "-people", "--index")).toMatchObject({
    words: ["beach", "-people", "--index"],
    minus: [],
  })
  expect(signedWords(["x", "--index"], [{ long: "--index", required: true }])).toEqual(["x", "--index"])
})

test("what may be an option is refused with both ways to write it", () => {
  const error = () => parse("beach", "-json")
  expect(error).toThrow(UserError)
  expect(error).toThrow('"-json" may be the option --json or a text to subtract')
  expect(() => parse("beach", "-index=photos")).toThrow("may be the option --index")
  // Words of one letter or with two dashes are left to the parser, which refuses them with the nearest name.
  expect(() => parse("beach", "--jsn")).toThrow("(Did you mean --json?)")
  expect(() => parse("beach", "-x")).toThrow("unknown option '-x'")
  // Not a name, though near one.
  expect(parse("farm", "-sheep")).toMatchObject({ minus: ["sheep"] })
})
