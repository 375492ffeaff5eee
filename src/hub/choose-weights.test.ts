import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { chooseWeights, weightsFile } from "./choose-weights.ts"

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

test("a folder is read by the same rule, links included; several equally good files are refused with their list", () => {
  const folder = mkdtempSync(join(tmpdir(), "weights-"))
  const put = (name: string) => writeFileSync(join(folder, name), "")
  try {
    for (const name of ["config.json", "training_args.bin", ".x.pt", "model.onnx"]) put(name)
    mkdirSync(join(folder, "checkpoints.pt"))
    expect(() => weightsFile(folder)).toThrow(`${folder} holds no weights`)
    put("mobileclip_s0.pt")
    expect(weightsFile(folder)).toBe(join(folder, "mobileclip_s0.pt"))
    put("mobileclip_s1.pt")
    expect(() => weightsFile(folder)).toThrow(
      expect.objectContaining({
        message: `${folder} holds several files of weights: mobileclip_s0.pt, mobileclip_s1.pt`,
        hint: "name one of them",
      }),
    )
    for (const name of ["best.safetensors", "model.safetensors"]) put(name)
    expect(weightsFile(folder)).toBe(join(folder, "model.safetensors"))
    symlinkSync("mobileclip_s0.pt", join(folder, "open_clip_pytorch_model.bin"))
    expect(weightsFile(folder)).toBe(join(folder, "open_clip_pytorch_model.bin"))
    symlinkSync("gone", join(folder, "open_clip_model.safetensors"))
    expect(weightsFile(folder)).toBe(join(folder, "open_clip_pytorch_model.bin"))
    expect(weightsFile(join(folder, "mobileclip_s0.pt"))).toBe(join(folder, "mobileclip_s0.pt"))
    expect(() => weightsFile(join(folder, "none"))).toThrow("none does not exist")
  } finally {
    rmSync(folder, { recursive: true })
  }
})
