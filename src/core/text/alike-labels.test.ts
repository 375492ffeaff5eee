import { expect, test } from "vitest"
import { alikeLabels } from "./alike-labels.ts"
import { Tokenizer } from "./tokenizer.ts"

/** 80 words, a token each, so that what follows is cut. */
const long = Array(80).fill("red").join(" ")

test("labels that differ after the last token that is read are named by both of their ends", () => {
  const labels = ["cat", `${long} star`, "dog", `${long} heart`]
  const [, first, , second] = labels.map((label) => new Tokenizer().encodeBatch([`a ${label}`]).ids)
  expect(second).toEqual(first)
  const lines = alikeLabels(labels, ["a {}"])
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatch(
    /^labels 2 \("red [^"]* star"\), 4 \("red [^"]* heart"\) are the same to the model and get equal/,
  )
  expect(lines[0]!.length).toBeLessThan(400)
})

test("what fits is not cut, and one template that tells labels apart is enough", () => {
  const seventy = Array(70).fill("red").join(" ")
  expect(alikeLabels([`${seventy} star`, `${seventy} heart`], ["a {}"])).toEqual([])
  expect(alikeLabels([`${long} star`, `${long} heart`], ["a {}"], 100)).toEqual([])
  expect(alikeLabels([`${long} star`, `${long} heart`], ["a {}", "{c} {c}"])).toHaveLength(1)
  expect(alikeLabels([`star ${long}`, `heart ${long}`], [`${long} {}`, "a {}"])).toEqual([])
})

test("case and spaces are nothing to the model; groups are named with some of their labels", () => {
  expect(alikeLabels(["Cat", "dog", "cat"], ["a photo of a {}."])).toEqual([
    expect.stringMatching(/^labels 1 \("Cat"\), 3 \("cat"\) are the same to the model/),
  ])
  const many = Array.from({ length: 9 }, (_, i) => `a${" ".repeat(i + 1)}b`)
  expect(alikeLabels(many, ["{}"])[0]).toContain(', 4 ("a    b"), and 5 more are the same')
  expect(alikeLabels(["a", "b", "ab", "a b", "é", "e"], ["{}"])).toEqual([])
})
