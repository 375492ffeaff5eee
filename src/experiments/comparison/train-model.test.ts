import { expect, test } from "vitest"
import { tinyCocaConfig } from "../../../test/tiny-coca.ts"
import { tinyConfig, tinyModel } from "../../../test/tiny-model.ts"
import { Coca } from "../../model/coca.ts"
import { initialize } from "../../model/module.ts"
import { startFrom } from "./train-model.ts"

test("a model starts with the wanted values that another one has in the same shape", () => {
  const { image } = tinyConfig
  if (image.kind !== "fastvit") throw new Error("the tiny model has a FastViT")
  const clip = tinyModel()
  const captioner = new Coca({ ...tinyCocaConfig, imageSize: 64, image })
  initialize(captioner, 7)
  const before = captioner.text.finalNorm.weight.read()
  const taken = startFrom(captioner, clip, (path) => path.startsWith("image."))
  const trunk = [...clip.namedParameters().keys()].filter((path) => /^image\.(stem|stages)\./.test(path))
  expect(taken.toSorted()).toEqual(trunk.toSorted())
  for (const path of trunk.slice(0, 3)) {
    expect(captioner.namedParameters().get(path)!.read()).toEqual(clip.namedParameters().get(path)!.read())
  }
  expect(captioner.text.finalNorm.weight.read()).toEqual(before)
})
