/** What programs in plain JavaScript give wrongly, and what a classifier says of its labels. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tinyCoca, tinyCocaInfo } from "../../../test/tiny-coca.ts"
import { UserError } from "../../core/errors.ts"
import { exportModel } from "../../export/export.ts"
import {
  type Captioner,
  type Classifier,
  classifyEach,
  createClassifier,
  decodeImage,
  type Image8,
  loadCaptioner,
  loadModel,
  type Model,
  preprocess,
  Tokenizer,
} from "../../index.ts"

let folder: string
let model: Model
let captioner: Captioner
let classifier: Classifier

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "classify-library-"))
  // It has a text tower and a decoder.
  await exportModel(tinyCoca(), tinyCocaInfo, join(folder, "coca"))
  model = await loadModel(join(folder, "coca"), { threads: 1 })
  captioner = await loadCaptioner(join(folder, "coca"), { threads: 1 })
  classifier = await createClassifier(model, ["cat", "dog"])
})
afterAll(async () => {
  await Promise.all([model.dispose(), captioner.dispose()])
  rmSync(folder, { recursive: true })
})

const image: Image8 = { width: 2, height: 1, channels: 3, data: new Uint8Array(6) }
const withAlpha = { width: 2, height: 1, data: new Uint8ClampedArray(8) }
const any = <T>(value: unknown) => value as T

const imageHint = "give what `await decodeImage(path)` gives, or { width, height, channels: 3, data } with RGB bytes"
const labelHint = 'write ["cat", "dog"]'
const listHint = "write [image], with what decodeImage gives"
const textHint = 'write ["a photo of a cat"]'

const wrong: Readonly<Record<string, [call: () => unknown, message: string, hint?: string]>> = {
  "labels in one text": [
    () => createClassifier(model, any("cat,dog")),
    'labels must be a list of texts, not the text "cat,dog"',
    labelHint,
  ],
  "no labels": [
    () => createClassifier(model, any(undefined)),
    "labels must be a list of texts, not undefined",
    labelHint,
  ],
  "an empty list of labels": [
    () => createClassifier(model, []),
    "there are no labels to choose from",
    "give at least one",
  ],
  "a label that is a number": [
    () => createClassifier(model, any(["cat", 7])),
    "labels: number 2 is the number 7, not a text",
    labelHint,
  ],
  "a hole in the labels": [
    () => createClassifier(model, any(Array(1))),
    "labels: number 1 is undefined, not a text",
    labelHint,
  ],
  "a template in place of a list": [
    () => createClassifier(model, ["cat"], any("a {}")),
    'templates must be a list of texts, not the text "a {}"',
    'write ["a photo of a {}."]',
  ],
  "an empty list of templates": [
    () => createClassifier(model, ["cat"], []),
    "there are no templates",
    'leave them out, or give one: ["a {}"]',
  ],
  "a template without a place": [
    () => createClassifier(model, ["cat"], ["a cat"]),
    'the template "a cat" has no {}',
    'write {} where the label goes: "a photo of a {}."',
  ],
  "a model that was not awaited": [
    () => createClassifier(any<Model>(Promise.resolve(model)), ["cat"]),
    "a model was expected, not a promise (await it)",
    "give what `await loadModel(...)` gives",
  ],
  "a path as a model": [
    () => createClassifier(any<Model>("models/s0"), ["cat"]),
    'a model was expected, not the text "models/s0"',
    "give what `await loadModel(...)` gives",
  ],
  "one image to classify": [
    () => classifier.classify(any(image)),
    "images must be a list of images, not an object",
    listHint,
  ],
  "a path to classify": [
    () => classifier.classify(any(["cat.jpg"])),
    'images: number 1 is the text "cat.jpg", not an image',
    imageHint,
  ],
  "an image that was not awaited": [
    () => classifier.classify(any([image, Promise.resolve(image)])),
    "images: number 2 is a promise (await it), not an image",
    imageHint,
  ],
  "the bytes of a file": [
    () => classifier.classify(any([Buffer.from("jpg")])),
    "images: number 1 is a value of type Buffer, not an image",
    imageHint,
  ],
  "a canvas with alpha": [
    () => model.encodeImages(any([withAlpha])),
    "images: number 1 is an image of 2 x 1 pixels with 4 bytes for each (with alpha); 3 bytes for each were expected",
    imageHint,
  ],
  "an image that was cut": [
    () => model.encodeImages([{ ...image, data: new Uint8Array(5) }]),
    "images: number 1 is an image of 2 x 1 pixels with 5 bytes in all; 3 bytes for each were expected",
    imageHint,
  ],
  "an empty image": [
    () => model.encodeImages([{ ...image, width: 0, data: new Uint8Array(0) }]),
    "images: number 1 is an image of 0 x 1 pixels",
    imageHint,
  ],
  "an image to preprocess": [
    () => preprocess(any(null), model.preprocessing),
    "images: number 1 is null, not an image",
    imageHint,
  ],
  "pixels of another size": [
    () => model.encodePixels(new Float32Array(9), 1),
    "pixels must be a Float32Array of 1 x 3 x 32 x 32 values, not 9 values",
    "give what `preprocess` gives, picture after picture",
  ],
  "one text to encode": [
    () => model.encodeTexts(any("a cat")),
    'texts must be a list of texts, not the text "a cat"',
    textHint,
  ],
  "a text that is missing": [() => model.encodeTexts(any([null])), "texts: number 1 is null, not a text", textHint],
  "texts for tokens": [
    () => new Tokenizer().encodeBatch(any("a cat")),
    'texts must be a list of texts, not the text "a cat"',
    textHint,
  ],
  "a text for tokens": [() => new Tokenizer().encode(any(7)), "a text was expected, not the number 7"],
  "a path to caption": [
    () => captioner.caption(any(["cat.jpg"])),
    'images: number 1 is the text "cat.jpg", not an image',
    imageHint,
  ],
  "keys in one text": [
    () => captioner.caption([image], { keys: any("a") }),
    'keys must be a list of texts, not the text "a"',
    "give a name of each image, or leave them out",
  ],
  "too few keys": [() => captioner.caption([image], { keys: [] }), "0 keys were given for 1 images"],
  "half a caption": [
    () => captioner.caption([image], { perImage: 0.5 }),
    "perImage must be a whole number from 1 on, not the number 0.5",
  ],
  "a classifier that was not awaited": [
    () => classifyEach(any(Promise.resolve(classifier)), [image], async (one) => one).next(),
    "a classifier was expected, not a promise (await it)",
    "give what `await createClassifier(...)` gives",
  ],
  "one path to each": [
    () => classifyEach(classifier, any<string[]>("cat.jpg"), decodeImage).next(),
    'sources must be a list of pictures, not the text "cat.jpg"',
    "write [path]",
  ],
  "no decoder": [
    () => classifyEach(classifier, ["cat.jpg"], any(undefined)).next(),
    "decode must be a function, not undefined",
    "give decodeImage",
  ],
  "a decoder that gives nothing": [
    () => classifyEach(classifier, ["cat.jpg"], async () => any<Image8>(undefined)).next(),
    "images: number 1 is undefined, not an image",
    imageHint,
  ],
  "a picture of no kind": [
    () => decodeImage(any(7)),
    "the path or the bytes of a picture file were expected, not the number 7",
  ],
  "a model of no kind": [
    () => loadModel(any(undefined)),
    "a model was expected, not undefined",
    "a model is a folder with ONNX towers or weights, a run's folder, a file of weights, a name (`mobileclip pull --list`) or a repository (owner/name)",
  ],
}

test.each(Object.entries(wrong))("%s is one line that says what was expected", async (_, [call, message, hint]) => {
  const error = await Promise.resolve()
    .then(call)
    .catch((error: unknown) => error)
  expect(error).toBeInstanceOf(UserError)
  expect(error).toMatchObject({ message })
  expect((error as UserError).hint).toBe(hint)
})

test("one label has a score of 1 whatever is shown, and the classifier says so", async () => {
  const alone = await createClassifier(model, ["cat"])
  expect(alone.notes).toEqual([
    'a softmax over one label is always 100 %: whether it fits is told by the cosine, or by a second label such as "something else"',
  ])
  expect((await alone.classify([image]))[0]![0]!.score).toBe(1)
  expect(classifier.notes).toEqual([])
  expect((await createClassifier(model, ["cat", "Cat"])).notes).toEqual([
    expect.stringMatching(/^labels 1 \("cat"\), 2 \("Cat"\) are the same to the model/),
  ])
})

test("pictures that are there already can be given to each", async () => {
  const { value } = await classifyEach(classifier, [image], (one) => one).next()
  expect(value).toEqual({ source: image, labels: (await classifier.classify([image]))[0] })
})

test("nothing to encode is nothing", async () => {
  expect(await classifier.classify([])).toEqual([])
  expect(await model.encodeImages([])).toEqual(new Float32Array(0))
})

test("labels that are added one by one and removed have the vectors of a classifier made at once; what is given stays", async () => {
  const all = Array.from({ length: 40 }, (_, i) => `label ${i}`)
  const grown = await createClassifier(model, all.slice(0, 3))
  const [before] = [grown.labels]
  for (const label of all.slice(3)) await grown.add([label])
  expect(before).toEqual(all.slice(0, 3))
  grown.remove(["label 5"])
  await grown.add(["label 5"])
  const again = [...all.filter((label) => label !== "label 5"), "label 5"]
  expect(grown.labels).toEqual(again)
  const whole = await createClassifier(model, again)
  const [[found], [expected]] = await Promise.all([grown.classify([image]), whole.classify([image])])
  // Texts of another batch differ in the last digits.
  for (const { label, cosine } of found!)
    expect(cosine).toBeCloseTo(expected!.find((other) => other.label === label)!.cosine, 5)
  const [best] = await grown.classify([image], { top: 3 })
  expect(best).toEqual(found!.slice(0, 3))
})
