/** Which pictures `classify`, `bake-labels` and `caption` take, by which models and labels, and in which forms results come. */
import { execFileSync, spawnSync } from "node:child_process"
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { afterAll, beforeAll, expect, test } from "vitest"
import { program } from "../../test/program.ts"
import { tinyCoca, tinyCocaInfo } from "../../test/tiny-coca.ts"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { exportModel } from "../export/export.ts"
import { createClassifier, decodeImage, loadModel } from "../index.ts"
import { initialize } from "../model/module.ts"
import { parseLabels } from "../run/labels/label-file.ts"
import type { Result } from "./classifying.ts"
import { main } from "./main.ts"

let folder: string
const at = (...parts: string[]) => join(folder, ...parts)
/** A checkpoint with such a digest. */
const madeFrom = (digit: string) => ({ source: { file: "tiny.safetensors", sha256: digit.repeat(64) } })
const photos = (...names: string[]) => names.map((name) => at("photos", name))

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "picture-commands-"))
  await exportModel(tinyModel(), tinyInfo, at("one"), madeFrom("1"))
  const other = tinyModel()
  initialize(other, 5)
  await exportModel(other, { ...tinyInfo, name: "other" }, at("two"), madeFrom("2"))
  await exportModel(tinyCoca(), tinyCocaInfo, at("coca"))
  mkdirSync(at("photos", "more"), { recursive: true })
  for (const [i, name] of ["a.jpg", "b.jpg", "more/c.jpg"].entries()) {
    const pixels = Uint8Array.from({ length: 60 * 40 * 3 }, (_, p) => (p * p * (i + 3)) % 253)
    const turned = i === 1 ? { orientation: 6 } : {}
    await sharp(pixels, { raw: { width: 60, height: 40, channels: 3 } }).jpeg().withMetadata(turned).toFile(at("photos", name)) // biome-ignore format: a picture
  }
  writeFileSync(at("photos", "bad.jpg"), "no picture")
  writeFileSync(at("labels.txt"), "cat\ndog\na red car\n")
  writeFileSync(at("prompts.txt"), "a photo of a {}.\n\nmy {c}!\n")
})
afterAll(() => rmSync(folder, { recursive: true }))

async function run(...argv: string[]) {
  let [out, err] = ["", ""]
  const code = await main(argv, undefined, { out: (text) => (out += text), err: (text) => (err += text) })
  return { code, out, err: err.replaceAll(folder, "DIR") }
}

const classify = (...argv: string[]) =>
  run("classify", "--model", at("one"), "--labels-file", at("labels.txt"), ...argv)

async function results(...argv: string[]): Promise<Result[]> {
  const { code, out, err } = await classify("--json", ...argv)
  expect(code, err).toBe(0)
  return JSON.parse(out)
}

const imagesOf = (found: readonly Result[]) => found.map(({ image }) => image)

test("patterns, lists in files with line breaks or NUL, and folders in lists", async () => {
  expect(imagesOf(await results(at("photos", "[ab].jpg")))).toEqual(photos("a.jpg", "b.jpg"))
  expect(imagesOf(await results(at("photos", "**", "[a-c].jpg")))).toEqual(photos("a.jpg", "b.jpg", "more/c.jpg"))
  writeFileSync(at("list.txt"), `${at("photos", "b.jpg")}\r\n\n${at("photos", "more")}\n`)
  expect(imagesOf(await results("--files-from", at("list.txt")))).toEqual(photos("b.jpg", "more/c.jpg"))
  writeFileSync(at("list.0"), `${photos("more/c.jpg", "a.jpg").join("\0")}\0`)
  expect(imagesOf(await results(...photos("b.jpg"), "--files-from", at("list.0")))).toEqual(
    photos("b.jpg", "more/c.jpg", "a.jpg"),
  )
  const none = await classify(at("photos", "*.webp"))
  expect(none).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^mobileclip: DIR\/photos\/\*\.webp matches no file\n {2}/),
  })
  expect(await classify()).toMatchObject({ code: 2, err: expect.stringContaining("name pictures, or a list with --files-from") }) // biome-ignore format: a row
})

test("a list on standard input, as `find -print0` writes it, or one path a line", () => {
  const words = [program, "classify", "-", "--model", at("one"), "--labels", "cat,dog", "--json", "--threads", "1"]
  const list = execFileSync("find", [at("photos"), "-name", "[ab].jpg", "-print0"])
  for (const input of [list, list.toString().replaceAll("\0", "\n")]) {
    const { status, stdout } = spawnSync(process.execPath, words, { input, encoding: "utf8" })
    expect(status).toBe(0)
    expect(imagesOf(JSON.parse(stdout)).sort()).toEqual(photos("a.jpg", "b.jpg"))
  }
})

test("several models in one pass: each row is what the model alone gives, and names it", async () => {
  const both = await results("--model", at("two"), ...photos("a.jpg", "b.jpg"))
  expect(both.map(({ image, model }) => [image, model])).toEqual(
    photos("a.jpg", "b.jpg").flatMap((image) => [at("one"), at("two")].map((model) => [image, model])),
  )
  for (const name of ["one", "two"]) {
    const { out } = await run("classify", "--model", at(name), "--labels-file", at("labels.txt"), "--json", ...photos("a.jpg", "b.jpg")) // biome-ignore format: a row
    expect(both.filter(({ model }) => model === at(name))).toEqual(JSON.parse(out))
  }
  expect(both[0]!.labels).not.toEqual(both[1]!.labels)
  const table = await classify("--model", at("two"), "--top", "1", ...photos("a.jpg"))
  expect(table.out.split("\n")[0]).toMatch(/^image +model +label +score +cosine$/)
  expect(await classify("--model", at("one"), ...photos("a.jpg"))).toMatchObject({
    ...{ code: 1, err: "mobileclip: the model DIR/one was named twice\n  name each model once\n" },
  })
})

test("--orientation turns pictures as the camera noted, and results say which it was", async () => {
  const [ignored] = await results(...photos("b.jpg"))
  const [applied] = await results("--orientation", "apply", ...photos("b.jpg"))
  expect([ignored!.orientation, applied!.orientation, applied!.decode]).toEqual(["ignore", "apply", "exact"])
  await using model = await loadModel(at("one"))
  const classifier = await createClassifier(model, ["cat", "dog", "a red car"])
  const turned = await decodeImage(at("photos", "b.jpg"), { exif: "apply" })
  expect([turned.width, turned.height]).toEqual([40, 60])
  expect((await classifier.classify([turned]))[0]).toEqual(applied!.labels)
  expect(ignored!.labels).not.toEqual(applied!.labels)
})

test("--decode fast changes a large JPEG's cosines a little, a small one's not at all, and is recorded", async () => {
  const pixels = Uint8Array.from({ length: 1200 * 800 * 3 }, (_, p) => 128 + 90 * Math.sin(p / 50) + ((p * p) % 37))
  await sharp(pixels, { raw: { width: 1200, height: 800, channels: 3 } })
    .jpeg()
    .toFile(at("large.jpg"))
  const cosines = ({ labels }: Result) => labels.map(({ cosine }) => cosine)
  const exact = await results(at("large.jpg"), ...photos("a.jpg"))
  const fast = await results("--decode", "fast", at("large.jpg"), ...photos("a.jpg"))
  expect(fast.map(({ decode }) => decode)).toEqual(["fast", "fast"])
  const labelled = ["--model", at("one"), "--labels", "cat,dog"]
  const { err } = await run("classify", at("large.jpg"), ...labelled, "--decode", "fast")
  expect(err).toContain("0.9999 in the median and 0.998 at worst")
  expect((await run("classify", at("large.jpg"), ...labelled)).err).not.toContain("in the median")
  expect(cosines(fast[1]!)).toEqual(cosines(exact[1]!))
  expect(cosines(fast[0]!)).not.toEqual(cosines(exact[0]!))
  // A smooth picture; another resize moves a cosine by thousandths at most.
  for (const [i, cosine] of cosines(fast[0]!).entries()) expect(Math.abs(cosine - cosines(exact[0]!)[i]!)).toBeLessThan(0.005) // biome-ignore format: a comparison
})

test("templates from a file are those of the command line; either, not both", async () => {
  const fromFile = await results("--templates", at("prompts.txt"), ...photos("a.jpg"))
  expect(await results("--template", "a photo of a {}.", "--template", "my {}!", ...photos("a.jpg"))).toEqual(fromFile)
  expect(fromFile).not.toEqual(await results(...photos("a.jpg")))
  expect(await classify("--templates", at("prompts.txt"), "--template", "{}", "a.jpg")).toMatchObject({
    code: 2,
    err: expect.stringContaining("'--template <text>' cannot be used with option '--templates <file>'"),
  })
  writeFileSync(at("no-place.txt"), "a photo\n")
  expect(await classify("--templates", at("no-place.txt"), "a.jpg")).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^mobileclip: DIR\/no-place\.txt, line 1: the template "a photo" has no place/),
  })
})

test("CSV has what JSON has; --out is a file, complete or absent, and nothing is printed", async () => {
  const [json] = await results("--top", "2", ...photos("a.jpg"))
  const { out } = await classify("--csv", "--top", "2", ...photos("a.jpg"))
  const [titles, ...lines] = out.trimEnd().split("\n")
  expect(titles).toBe("image,model,orientation,decode,rank,label,score,cosine")
  for (const [i, line] of lines.entries()) {
    const [image, model, orientation, decode, rank, label, score, cosine] = line.split(",")
    expect([image, model, orientation, decode, rank, label]).toEqual([at("photos", "a.jpg"), at("one"), "ignore", "exact", String(i + 1), json!.labels[i]!.label]) // biome-ignore format: a row
    // Seven digits are printed.
    expect(Number(score)).toBeCloseTo(json!.labels[i]!.score, 6)
    expect(Number(cosine)).toBeCloseTo(json!.labels[i]!.cosine, 6)
  }
  const file = at("written", "labels.csv")
  const written = await classify("--csv", "--top", "2", "--out", file, ...photos("a.jpg", "bad.jpg"))
  expect(written).toMatchObject({ code: 3, out: "", err: expect.stringContaining("1 of 2 pictures could not be read") })
  expect(readFileSync(file, "utf8")).toBe(out)
  rmSync(file)
  expect(await classify("--csv", "--out", file, ...photos("bad.jpg"))).toMatchObject({ code: 1, out: "" })
  expect(readdirSync(at("written"))).toEqual([])
  for (const [place, message] of [[at("photos"), /DIR\/photos is a folder, and a file is to be written/], [at("labels.txt", "x.csv"), /DIR\/labels\.txt is there already, and is not a folder/]] as const) // biome-ignore format: rows
    expect(await classify("--out", place, ...photos("a.jpg"))).toMatchObject({ code: 1, err: expect.stringMatching(message) }) // biome-ignore format: a row
})

test("baked labels classify without the text tower, to the same digits; other models refuse them", async () => {
  const baked = at("baked", "labels.json")
  const bake = (model: string, out: string) =>
    run("bake-labels", "--model", at(model), "--labels-file", at("labels.txt"), "--templates", at("prompts.txt"), "--out", out) // biome-ignore format: a row
  const made = await bake("one", baked)
  expect(made).toMatchObject({ code: 0, err: "" })
  expect(made.out).toBe(
    `${baked}: 3 labels in 2 templates by tiny, 16 values each\nnext:   mobileclip classify PICTURES --model ${at("one")} --baked ${baked}\n`,
  )
  const few = at("few.json")
  const single = await run("bake-labels", "--model", at("one"), "--labels", "cat", "--template", "a {}", "--out", few)
  expect(single.out).toContain(`${few}: 1 label in 1 template by tiny, 16 values each\n`)
  const { labels, templates, weights } = parseLabels(readFileSync(baked, "utf8"), baked)
  expect([labels, templates]).toEqual([
    ["cat", "dog", "a red car"],
    ["a photo of a {}.", "my {c}!"],
  ])
  expect(weights).toBe("1".repeat(64))

  await exportModel(tinyModel(), tinyInfo, at("shipped"), madeFrom("1"))
  rmSync(at("shipped", "onnx", "text_model.onnx"))
  rmSync(at("shipped", "tokenizer.json"))
  const byImageAlone = await run(
    "classify",
    "--model",
    at("shipped"),
    "--baked",
    baked,
    "--json",
    ...photos("a.jpg", "b.jpg"),
  )
  expect(byImageAlone).toMatchObject({ code: 0, err: "" })
  const whole = await results("--templates", at("prompts.txt"), ...photos("a.jpg", "b.jpg"))
  expect(JSON.parse(byImageAlone.out)).toEqual(whole.map((result) => ({ ...result, model: at("shipped") })))

  const withWords = await run("classify", "--model", at("shipped"), "--labels", "cat,dog", ...photos("a.jpg"))
  expect(withWords).toMatchObject({ code: 1, err: expect.stringContaining("onnx/text_model.onnx is missing") })
  expect(await run("classify", "--model", at("two"), "--baked", baked, ...photos("a.jpg"))).toMatchObject({
    code: 1,
    err: expect.stringMatching(
      /^mobileclip: DIR\/baked\/labels\.json: the label vectors were made by tiny, and this model is other\n {2}make it again/,
    ),
  })
  expect(await bake("two", at("baked", "two.json"))).toMatchObject({ code: 0 })
  const two = ["--model", at("one"), "--model", at("two"), "--baked", baked]
  expect(await run("classify", ...two, ...photos("a.jpg"))).toMatchObject({
    ...{
      code: 1,
      err: expect.stringContaining("1 file of labels' vectors for 2 models\n  give one --baked for each --model"),
    },
  })
  const both = await run("classify", ...two, "--baked", at("baked", "two.json"), "--json", ...photos("a.jpg"))
  expect(JSON.parse(both.out).map(({ model }: Result) => model)).toEqual([at("one"), at("two")])
  expect(await run("classify", "--labels", "a", "--baked", baked, "a.jpg")).toMatchObject({ code: 2 })
})

test("--verbose says what was chosen, and changes nothing else", async () => {
  const silent = await classify("--threads", "1", ...photos("a.jpg"))
  const { err, ...same } = await classify("--threads", "1", "--verbose", ...photos("a.jpg"))
  expect({ ...same, err: "" }).toEqual(silent)
  expect(err.split("\n")).toEqual([
    "onnx/text_model.onnx: the graph was optimised, and is not kept: it is small",
    expect.stringMatching(
      /^model DIR\/one: tiny, onnxruntime-node \S+ on cpu, 1 thread, as asked for \(.*\); weights in fp32; pictures of 64 x 64 pixels, bilinear; 16 values a vector; scale of the softmax 14\.29; licence MIT$/,
    ),
    'labels: 3 as "a photo of a {}."',
    expect.stringMatching(
      /^pictures: not turned by what the camera noted, as in training; every pixel is decoded; (JPEG files|all pictures) are decoded by/,
    ),
    expect.stringMatching(/^pictures are decoded while towers compute, in batches of 8/),
    "onnx/vision_model.onnx: the graph was optimised, and is not kept: it is small",
    "",
  ])
  const caption = await run("caption", ...photos("a.jpg"), "--model", at("coca"), "--seq-len", "6", "--verbose")
  expect(caption.err).toMatch(
    /^model: tiny captioner, onnxruntime-node .*; weights in fp32; pictures of 32 x 32 pixels, bicubic; licence none\npictures: not turned/,
  )
})

test("captions: patterns and lists, JSON with how pictures were read, and exit code 3 for those that could not be", async () => {
  const caption = (...argv: string[]) => run("caption", "--model", at("coca"), "--seq-len", "6", ...argv)
  const plain = await caption(at("photos", "?.jpg"))
  expect(plain).toMatchObject({ code: 0, err: "" })
  expect(plain.out.split("\n").filter((line) => line.startsWith(folder))).toEqual(photos("a.jpg", "b.jpg"))
  const { code, out, err } = await caption("--json", "--orientation", "apply", at("photos"))
  expect([code, err]).toEqual([
    3,
    "mobileclip: DIR/photos/bad.jpg is not a picture\nmobileclip: 1 of 4 pictures could not be read\n",
  ])
  const found = JSON.parse(out)
  expect(found.map(({ captions: _, ...rest }: { captions: string[] }) => rest)).toEqual(
    photos("a.jpg", "b.jpg", "more/c.jpg").map((image) => ({ image, orientation: "apply", decode: "exact" })),
  )
  for (const { captions } of found) expect(captions).toEqual([expect.any(String)])
  expect(await caption()).toMatchObject({ code: 2 })
})

test("results are printed as they come: those of the first batches before a later picture is read", async () => {
  mkdirSync(at("stream"))
  for (let i = 0; i < 20; i++) copyFileSync(at("photos", i === 19 ? "bad.jpg" : "a.jpg"), at("stream", `${10 + i}.jpg`))
  for (const format of [["--json"], ["--csv", "--top", "1"], ["--top", "1"]]) {
    const events: string[] = []
    const words = ["classify", at("stream"), "--model", at("one"), "--labels", "cat,dog", ...format]
    const io = { out: (text: string) => events.push(text), err: (text: string) => events.push(text) }
    expect(await main(words, undefined, io)).toBe(3)
    const complaint = events.findIndex((text) => text.includes("29.jpg is not a picture"))
    expect(events.slice(0, complaint).filter((text) => text.includes(".jpg")).length).toBeGreaterThanOrEqual(8)
    expect(events.filter((text) => text.includes("a.jpg") || text.includes("/stream/")).length).toBeGreaterThanOrEqual(
      20,
    )
  }
})

test.each([
  ["classify", ["--model", "one", "--labels", "cat,dog"]],
  ["caption", ["--model", "coca", "--seq-len", "6"]],
])("Ctrl-C ends what %s prints after a whole row: JSON stays JSON, and the exit code says it", async (name, words) => {
  mkdirSync(at("interrupted", name), { recursive: true })
  for (let i = 0; i < 40; i++) copyFileSync(at("photos", "a.jpg"), at("interrupted", name, `${i}.jpg`))
  let printed = ""
  const out = (text: string) => {
    if (printed === "") process.emit("SIGINT", "SIGINT")
    printed += text
  }
  const [flag, model, ...rest] = words as [string, string]
  const argv = [name, at("interrupted", name), flag, at(model), ...rest, "--json", "--threads", "1"]
  expect(await main(argv, undefined, { out, err: () => {} })).toBe(130)
  const rows: unknown[] = JSON.parse(printed)
  expect(rows.length).toBeGreaterThan(0)
  expect(rows.length).toBeLessThan(40)
})

test("--help of each command has examples", async () => {
  for (const name of ["classify", "bake-labels", "embed", "caption"]) {
    const { code, out } = await run(name, "--help")
    expect([name, code, out.includes(`Examples:\n  mobileclip`)]).toEqual([name, 0, true])
    expect(out).toContain(`mobileclip ${name} `)
  }
})
