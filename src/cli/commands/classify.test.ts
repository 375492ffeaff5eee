import { execFileSync } from "node:child_process"
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { safetensorsChunks } from "../../core/containers/safetensors.ts"
import { exportModel } from "../../export/export.ts"
import { writeAtomically } from "../../host/files/files.ts"
import { checkpointMetadata, checkpointTensors } from "../../model/checkpoint/checkpoint.ts"
import type { Result } from "../classifying.ts"
import { main } from "../main.ts"

let folder: string
const at = (...parts: string[]) => join(folder, ...parts)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "classify-"))
  await exportModel(tinyModel(), tinyInfo, at("model"))
  mkdirSync(at("pictures", "more"), { recursive: true })
  const jpeg = (red: number) =>
    sharp(picture(red), { raw: { width: 90, height: 60, channels: 3 } })
      .jpeg()
      .toBuffer()
  writeFileSync(at("pictures", "red.jpg"), await jpeg(250))
  writeFileSync(at("pictures", "more", "dark.JPEG"), await jpeg(10))
  writeFileSync(at("cut.jpg"), (await jpeg(250)).subarray(0, 1500))
  writeFileSync(at("text.jpg"), "no picture")
  writeFileSync(at("labels.txt"), "cat\r\n\r\n dog \ncat\n")
  writeFileSync(at("empty.txt"), "\n \n")
})
afterAll(() => rmSync(folder, { recursive: true }))

/** 90 x 60 pixels with enough detail for a file of a few kilobytes. */
function picture(red: number): Uint8Array {
  return Uint8Array.from({ length: 90 * 60 * 3 }, (_, i) => (i % 3 === 0 ? red : (i * i) % 251))
}

function classify(...argv: string[]) {
  return run("classify", "--model", at("model"), ...argv)
}

async function run(...argv: string[]) {
  let [out, err] = ["", ""]
  const code = await main(argv, undefined, {
    out: (text) => (out += text),
    err: (text) => (err += text),
  })
  return { code, out, err: err.replaceAll(folder, "DIR") }
}

/** What one label alone is told. */
const alone =
  'a softmax over one label is always 100 %: whether it fits is told by the cosine, or by a second label such as "something else"\n'

test("JSON: all labels with probabilities, the best first", async () => {
  const { code, out, err } = await classify(at("pictures", "red.jpg"), "--labels", "cat, dog,a red car", "--json")
  expect({ code, err }).toEqual({ code: 0, err: "" })
  const [{ image, labels }, ...others] = JSON.parse(out)
  expect({ image, others }).toEqual({ image: at("pictures", "red.jpg"), others: [] })
  expect(labels.map(({ label }: { label: string }) => label).sort()).toEqual(["a red car", "cat", "dog"])
  const scores = labels.map(({ score }: { score: number }) => score)
  expect(scores).toEqual(scores.toSorted((a: number, b: number) => b - a))
  expect(scores[0] + scores[1] + scores[2]).toBeCloseTo(1, 6)
  const [first, second] = labels
  expect(Math.log(first.score / second.score)).toBeCloseTo((first.cosine - second.cosine) / 0.07, 3)
})

test("a table: folders are searched, --top cuts, labels come from a file", async () => {
  const { code, out } = await classify(at("pictures"), "--labels-file", at("labels.txt"), "--top", "1")
  expect(code).toBe(0)
  const [title, dark, red, ...rest] = out.trimEnd().split("\n")
  expect(title).toMatch(/^image +label +score +cosine$/)
  expect(dark).toMatch(/pictures\/more\/dark\.JPEG +(cat|dog) +\d+\.\d% +-?\d\.\d{3}$/)
  expect(red).toMatch(/pictures\/red\.jpg +(cat|dog) /)
  expect(rest).toEqual([])
})

test("a file of labels is not a label", async () => {
  const { code, err } = await classify(at("pictures", "red.jpg"), "--labels", at("labels.txt"))
  expect([code, err]).toEqual([
    1,
    expect.stringMatching(/labels\.txt is a file, .*\n {2}--labels-file .*labels\.txt reads it/),
  ])
})

test("a label with a comma, and a file that is not a list, are refused with the way to give them", async () => {
  const errorOf = async (...options: string[]) => (await classify(at("pictures", "red.jpg"), ...options)).err
  expect(await errorOf("--labels", 'cat, "dog, barking"')).toBe(
    'mobileclip: --labels: "dog begins with a quote that no label ends with, for commas separate labels even in quotes\n' +
      "  put labels that have commas into a file, one on each line, and give it with --labels-file\n",
  )
  expect(await errorOf("--labels", '"cat","dog"')).toBe("")
  writeFileSync(at("list.json"), '["cat",\n"dog"]')
  expect(await errorOf("--labels-file", at("list.json"))).toBe(
    "mobileclip: DIR/list.json is JSON, and not a list of labels\n  put one label on each line\n",
  )
  await run("bake-labels", "--model", at("model"), "--labels", "cat,dog", "--out", at("baked.json"))
  expect(await errorOf("--labels-file", at("baked.json"))).toBe(
    "mobileclip: DIR/baked.json is what `bake-labels` wrote\n  `classify --baked DIR/baked.json` reads it\n",
  )
})

test("a picture's address is refused before anything is read", async () => {
  for (const words of [
    ["https://example.com/a.jpg?size=1", "--labels", "a,b"],
    ["http://x/a.jpg", "--labels", "a,b"],
  ])
    expect(await classify(...words)).toEqual({
      code: 1,
      out: "",
      err: `mobileclip: ${words[0]} is an address: pictures are not downloaded\n  download it first, and name the file\n`,
    })
})

test("a file of labels in UTF-16, or with CR; other bytes are refused with their line", async () => {
  const list = async (content: string | Uint8Array) => {
    writeFileSync(at("list.txt"), content)
    const { out, err } = await classify(at("pictures", "red.jpg"), "--labels-file", at("list.txt"), "--json")
    return err === ""
      ? JSON.parse(out)[0]
          .labels.map(({ label }: { label: string }) => label)
          .sort()
      : err
  }
  const labels = ["café", "dog"]
  expect(await list("café\rdog\r")).toEqual(labels)
  expect(await list(Buffer.from("\ufeffcafé\r\ndog", "utf16le"))).toEqual(labels)
  expect(await list("\ufeffcafé\ndog")).toEqual(labels)
  expect(await list(Buffer.from("dog\rcaf\xe9", "latin1"))).toMatch(/DIR\/list\.txt, line 2 is not UTF-8\n {2}save/)
})

test("labels that the model cannot tell apart are named", async () => {
  const long = Array(80).fill("red").join(" ")
  const { code, err } = await classify(at("pictures", "red.jpg"), "--labels", `${long} star,dog,${long} heart`)
  expect(code).toBe(0)
  expect(err).toMatch(/^labels 1 \(".* star"\), 3 \(".* heart"\) are the same to the model/)
})

test("templates change the result; several are averaged", async () => {
  const cosine = async (...templates: string[]) => {
    const options = templates.flatMap((template) => ["--template", template])
    const { out } = await classify(at("pictures", "red.jpg"), "--labels", "cat", "--json", ...options)
    return JSON.parse(out)[0].labels[0].cosine
  }
  const [one, two, both] = [await cosine("{}"), await cosine("my {}!"), await cosine("{}", "my {}!")]
  expect(one).not.toBeCloseTo(two, 5)
  expect(both).toBeGreaterThanOrEqual(Math.min(one, two))
})

test("readable pictures are classified; each of the others is a line on stderr", async () => {
  symlinkSync("loop.jpg", at("loop.jpg"))
  const { code, out, err } = await classify(
    at("cut.jpg"),
    at("pictures", "red.jpg"),
    at("text.jpg"),
    at("none.jpg"),
    at("loop.jpg"),
    "--labels=a,b",
    "--json",
  )
  expect(code).toBe(3)
  expect(JSON.parse(out).map(({ image }: { image: string }) => image)).toEqual([at("pictures", "red.jpg")])
  expect(err.split("\n")).toEqual([
    expect.stringMatching(/^mobileclip: DIR\/cut\.jpg is damaged or cut off/),
    "mobileclip: DIR/text.jpg is not a picture",
    "mobileclip: DIR/none.jpg does not exist",
    "mobileclip: DIR/loop.jpg is a link that leads back to itself",
    "mobileclip: 4 of 5 pictures could not be read",
    "",
  ])
})

test("an odd folder: each picture once, a note about the rest, printable names", async () => {
  const odd = at("odd", "x\x1b[2J\u202e.jpg")
  mkdirSync(join(odd, ".ipynb_checkpoints"), { recursive: true })
  for (const name of ["._a.jpg", ".ipynb_checkpoints/a.jpg", "b.bmp"]) writeFileSync(join(odd, name), "no picture")
  copyFileSync(at("pictures", "red.jpg"), join(odd, "a.jfif"))
  symlinkSync(at("odd"), join(odd, "self"))
  execFileSync("mkfifo", [join(odd, "pipe.jpg")])
  const { code, out, err } = await classify(at("odd"), "--labels", "cat\x1b[31m", "--top=1")
  expect({ code, err }).toEqual({
    code: 0,
    err: expect.stringMatching(`^${alone}DIR/odd: passed over 1 file of other kinds \\(1 \\.bmp\\).*; 1 pipe.*\n$`),
  })
  const [, row, ...rest] = out.trimEnd().split("\n")
  expect([row!.replace(folder, "DIR").replaceAll(/ +/g, " "), rest]).toEqual([
    expect.stringMatching(/^DIR\/odd\/x\\x1b\[2J\\u202e\.jpg\/a\.jfif cat\\x1b\[31m 100\.0% /),
    [],
  ])
  const pipe = await classify(join(odd, "pipe.jpg"), "--labels=a")
  expect(pipe).toMatchObject({ code: 1, err: expect.stringContaining("pipe.jpg is a pipe, a socket or a device") })
})

test.each([
  ["a text file named .jpg", ["text.jpg", "--labels=a"], "DIR/text.jpg is not a picture", alone],
  ["a missing label file", ["pictures", "--labels-file", "none.txt"], "DIR/none.txt does not exist"],
  ["an empty label file", ["pictures", "--labels-file", "empty.txt"], "DIR/empty.txt holds no labels"],
  ["an empty folder", ["empty", "--labels=a"], "DIR/empty holds no pictures", alone],
  ["an unknown model", ["pictures", "--labels=a", "--model", "none"], "DIR/none does not exist"],
])("%s is one line and a hint, exit code 1", async (_, argv, message, before = "") => {
  mkdirSync(at("empty"), { recursive: true })
  const names = new Set(["text.jpg", "pictures", "none.txt", "empty.txt", "empty", "none"])
  const { code, out, err } = await classify(...argv.map((word) => (names.has(word) ? at(word) : word)))
  expect({ code, out }).toEqual({ code: 1, out: "" })
  expect(err).toMatch(new RegExp(`^${before}mobileclip: ${message}[^\n]*\n  [^\n]+\n$`))
})

test("--help says what the numbers are; one label alone has 100 %, and its cosine does not depend on others", async () => {
  const { code, out } = await run("classify", "--help")
  expect(code).toBe(0)
  for (const text of ["a softmax over them", "one label alone\nalways has 100 %", "The cosine, from -1 to 1"])
    expect(out).toContain(text)
  const first = async (labels: string) =>
    JSON.parse((await classify(at("pictures", "red.jpg"), "--labels", labels, "--json")).out)[0].labels
  const [only] = await first("cat")
  expect(only.score).toBe(1)
  const together = await first("cat,dog")
  expect(together.find(({ label }: { label: string }) => label === "cat").cosine).toBeCloseTo(only.cosine, 5)
})

test("one label alone is told that its 100 % says nothing, on stderr only", async () => {
  const { code, out, err } = await classify(at("pictures", "red.jpg"), "--labels", "cat,cat", "--json")
  expect({ code, err }).toEqual({ code: 0, err: `--labels: cat came more than once, and counts once\n${alone}` })
  expect(JSON.parse(out)).toEqual([
    {
      ...{ image: at("pictures", "red.jpg"), model: at("model"), orientation: "ignore", decode: "exact" },
      labels: [{ label: "cat", score: 1, cosine: expect.any(Number) }],
    },
  ])
  expect(await classify(at("pictures", "red.jpg"), "--labels", "cat,dog")).toMatchObject({ code: 0, err: "" })
})

describe("labels' vectors", () => {
  const prompts = Array.from({ length: 16 }, (_, i) => `{} ${i}`)
  const labels = Array.from({ length: 100 }, (_, i) => `label ${i}`)
  const words = () => ["--labels-file", at("many.txt"), "--templates", at("prompts.txt"), "--progress", "none"]
  const classified = (...more: string[]) => classify(at("pictures", "red.jpg"), ...words(), "--json", ...more)
  const keptFiles = () => readdirSync(at("cache", "mobileclip", "vectors")).filter((name) => name.endsWith(".labels"))
  beforeEach(() => {
    vi.stubEnv("XDG_CACHE_HOME", at("cache"))
    writeFileSync(at("prompts.txt"), prompts.join("\n"))
    writeFileSync(at("many.txt"), labels.join("\n"))
  })
  afterEach(() => {
    vi.unstubAllEnvs()
    rmSync(at("cache"), { recursive: true, force: true })
  })

  test("are kept for the next run, label by label, and for bake-labels; --no-cache keeps and uses none", async () => {
    const without = await classified("--no-cache")
    expect(without).toMatchObject({ code: 0, err: "" })
    expect(existsSync(at("cache", "mobileclip", "vectors"))).toBe(false)
    expect(await classified()).toEqual(without)
    expect(keptFiles()).toHaveLength(1)
    expect(await classified()).toEqual({ ...without, err: "100 of 100 labels' vectors were kept from before\n" })
    expect(await classified("--no-cache")).toEqual(without)
    writeFileSync(at("many.txt"), [...labels.slice(2), "another", "and one more"].join("\n"))
    expect((await classified()).err).toBe("98 of 100 labels' vectors were kept from before\n")
    const bake = (...more: string[]) =>
      run("bake-labels", "--model", at("model"), ...words(), "--out", at("labels.json"), ...more)
    expect((await bake()).err).toBe("100 of 100 labels' vectors were kept from before\n")
    const baked = readFileSync(at("labels.json"), "utf8")
    expect((await bake("--no-cache")).err).toBe("")
    expect(readFileSync(at("labels.json"), "utf8")).toBe(baked)
  })

  test("that cannot be kept are told in a line, and the pictures are classified", async () => {
    const { out } = await classified("--no-cache")
    writeFileSync(at("cache"), "")
    const { code, out: same, err } = await classified()
    expect({ code, same }).toEqual({ code: 0, same: out })
    expect(err).toMatch(/^vectors are not kept from here on: [^\n]+\n$/)
  })
})

test("no labels, or labels twice, is wrong usage", async () => {
  expect(await classify(at("pictures"))).toMatchObject({ code: 2, err: expect.stringContaining("give the labels") })
  const twice = await classify(at("pictures"), "--labels=a", "--labels-file", at("labels.txt"))
  expect(twice).toMatchObject({ code: 2, err: expect.stringContaining("either --labels or --labels-file") })
})

test("a model that was copied in part is an error", async () => {
  await exportModel(tinyModel(), tinyInfo, at("half"))
  writeFileSync(at("half", "onnx", "text_model.onnx"), "half")
  const { code, err } = await classify(at("pictures"), "--labels=a", "--model", at("half"))
  expect(code).toBe(1)
  expect(err).toMatch(/^mobileclip: DIR\/half\/onnx\/text_model\.onnx has 4 bytes, and mobileclip\.json says \d+\n/)
})

describe("a folder of the layout of", () => {
  const model = tinyModel()
  // Where published models ended: the files of others do not say it.
  model.logitScale.source = () => Float32Array.of(Math.log(100))
  const args = () => [at("pictures"), "--labels", "a cat,two dogs,a very red car on a road", "--json"]
  let ours: Result[]

  beforeAll(async () => {
    const tensors = safetensorsChunks(checkpointTensors(model), checkpointMetadata(tinyInfo))
    await writeAtomically(at("tiny.safetensors"), tensors)
    expect(await run("convert", at("tiny.safetensors"), "--out", at("ours"))).toMatchObject({ code: 0 })
    ours = JSON.parse((await classify("--model", at("ours"), ...args())).out)
  })

  test.each(["transformers.js", "immich"])("%s gives what ours gives", async (layout) => {
    await run("convert", at("tiny.safetensors"), "--out", at(layout), "--layout", layout)
    rmSync(at(layout, "mobileclip.json"))
    const { code, out, err } = await classify("--model", at(layout), ...args())
    expect({ code, err }).toEqual({ code: 0, err: "" })
    const found: Result[] = JSON.parse(out)
    expect(found.map(({ image }) => image)).toEqual(ours.map(({ image }) => image))
    for (const [i, { labels }] of found.entries()) {
      const expected = ours[i]!.labels
      expect(labels.map(({ label }) => label)).toEqual(expected.map(({ label }) => label))
      for (const [k, { score, cosine }] of labels.entries()) {
        expect(score).toBeCloseTo(expected[k]!.score, 5)
        expect(cosine).toBeCloseTo(expected[k]!.cosine, 6)
      }
    }
  })

  test("transformers.js in float16 gives nearly that", async () => {
    await run("convert", at("tiny.safetensors"), "--out", at("half-others"), "--dtype", "fp16")
    rmSync(at("half-others", "mobileclip.json"))
    const found: Result[] = JSON.parse((await classify("--model", at("half-others"), ...args())).out)
    expect(found[0]!.labels[0]!.cosine).toBeCloseTo(ours[0]!.labels[0]!.cosine, 2)
  })

  test.each([
    ["none", ["notes.txt", "weights.dat"], "there is no model in DIR/none: it has notes.txt, weights.dat"],
    ["nobody", ["a.onnx"], "DIR/nobody has a.onnx, and nothing says which of them is which tower"],
  ])("%s is told with what it has, and with what is needed", async (folder, files, message) => {
    mkdirSync(at(folder))
    for (const file of files) writeFileSync(at(folder, file), "")
    const { code, out, err } = await classify("--model", at(folder), ...args())
    expect({ code, out }).toEqual({ code: 1, out: "" })
    const [line, hint, ...rest] = err.split("\n")
    expect([line, rest]).toEqual([`mobileclip: ${message}`, [""]])
    for (const name of ["mobileclip.json", "onnx/*.onnx (transformers.js)", "textual/tokenizer.json (Immich)"])
      expect(hint).toContain(name)
  })
})
