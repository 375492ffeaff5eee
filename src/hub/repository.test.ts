import { expect, test } from "vitest"
import { chooseWeights, companionsOf } from "./repository.ts"

const choose = (...paths: string[]) =>
  chooseWeights(
    paths.map((path) => ({ path })),
    null,
    "org/x",
  ).path

test("open_clip's weights come before a copy for transformers, safetensors before .pt before .bin", () => {
  expect(choose("model.safetensors", "open_clip_pytorch_model.bin", "pytorch_model.bin")).toBe(
    "open_clip_pytorch_model.bin",
  )
  expect(choose("open_clip_pytorch_model.bin", "open_clip_model.safetensors")).toBe("open_clip_model.safetensors")
  expect(choose("README.md", "pytorch_model.bin", "x.pt", "training_args.bin", "sub/model.safetensors")).toBe("x.pt")
})

test("none and several are errors that list what there is", () => {
  expect(() => choose("README.md")).toThrow("org/x has no file of weights at its top")
  expect(() => choose("a.pt", "b.pt")).toThrow(expect.objectContaining({ hint: "choose one with --file: a.pt, b.pt" }))
})

test("companions are the small files beside the weights and at the top", () => {
  const file = (path: string, size = 10) => ({ path, size, etag: "", checksum: "git-sha1" as const })
  const files = ["config.json", "LICENSE", "README.md", "s0/config.json", "s1/config.json", "s0/model.pt"].map((path) =>
    file(path),
  )
  const found = companionsOf([...files, file("open_clip_config.json", 2e6)], "s0/model.pt")
  expect(found.map(({ path }) => path)).toEqual(["config.json", "LICENSE", "s0/config.json"])
})
