import { homedir } from "node:os"
import { join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { expect, test } from "vitest"
import { Random } from "../../../core/arrays/random.ts"
import { UserError } from "../../../core/errors.ts"
import { type ParsedQuery, parseQuery, type QueryTerm, type QueryWords, queryText } from "./parse-query.ts"

const folder = resolve("/pictures")
const files = ["sunset.jpg", "my dog.jpeg", "sub/plain", "beach", "-odd.jpg"].map((name) => resolve(folder, name))
const lookup = { folder, isFile: (path: string) => files.includes(path) }

const parse = (words: readonly string[], more: Omit<QueryWords, "words"> = {}): ParsedQuery =>
  parseQuery({ words, ...more }, lookup)
const terms = (...words: string[]): readonly QueryTerm[] => parse(words).terms
const text = (value: string, weight = 1) => ({ kind: "text", weight, text: value })
const picture = (name: string, weight = 1, kind = "picture") => ({ kind, weight, path: resolve(folder, name) })

test("words without a mark are one text, as people type them", () => {
  expect(terms("red", "car")).toEqual([text("red car")])
  expect(terms("red  car", " at\nnight ")).toEqual([text("red car at night")])
  expect(terms("red", "+dog", "car")).toEqual([text("red car"), text("dog")])
  expect(terms("写真", "🐈", "naïve")).toEqual([text("写真 🐈 naïve")])
})

test("signs and weights", () => {
  expect(terms("beach", "-people")).toEqual([text("beach"), text("people", -1)])
  expect(terms("2:dog", "-1.5:people in suits", "+.5:sky")).toEqual([
    text("dog", 2),
    text("people in suits", -1.5),
    text("sky", 0.5),
  ])
  expect(parse(["beach"], { plus: ["2:dog"], minus: ["people", "0.5:sunset.jpg"] }).terms).toEqual([
    ...[text("beach"), text("dog", 2), text("people", -1)],
    picture("sunset.jpg", -0.5),
  ])
  // A time of day, a ratio, a hyphen inside.
  expect(terms("clock", "10:30", "16:9", "e-mail")).toEqual([text("clock 10:30 16:9 e-mail")])
})

test("a picture is a word that names one", () => {
  expect(terms("sunset.jpg")).toEqual([picture("sunset.jpg")])
  expect(terms("./sunset.jpg", "red", "car")).toEqual([text("red car"), picture("sunset.jpg")])
  expect(terms("0.5:./sunset.jpg", "dog")).toEqual([text("dog"), picture("sunset.jpg", 0.5)])
  expect(terms("my dog.jpeg", "-sub/plain")).toEqual([picture("my dog.jpeg"), picture("sub/plain", -1)])
  expect(terms("@beach", "image:beach", pathToFileURL(join(folder, "beach")).href)).toEqual(
    Array.from({ length: 3 }, () => picture("beach")),
  )
  // A file that happens to have the name of a word is not meant.
  expect(terms("beach")).toEqual([text("beach")])
  expect(terms("text:sunset.jpg", "text:2:dog")).toEqual([text("sunset.jpg"), text("2:dog")])
  expect(terms("and/or", "a photo of IMG_1.jpg")).toEqual([text("and/or a photo of IMG_1.jpg")])
})

test("more like this, by a path in the index or any file", () => {
  expect(terms("like:gone.jpg")).toEqual([picture("gone.jpg", 1, "like")])
  expect(parse([], { like: ["a/b.jpg", "~/c.jpg"] }).terms).toEqual([
    picture("a/b.jpg", 1, "like"),
    { kind: "like", weight: 1, path: join(homedir(), "c.jpg") },
  ])
  expect(terms("x", "-0.5:like:gone.jpg")).toEqual([text("x"), picture("gone.jpg", -0.5, "like")])
})

test.each<[string, string[], string, string]>([
  ["nothing", [], "the query is empty", "write what to look for"],
  ["an empty word", ["", "x"], '"" holds no text', "leave it out"],
  ["an empty term", ["2:", "x"], '"2:" holds no text', "leave it out"],
  ["a sign alone", ["beach", "-"], '"-" is a sign without a text', "-people"],
  ["a space after a sign", ["+ dog"], '"+ dog" is a sign without a text', "+people"],
  ["two signs", ["+-dog"], '"+-dog" has two signs', "write +dog"],
  ["a sign after the weight", ["2:-dog"], '"2:-dog" has its sign after the weight', "write -2:dog"],
  ["no weight", ["0:dog"], 'the weight of "0:dog" is not from above 0 to 1000', "-2:people"],
  ["a huge weight", ["99999:dog"], "is not from above 0 to 1000", "-2:people"],
  ["a comma", ["0,5:dog"], 'the weight of "0,5:dog" has a comma', "write a point: 0.5:..."],
  ["a long dash", ["beach", "–people"], '"–people" begins with a long dash', "write a hyphen: -people"],
  ["only negative terms", ["-people", "-2:cars"], 'the query -"people" - 2 x "cars" only says', "photo -people"],
  ["an absent picture", ["sunste.jpg"], '"sunste.jpg" is written as a picture\'s path', "text:sunste.jpg"],
  ["an absent path", ["../photos"], "there is no such file", "like:PATH"],
  ["an absent @picture", ["@home"], `there is no file ${resolve(folder, "home")}`, "text:home"],
  ["an address", ["https://example.org/a.jpg"], "pictures are not downloaded", "download it first"],
  ["a file of another machine", ["file://server/a.jpg"], "names no file of this machine", "file:///"],
  ["a long text", ["x".repeat(2001)], "a text of 2001 characters is more than 2000", "77 tokens"],
  ["many terms", Array.from({ length: 65 }, (_, i) => `+t${i}`), "65 terms, more than 64", "leave some out"],
])("refused in one line with a hint: %s", (_, words, message, hint) => {
  let error: unknown
  try {
    parse(words)
  } catch (thrown) {
    error = thrown
  }
  expect(error).toBeInstanceOf(UserError)
  expect((error as UserError).message).toContain(message)
  expect((error as UserError).hint).toContain(hint)
  expect((error as UserError).message).not.toContain("\n")
})

test("options have their sign in their name", () => {
  expect(() => parse(["x"], { minus: ["-people"] })).toThrow('--minus "-people" has two signs')
  expect(() => parse(["x"], { plus: [" "] })).toThrow('"--plus" holds no text')
})

test("a minus inside a text is noted, because the model does not subtract it", () => {
  expect(parse(["beach -people"]).notes).toEqual([
    '"beach -people" is one text, -people included; to subtract it, write it as a word of its own',
  ])
  expect(parse(["beach", "black and white - old"]).notes).toEqual([])
})

test("a query is said as it was understood", () => {
  expect(queryText(terms("red", "car", "-2:people", "sunset.jpg"))).toBe(
    `"red car" - 2 x "people" + picture ${JSON.stringify(resolve(folder, "sunset.jpg"))}`,
  )
})

/** Pieces of words that have a meaning, and others, put together at random. */
const pieces = [
  "-",
  "+",
  "2:",
  "0.5:",
  "text:",
  "like:",
  "image:",
  "@",
  "dog",
  " ",
  "猫",
  "\ud83d\ude00",
  ".jpg",
  "/",
  "10",
]

function randomWord(random: Random): string {
  return Array.from({ length: 1 + random.int(4) }, () => random.pick(pieces)).join("")
}

test("any words are terms with finite weights, or are refused for a reason that a user can act on", () => {
  const random = new Random(7)
  let [parsed, refused] = [0, 0]
  for (let n = 0; n < 20_000; n++) {
    const words = Array.from({ length: random.int(4) }, () => randomWord(random))
    try {
      const { terms } = parse(words)
      parsed++
      expect(terms.some(({ weight }) => weight > 0)).toBe(true)
      for (const term of terms) {
        expect(Number.isFinite(term.weight) && term.weight !== 0).toBe(true)
        if (term.kind === "text") expect(term.text).toMatch(/^\S(.*\S)?$/u)
        else expect(term.path).toBe(resolve(term.path))
      }
    } catch (error) {
      if (!(error instanceof UserError)) throw new Error(`words ${JSON.stringify(words)}`, { cause: error })
      refused++
      expect(error.hint).toBeTruthy()
    }
  }
  expect(Math.min(parsed, refused)).toBeGreaterThan(2000)
})

test("a text survives being marked: with `text:` before it, it is the term, whatever it is", () => {
  const random = new Random(8)
  for (let n = 0; n < 2000; n++) {
    const word = randomWord(random)
    if (word.trim() === "") continue
    expect(terms(`text:${word}`, "-3:text:x")).toEqual([text(word.trim().replaceAll(/\s+/g, " ")), text("x", -3)])
  }
})
