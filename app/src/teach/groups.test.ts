import type { MobileCLIP } from "mobileclip/browser"
import { beforeEach, expect, test } from "vitest"
import type { Ready } from "../model/state.ts"
import {
  addExamples,
  addGroup,
  encodeExamples,
  groups,
  isChangedSince,
  removeAll,
  removeExample,
  rename,
  trainingSet,
} from "./groups.ts"

function modelOf(key: string, vector: readonly number[]): Ready {
  const encodeImages = async (files: readonly Blob[]) => {
    for (const file of files) if ((await file.text()) === "broken") throw new Error("it is not a picture")
    return Float32Array.from(files.flatMap(() => vector))
  }
  const clip = { encodeImages, embedDim: vector.length } as unknown as MobileCLIP
  return { kind: "ready", clip, address: null, seconds: 0, key }
}

const file = (name: string, content = name) => new File([content], name)
const first = modelOf("first", [1, 0])

beforeEach(async () => {
  await removeAll()
  const [one, another] = groups.value
  addExamples(one!.id, [file("a"), file("b"), file("bad", "broken")])
  addExamples(another!.id, [file("c"), file("d")])
  await encodeExamples(first)
})

test("a picture that cannot be read is told, and has no part", () => {
  const { examples, places, names } = trainingSet()
  expect(examples.map(({ file }) => file.name)).toEqual(["a", "b", "c", "d"])
  expect([places, names]).toEqual([
    [0, 0, 1, 1],
    ["one", "another"],
  ])
  expect(groups.value[0]!.examples[2]).toMatchObject({ vector: null, reason: "it is not a picture" })
})

test("a head is old after a name, a picture or a group has changed, and not after one that cannot be read went", () => {
  const { examples, names } = trainingSet()
  const isOld = () => isChangedSince(names, examples)
  const [{ id, examples: pictures }] = groups.value as [(typeof groups.value)[number]]
  removeExample(pictures[2]!.id)
  expect(isOld()).toBe(false)
  rename(id, "first")
  expect(isOld()).toBe(true)
  rename(id, "one")
  expect(isOld()).toBe(false)
  addGroup()
  expect(isOld()).toBe(true)
  groups.value = groups.value.slice(0, 2)
  removeExample(pictures[0]!.id)
  expect(isOld()).toBe(true)
})

test("another model makes all vectors again; the same one opened again makes none", async () => {
  const vectors = () => trainingSet().vectors.map((vector) => [...vector])
  const before = groups.value
  await encodeExamples({ ...first })
  expect(groups.value).toBe(before)
  await encodeExamples(modelOf("second", [0, 1]))
  expect(vectors()).toEqual(Array.from({ length: 4 }, () => [0, 1]))
})
