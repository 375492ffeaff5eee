import { expect, test } from "vitest"
import { UserError } from "../../core/errors.ts"
import { datacompdrAugmentation, parseAugmentationConfig } from "./config.ts"

const published = `{"normalize": {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]},
  "rand_augment": {"enable": true, "p": 1.0}, "random_resized_crop": {"interpolation": "bicubic", "size": 224},
  "to_rgb": {"enable": true}, "to_tensor": {"enable": true}}`

const parse = (value: unknown) => parseAugmentationConfig(JSON.stringify(value), "aug.json")

function refusal(value: unknown): string {
  try {
    parse(value)
  } catch (error) {
    if (error instanceof UserError) return `${error.message}; ${error.hint ?? ""}`
    throw error
  }
  return "accepted"
}

test("the published configuration is the default", () => {
  expect(parseAugmentationConfig(published, "config")).toEqual(datacompdrAugmentation)
})

test("transforms that are not listed, or switched off, do not happen", () => {
  const cropOnly = parse({ random_resized_crop: { size: 64 } })
  expect(cropOnly.randAugment).toBeNull()
  expect(cropOnly.normalize).toEqual({ mean: [0, 0, 0], std: [1, 1, 1] })
  expect(cropOnly.randomResizedCrop).toEqual({ ...datacompdrAugmentation.randomResizedCrop, size: 64 })
  const off = parse({ random_resized_crop: {}, rand_augment: { enable: false }, mixup: { enable: false } })
  expect(off.randAugment).toBeNull()
})

test("parameters are torchvision's", () => {
  const { randAugment, randomResizedCrop } = parse({
    random_resized_crop: { scale: [0.5, 0.9], ratio: [1, 1], interpolation: "bilinear" },
    rand_augment: { num_ops: 3, magnitude: 0, num_magnitude_bins: 11, p: 0.25 },
  })
  expect(randAugment).toEqual({ p: 0.25, numOps: 3, magnitude: 0, numMagnitudeBins: 11 })
  expect(randomResizedCrop).toEqual({ size: 224, interpolation: "bilinear", scale: [0.5, 0.9], ratio: [1, 1] })
})

test.each([
  [{ random_resize_crop: {} }, '"random_resize_crop" is not a transform; did you mean random_resized_crop?'],
  [{ random_resized_crop: { sise: 3 } }, 'random_resized_crop has no parameter "sise"; did you mean size?'],
  [{ random_resized_crop: {}, random_horizontal_flip: {} }, "random_horizontal_flip is not supported"],
  [{ rand_augment: {} }, "has no random_resized_crop"],
  [{ random_resized_crop: { enable: false } }, "has no random_resized_crop"],
  [{ random_resized_crop: { size: 0 } }, "size is a whole number from 1 to 16384"],
  [{ random_resized_crop: { size: "224" } }, "size is a whole number"],
  [{ random_resized_crop: { interpolation: "nearest" } }, "interpolation is bicubic or bilinear"],
  [{ random_resized_crop: { scale: [0.9, 0.1] } }, "scale is [lowest, highest]"],
  [{ random_resized_crop: { scale: [0.1, 1.5] } }, "scale is [lowest, highest], above 0 and up to 1"],
  [{ random_resized_crop: { ratio: [1] } }, "ratio is [lowest, highest]"],
  [{ random_resized_crop: {}, rand_augment: { magnitude: 31 } }, "magnitude is a whole number from 0 to 30"],
  [{ random_resized_crop: {}, rand_augment: { p: 2 } }, "p is a number from 0 to 1"],
  [{ random_resized_crop: {}, rand_augment: { enable: 1 } }, "enable is true or false"],
  [{ random_resized_crop: {}, normalize: { std: [1, 0, 1] } }, "std must be above 0"],
  [{ random_resized_crop: {}, normalize: { mean: [1, 1] } }, "mean is three numbers"],
  [{ random_resized_crop: [] }, "random_resized_crop: an object was expected"],
  [[], "aug.json: an object was expected"],
])("%j is refused", (value, reason) => {
  expect(refusal(value)).toContain(reason)
})

test("a text that is not JSON is refused with its source", () => {
  expect(() => parseAugmentationConfig("{", "--aug-config")).toThrow("--aug-config is not JSON")
})
