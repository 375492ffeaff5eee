import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import {
  call,
  globalOf,
  type Pickled,
  type Storage,
  tensorOf,
  torchArchive,
  tuple,
} from "../../../test/torch-archive.ts"
import { zipArchive } from "../../../test/zip-archive.ts"
import { float32ToBfloat16, float32ToFloat16 } from "../../core/arrays/half.ts"
import { bytesAsSource, safetensorsChunks } from "../../core/containers/safetensors.ts"
import { UserError } from "../../core/errors.ts"
import { openTensorFile, readTensorFile } from "./open-tensor-file.ts"

const floats = Float32Array.from({ length: 24 }, (_, i) => i - 7.5)
const matrix: Storage = { type: "FloatStorage", key: "0", values: floats }
const half: Storage = { type: "HalfStorage", key: "1", values: float32ToFloat16(floats) }
const brain: Storage = { type: "BFloat16Storage", key: "2", values: float32ToBfloat16(floats) }
const steps: Storage = { type: "LongStorage", key: "3", values: BigInt64Array.of(12345n) }
const flags: Storage = { type: "BoolStorage", key: "4", values: Uint8Array.of(1, 0, 1) }
const storages = [matrix, half, brain, steps, flags]
const whole = { shape: [4, 6], strides: [6, 1] }
const dictOf = (items: Record<string, Pickled>) => new Map<Pickled, Pickled>(Object.entries(items))
const weights = dictOf({
  "visual.weight": tensorOf(matrix, whole),
  "visual.transposed": tensorOf(matrix, { shape: [6, 4], strides: [1, 6] }),
  "visual.window": tensorOf(matrix, { offset: 7, shape: [2, 3], strides: [12, 2] }),
  "visual.half": tensorOf(half, whole),
  "visual.brain": call("torch._utils._rebuild_parameter", tensorOf(brain, whole), true, null),
  "bn.num_batches_tracked": tensorOf(steps, { shape: [], strides: [] }),
  flags: tensorOf(flags, { shape: [3], strides: [1] }),
  none: tensorOf(matrix, { offset: 3, shape: [0, 5], strides: [5, 1] }),
})

const open = (bytes: Uint8Array) => readTensorFile(bytesAsSource("model.pt", bytes))

test.each([{}, { root: "a/b/" }, { zip64: true }, { crc: false }])("a state dict with %j", async (options) => {
  const file = await open(torchArchive(weights, storages, options))
  expect(file).toMatchObject({ name: "model.pt", format: "torch", metadata: {} })
  expect([...file.tensors.keys()]).toEqual([...weights.keys()])
  expect(file.tensors.get("visual.half")).toMatchObject({ dtype: "F16", shape: [4, 6] })
  expect(file.tensors.get("bn.num_batches_tracked")).toMatchObject({ dtype: "I64", shape: [] })
  for (const name of ["weight", "half", "brain"]) expect(file.readFloat32(`visual.${name}`)).toEqual(floats)
  const columns = Array.from({ length: 24 }, (_, i) => floats[(i % 4) * 6 + Math.floor(i / 4)]!)
  expect(file.readFloat32("visual.transposed")).toEqual(Float32Array.from(columns))
  const window = [7, 9, 11, 19, 21, 23].map((i) => floats[i]!)
  expect(file.readFloat32("visual.window")).toEqual(Float32Array.from(window))
  expect(file.readFloat32("bn.num_batches_tracked")).toEqual(Float32Array.of(12345))
  expect(file.readFloat32("flags")).toEqual(Float32Array.of(1, 0, 1))
  expect(file.readFloat32("none")).toEqual(new Float32Array(0))
  expect(() => file.readFloat32("bias")).toThrow('model.pt: no tensor named "bias"')
})

test.each([
  ...["state_dict", "model_state_dict", "model", "module"],
  ...["state_dict_ema", "model_ema", "ema_state_dict", "ema"],
])("a checkpoint with its weights under %s", async (key) => {
  const optimizer = dictOf({ state: new Map([[0, tensorOf(matrix, whole)]]), lr: 0.1 })
  const args: Pickled = { kind: "build", object: call("argparse.Namespace"), state: dictOf({ lr: 0.1 }) }
  const best = call("numpy.core.multiarray.scalar", call("numpy.dtype", "f8"), "12345678")
  const value = dictOf({
    epoch: 3,
    name: "run",
    rng: tensorOf(flags, { shape: [3], strides: [1] }),
    optimizer,
    args,
    best,
  })
  const file = await open(torchArchive(value.set(key, weights), storages))
  expect([...file.tensors.keys()]).toEqual([...weights.keys()])
  expect(file.readFloat32("visual.weight")).toEqual(floats)
})

test("a state dict within another wrapper, and an average only where there are no other weights", async () => {
  const inner = dictOf({ decay: 0.999, updates: 3, module: weights })
  const ema = dictOf({ average: tensorOf(matrix, whole) })
  const keys = async (value: Pickled) => [...(await open(torchArchive(value, storages))).tensors.keys()]
  expect(await keys(dictOf({ epoch: 3, ema: inner }))).toEqual([...weights.keys()])
  expect(await keys(dictOf({ epoch: 3, model: dictOf({ state_dict: weights }) }))).toEqual([...weights.keys()])
  expect(await keys(dictOf({ ema, state_dict_ema: ema, model: weights }))).toEqual([...weights.keys()])
  await expect(keys(dictOf({ model: dictOf({ ema: dictOf({ module: weights }) }) }))).rejects.toThrow("no state dict")
})

test("an untyped storage has the type of its tensor", async () => {
  const bytes: Storage = { type: "storage.UntypedStorage", key: "9", values: new Uint8Array(floats.buffer) }
  const id = tuple("storage", globalOf("torch.storage.UntypedStorage"), "9", "cpu", 96)
  const rebuilt = (dtype: string) =>
    call(
      "torch._utils._rebuild_tensor_v3",
      { kind: "persistent", id },
      2,
      tuple(3),
      tuple(1),
      false,
      null,
      globalOf(dtype),
    )
  const file = await open(torchArchive(dictOf({ w: rebuilt("torch.float32") }), [bytes]))
  expect(file.readFloat32("w")).toEqual(floats.slice(2, 5))
  await expect(open(torchArchive(dictOf({ w: rebuilt("torch.float8_e5m2") }), [bytes]))).rejects.toThrow(
    'model.pt: tensor "w": torch.float8_e5m2 is not a type that weights are read in',
  )
})

const withTensor = (value: Pickled, list: readonly Storage[] = storages) => torchArchive(dictOf({ w: value }), list)
const view = (offset: number, shape: number[], strides: number[]) =>
  withTensor(tensorOf(matrix, { offset, shape, strides }))
const longer: Storage = { ...matrix, values: new Float32Array(25) }

test.each<[string, Uint8Array, string]>([
  ["a tensor beyond its storage", view(1, [4, 6], [6, 1]), "it ends at element 25 of a storage of 24"],
  ["strides that lead out", view(0, [4, 6], [7, 1]), "it ends at element 27 of a storage of 24"],
  ["an expanded tensor", view(0, [25], [0]), "[25] has more elements than its storage, 24"],
  ["a huge one", view(0, [2 ** 40, 2 ** 40], [0, 0]), "has more elements than its storage"],
  ["a negative size", view(0, [-1], [1]), "its shape is not a list of sizes"],
  ["a negative stride", view(0, [2], [-1]), "its strides do not fit [2]"],
  ["too few strides", view(0, [2, 2], [1]), "its strides do not fit [2,2]"],
  ["a negative offset", view(-1, [2], [1]), "its offset is not a position"],
  ["65 dimensions", view(0, Array(65).fill(1), Array(65).fill(1)), "its shape is not a list of sizes"],
  ["a missing storage", withTensor(tensorOf(matrix, whole), [half]), 'its storage data/"0" is missing'],
  ["a storage of another length", withTensor(tensorOf(matrix, whole), [longer]), "should have 96 bytes, and has 100"],
  [
    "complex numbers",
    withTensor(tensorOf({ ...matrix, type: "ComplexFloatStorage" }, whole)),
    "torch.ComplexFloatStorage is not",
  ],
  ["a tensor of nothing", withTensor(call("torch._utils._rebuild_tensor_v2")), "it has no storage"],
  ["a tensor without a name", torchArchive(new Map([[1, tensorOf(matrix, whole)]]), storages), "name is not text"],
  [
    "no tensors",
    torchArchive(dictOf({ epoch: 3, name: "x" }), []),
    'no tensor among its 2 entries ("epoch", "name", ...)',
  ],
  ["a list", torchArchive([1], []), "its top level is not a dict"],
  ["a program", torchArchive(call("os.system", "true"), []), "asks for `os.system`"],
  ["a pickled module", torchArchive(call("open_clip.model.CLIP"), []), "asks for `open_clip.model.CLIP`"],
  [
    "a big-endian file",
    torchArchive(weights, storages, { extra: { byteorder: Buffer.from("big") } }),
    "big-endian machine",
  ],
  [
    "TorchScript",
    torchArchive(weights, storages, { extra: { "code/m.py": new Uint8Array(1) } }),
    "TorchScript archive",
  ],
  [
    "TorchScript's constants",
    torchArchive(weights, storages, { extra: { "constants.pkl": new Uint8Array(1) } }),
    "TorchScript archive",
  ],
  [
    "a compressed archive",
    torchArchive(weights, storages, { deflate: true }),
    "is compressed, and torch.save never does that",
  ],
  ["another zip archive", zipArchive(new Map([["a.txt", new Uint8Array(3)]])), "a zip archive with no data.pkl"],
  ["an empty zip archive", zipArchive(new Map()), "a zip archive with no data.pkl"],
  ["a cut file", torchArchive(weights, storages).subarray(0, 900), "damaged or cut short"],
  ["nothing", new Uint8Array(0), "model.pt is empty"],
  [
    "a pickle of torch before 1.6",
    Buffer.from("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "latin1"),
    "legacy pickle",
  ],
  [
    "a tar of torch before 1.6",
    Buffer.from(`${"pickle\0".padEnd(257, "0")}ustar  \0`.padEnd(512, "\0")),
    "legacy pickle",
  ],
  [
    "a git-lfs pointer",
    Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
    "git-lfs pointer",
  ],
  ["a web page", Buffer.from("\n<!DOCTYPE html>\n<html></html>"), "is a web page"],
  ["a picture", Buffer.from("\x89PNG\r\n", "latin1"), "is neither safetensors nor a file of torch.save"],
])("%s is refused in one line", async (_, bytes, message) => {
  // biome-ignore format: a table
  const error = await open(bytes).catch((error) => error)
  expect(error).toBeInstanceOf(UserError)
  expect(error.message).toMatch(/^model\.pt[^\n]*$/)
  expect(error.message).toContain(message)
  expect(error.hint).toMatch(/^[^\n]+$/)
})

test("a changed byte is found when its storage is read whole", async () => {
  const bytes = Buffer.from(torchArchive(weights, storages))
  bytes[bytes.indexOf(Buffer.from(floats.buffer)) + 20]! ^= 1
  const file = await open(bytes)
  expect(() => file.readFloat32("visual.weight")).toThrow('model.pt: "archive/data/0" has a wrong checksum (CRC-32)')
  expect(file.readFloat32("visual.half")).toEqual(floats)
})

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tensors-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

test("the format is told by content, whatever the extension", async () => {
  const list = [{ name: "w", dtype: "F32", shape: [24], read: () => floats } as const]
  writeFileSync(join(folder, "a.pt"), Buffer.concat([...safetensorsChunks(list, { by: "us" })]))
  writeFileSync(join(folder, "b.safetensors"), torchArchive(weights, storages))
  const safe = await openTensorFile(join(folder, "a.pt"))
  expect(safe).toMatchObject({ format: "safetensors", metadata: { by: "us" }, name: join(folder, "a.pt") })
  expect(safe.readFloat32("w")).toEqual(floats)
  const torch = await openTensorFile(join(folder, "b.safetensors"))
  expect(torch.format).toBe("torch")
  expect(torch.readFloat32("visual.weight")).toEqual(floats)
  safe.close()
  torch.close()
  await expect(openTensorFile(folder)).rejects.toThrow(`${folder} is a folder, and a file was expected`)
  await expect(openTensorFile(join(folder, "none"))).rejects.toThrow("does not exist")
})
