/**
 * The interpreter that computes: libtorch, with gradients. Parameters become leaf tensors once, when the interpreter
 * is made; every other tensor belongs to the caller's `scope`.
 */
import * as torch from "../../torch/index.ts"
import { assert, UserError } from "../core/errors.ts"
import type { Module } from "../model/module.ts"
import { composedNorms, composedSelfAttention } from "./composed.ts"
import { Parameter } from "./parameter.ts"
import type {
  AttentionOptions,
  BatchNormParameters,
  Conv2dGeometry,
  NormTerm,
  Operand,
  SelfAttentionOptions,
  Tensor,
} from "./tensor.ts"
import { convolve, geluOfPixels, inChannelsLast } from "./torch-layout.ts"
import { batchNorm, canShareStatistics, sumOfNorms } from "./torch-norms.ts"
import { type Attend, lengthsOf, type Packing, packingOf } from "./torch-packing.ts"

/** Added to scores that must not count: far below every real one, so that their weight is exactly 0. */
const MASKED = -1e9

type FloatDtype = "float32" | "float64" | "bfloat16"

export interface TorchOptions {
  /** Of weights, and of what is computed from them: float64 for comparisons with references, bfloat16 where nothing is trained. */
  readonly dtype?: FloatDtype
  readonly device?: torch.Device
  /** Parameters get gradients, batch norm uses and tracks batch statistics. */
  readonly training?: boolean
  /** Parameters, by path, that are not trained; batch norm among them keeps its running statistics. */
  readonly frozen?: (path: string) => boolean
  /** Parameters, by path, whose batch norm uses its running statistics unchanged, even if they are trained. */
  readonly frozenStatistics?: (path: string) => boolean
  /** Takes the place of libtorch's batch norm: over the batches of several processes. */
  readonly batchNorm?: typeof torch.batchNorm
  /**
   * Pictures, and everything computed from them, are stored with the channels innermost: the same values, faster
   * convolutions. Not in training on the processor: libtorch 1.13 and 2.13 ended with a double free in a step of FastViT there.
   */
  readonly channelsLast?: boolean
}

export class TorchInterpreter {
  /** Switches batch norm between batch and running statistics; evaluate with false. */
  training: boolean
  readonly dtype: FloatDtype
  readonly device: torch.Device
  /** False while a forward pass is repeated: the batch's statistics were counted the first time. */
  trackStatistics = true
  /** Normalises with the statistics it is given. */
  readonly batchNorm: typeof torch.batchNorm
  /** Parameters whose batch norm keeps its statistics. */
  private readonly still = new Set<Parameter>()
  private readonly channelsLast: boolean
  /** On the processor some operations have a form that is faster with the channels innermost. */
  readonly isHostChannelsLast: boolean
  private readonly leaves = new Map<Parameter, torch.Tensor>()
  private readonly named: ReadonlyMap<string, Parameter>

  /** Materialises every parameter of `model` (its host values are copied). */
  constructor(model: Pick<Module, "namedParameters">, options: TorchOptions = {}) {
    this.training = options.training ?? false
    this.dtype = options.dtype ?? "float32"
    this.device = options.device ?? "cpu"
    this.batchNorm = options.batchNorm ?? torch.batchNorm
    this.channelsLast = (options.channelsLast ?? false) && (this.device !== "cpu" || !this.training)
    this.isHostChannelsLast = this.channelsLast && this.device === "cpu"
    this.named = model.namedParameters()
    for (const [path, parameter] of this.named) {
      this.leaves.set(parameter, this.leaf(parameter, options.frozen?.(path) ?? false))
      if (options.frozenStatistics?.(path)) this.still.add(parameter)
    }
  }

  /** Trained tensors by path, in the model's order; buffers and what is frozen are left out. */
  trainable(): Map<string, torch.Tensor> {
    return new Map([...this.state()].filter(([, tensor]) => tensor.requiresGrad))
  }

  /** What forward passes in training change: batch norm's statistics. They are owned by the interpreter: do not free them. */
  buffers(): torch.Tensor[] {
    const buffers = [...this.named.values()].filter(({ role }) => role === "buffer")
    return buffers.map((parameter) => this.value(parameter))
  }

  /** Every parameter and buffer by path, in the model's order. They are owned by the interpreter: do not free them. */
  state(): Map<string, torch.Tensor> {
    return new Map([...this.named].map(([path, parameter]) => [path, this.value(parameter)]))
  }

  /** Whether batch norm with this weight uses the batch's statistics now. */
  usesBatchStatistics(weight: Parameter): boolean {
    return this.training && !this.still.has(weight) && this.value(weight).requiresGrad
  }

  /** The tensor of a parameter. It is owned by the interpreter: do not free it. */
  value(parameter: Parameter): torch.Tensor {
    const leaf = this.leaves.get(parameter)
    assert(leaf, `a parameter of shape [${parameter.shape}] does not belong to this interpreter's model`)
    return leaf
  }

  /** Whether the addon's kernels compute with these: not what autocast made, nor what lies on a GPU. */
  hasOwnKernels(tensors: readonly torch.Tensor[]): boolean {
    const { device, dtype } = this
    return device === "cpu" && dtype !== "bfloat16" && tensors.every((tensor) => tensor.dtype === dtype)
  }

  /** Pixels [N, 3, H, W], row-major. */
  images(pixels: Float32Array, shape: readonly number[]): TorchTensor {
    const images = torch.tensor(pixels, shape, { dtype: this.dtype, device: this.device })
    return this.wrap(this.channelsLast ? inChannelsLast(images) : images)
  }

  /** Token ids [N, L], row-major. */
  tokens(ids: BigInt64Array, shape: readonly number[]): TorchTensor {
    return new TorchTensor(this, torch.tensor(ids, shape, { device: this.device }), {
      lengths: lengthsOf(ids, shape.at(-1)!),
    })
  }

  /** Rows of features [N, D] that the host has, row-major. */
  rows(values: Float32Array, shape: readonly number[]): torch.Tensor {
    return torch.tensor(values, shape, { dtype: this.dtype, device: this.device })
  }

  /** @param packing where the tensor holds tokens of texts that were packed, theirs */
  wrap(value: torch.Tensor, packing?: Packing): TorchTensor {
    return new TorchTensor(this, value, packing && { packing })
  }

  /** How the tokens of `tensor` were packed, if they were. */
  packing(tensor: Tensor): Packing | undefined {
    assert(tensor instanceof TorchTensor, "a tensor of another interpreter")
    return tensor.packing
  }

  /** What a model returned, as the tensor that libtorch computed. */
  unwrap(tensor: Tensor): torch.Tensor {
    assert(tensor instanceof TorchTensor, "a tensor of another interpreter")
    return tensor.value
  }

  /** Host copies of every parameter and buffer, by path. */
  hostState(copy: HostCopy = ownCopy): Map<string, Float32Array> {
    return new Map([...this.state()].map(([path, tensor]) => [path, copy(path, tensor)]))
  }

  /** Releases the parameters. The interpreter and its tensors are unusable afterwards. */
  free(): void {
    for (const leaf of this.leaves.values()) leaf.free()
    this.leaves.clear()
  }

  private leaf(parameter: Parameter, frozen: boolean): torch.Tensor {
    const requiresGrad = this.training && parameter.role === "parameter" && !frozen
    const dtype = parameter.dtype === "int64" ? "int64" : this.dtype
    const make = () => torch.tensor(parameter.read(), parameter.shape, { dtype, device: this.device, requiresGrad })
    if (!this.isHostChannelsLast || parameter.shape.length !== 4) return make()
    return torch.scope(() => torch.keep(inChannelsLast(make())))
  }
}

/** Values of any dtype as float32, on the host. */
export function hostValues(tensor: torch.Tensor): Float32Array {
  return torch.scope(() =>
    torch.noGrad(() => tensor.detach().to({ dtype: "float32", device: "cpu" }).data() as Float32Array),
  )
}

/** Copies the tensor of a path to the host: values of any dtype as float32. */
export type HostCopy = (path: string, tensor: torch.Tensor) => Float32Array

/** Into memory of its own. */
export const ownCopy: HostCopy = (_, tensor) => hostValues(tensor)

/** What is known of texts on the host, where finding it on a GPU would mean waiting for it. */
interface Texts {
  /** For token ids that came from the host: columns of each text up to its first EOT. */
  readonly lengths?: readonly number[]
  readonly packing?: Packing
}

export class TorchTensor implements Tensor {
  constructor(
    private readonly interpreter: TorchInterpreter,
    readonly value: torch.Tensor,
    private readonly texts: Texts = {},
  ) {}

  /** Packed texts are one long text, [1, T, ...]. */
  get shape(): readonly number[] {
    return this.value.shape
  }

  get packing(): Packing | undefined {
    return this.texts.packing
  }

  add(other: Operand): Tensor {
    return this.next(this.value.add(this.resolve(other)))
  }

  sub(other: Operand): Tensor {
    return this.next(this.value.sub(this.resolve(other)))
  }

  mul(other: Operand | number): Tensor {
    return this.next(this.value.mul(typeof other === "number" ? other : this.resolve(other)))
  }

  gelu(): Tensor {
    const { interpreter, value } = this
    if (interpreter.isHostChannelsLast && this.shape.length === 4) return this.next(geluOfPixels(value))
    return this.next(interpreter.hasOwnKernels([value]) ? torch.gelu(value) : value.gelu())
  }

  relu(): Tensor {
    return this.next(this.value.relu())
  }

  sigmoid(): Tensor {
    return this.next(this.value.sigmoid())
  }

  conv2d(weight: Parameter, bias: Parameter | null, geometry: Conv2dGeometry): Tensor {
    const [w, b] = [this.resolve(weight), bias && this.resolve(bias)]
    if (this.interpreter.isHostChannelsLast) return this.next(convolve(this.value, w, b, geometry))
    const { stride, padding, groups } = geometry
    if (!b && isHostDepthwise(this.value, w, groups))
      return this.next(torch.depthwiseConv2d(this.value, w, stride, padding))
    return this.next(torch.conv2d(this.value, w, b, stride, padding, 1, groups))
  }

  linear(weight: Parameter, bias: Parameter | null): Tensor {
    return this.next(torch.linear(this.value, this.resolve(weight), bias && this.resolve(bias)))
  }

  matmul(matrix: Parameter): Tensor {
    return this.next(this.value.matmul(this.resolve(matrix)))
  }

  attention(key: Tensor, value: Tensor, options: AttentionOptions): Tensor {
    const packing = this.interpreter.packing(key)
    if (packing) return this.attentionTo(packing, key, value, options)
    const { heads, causal, bias } = options
    const inputs = [this, key, value].map((x) => this.resolve(x)) as [torch.Tensor, torch.Tensor, torch.Tensor]
    const added = bias && this.resolve(bias)
    if (!added?.requiresGrad && !(added && causal) && this.interpreter.hasOwnKernels(inputs))
      return this.next(torch.attention(...inputs, heads, causal, added ?? null))
    const [q, k, v] = inputs.map((x) => splitHeads(x, heads)) as typeof inputs
    const mask = added?.unsqueeze(1).unsqueeze(1)
    const mixed = torch.scaledDotProductAttention(q, k, v, { causal, ...(mask && { mask }) })
    return this.next(mixed.permute([0, 2, 1, 3]).reshape([...this.shape]))
  }

  selfAttention(options: SelfAttentionOptions): Tensor {
    const { interpreter, value, packing } = this
    if (!interpreter.hasOwnKernels([value])) return composedSelfAttention(this, options)
    const attend = (x: torch.Tensor) => torch.selfAttention(x, options.heads, options.causal)
    return this.next(packing ? packing.eachGroup(attend, value) : attend(value))
  }

  batchNorm(norm: BatchNormParameters): Tensor {
    return this.next(batchNorm(this.interpreter, this, norm))
  }

  addNorms(terms: readonly NormTerm[], factor?: Parameter): Tensor {
    const { interpreter, value } = this
    if (!canShareStatistics(interpreter, value, terms)) return composedNorms(this, terms, factor)
    return this.next(sumOfNorms(interpreter, value, terms, factor))
  }

  layerNorm(weight: Parameter, bias: Parameter, eps: number): Tensor {
    const [scale, shift] = [this.resolve(weight), this.resolve(bias)]
    // Autocast does this on CUDA; the processor's kernels take one type for both.
    const x = this.value.dtype === scale.dtype ? this.value : this.value.to({ dtype: scale.dtype })
    return this.next(torch.layerNorm(x, weight.shape, scale, shift, eps))
  }

  mean(axes: readonly number[], keepDims = false): Tensor {
    return this.next(this.value.mean(axes, keepDims))
  }

  reshape(dims: readonly number[]): Tensor {
    return this.next(this.value.reshape([this.shape[0]!, ...dims]))
  }

  permute(order: readonly number[]): Tensor {
    return this.next(this.value.permute(order))
  }

  narrow(axis: number, start: number, length: number): Tensor {
    return this.next(this.value.narrow(axis, start, length))
  }

  split(axis: number, parts: number): readonly Tensor[] {
    return torchSplit(this.value, this.shape[axis]! / parts, axis).map((part) => this.next(part))
  }

  concat(others: readonly Tensor[], axis: number): Tensor {
    return this.next(torch.cat([this.value, ...others.map((other) => this.resolve(other))], axis))
  }

  repeat(parameter: Parameter): Tensor {
    return this.next(this.resolve(parameter).expand([this.shape[0]!, ...parameter.shape]))
  }

  embedding(table: Parameter): Tensor {
    return this.next(torch.embedding(this.resolve(table), this.value))
  }

  addPositions(table: Parameter, past?: Tensor): Tensor {
    if (this.packing) return this.next(this.packing.addPositions(this.value, this.resolve(table)))
    return this.next(this.value.add(this.resolve(table).narrow(0, past?.shape[1] ?? 0, this.shape[1]!)))
  }

  firstEot(): Tensor {
    const { packing, value } = this
    return this.unpacked(packing ? packing.ends(value.device) : value.argmax(1))
  }

  trimToLongest(): Tensor {
    const { lengths } = this.texts
    const packing = lengths && packingOf(lengths)
    if (packing) return this.interpreter.wrap(packing.pack(this.value), packing)
    const length = lengths ? Math.max(...lengths) : torch.scope(() => this.value.argmax(1).max().item() + 1)
    return this.narrow(1, 0, length)
  }

  rowAt(positions: Tensor): Tensor {
    const [batch, , width] = this.shape as readonly [number, number, number]
    if (this.packing) return this.unpacked(this.value.reshape([-1, width]).indexSelect(0, this.resolve(positions)))
    const index = this.resolve(positions).reshape([batch, 1, 1]).expand([batch, 1, width])
    return this.next(this.value.gather(1, index).reshape([batch, width]))
  }

  causalBias(positions: Tensor): Tensor {
    const { packing, interpreter } = this
    const { dtype, device } = interpreter
    const last = packing ? packing.lastPlaces(device) : this.resolve(positions)
    const places = torch.arange(0, packing?.longest ?? this.shape[1]!, 1, { device })
    return this.unpacked(greater(places, last.unsqueeze(1)).to({ dtype }).mul(MASKED))
  }

  classBias(): Tensor {
    const hidden = this.value.eq(0).to({ dtype: this.interpreter.dtype }).mul(MASKED)
    return this.next(torch.cat([hidden.narrow(1, 0, 1).mul(0), hidden], 1))
  }

  private attentionTo(packing: Packing, key: Tensor, value: Tensor, options: AttentionOptions): Tensor {
    const [q, k, v] = [this.value, this.resolve(key), this.resolve(value)] as const
    const wrap = (x: torch.Tensor) => this.interpreter.wrap(x)
    const attend: Attend = (query, keys, values, bias) =>
      this.resolve(wrap(query).attention(wrap(keys), wrap(values), { ...options, ...(bias && { bias: wrap(bias) }) }))
    return this.next(packing.attention(attend, q, k, v, options.bias && this.resolve(options.bias)))
  }

  /** Tokens of texts stay packed. */
  private next(value: torch.Tensor): TorchTensor {
    return this.interpreter.wrap(value, this.packing)
  }

  private unpacked(value: torch.Tensor): TorchTensor {
    return this.interpreter.wrap(value)
  }

  private resolve(operand: Operand): torch.Tensor {
    if (operand instanceof TorchTensor) return operand.value
    assert(operand instanceof Parameter, "a tensor of another interpreter")
    return this.interpreter.value(operand)
  }
}

/** One operator, because the way back of several `narrow` would add up as many tensors of zeros. */
const torchSplit = torch.operator<[torch.Tensor, size: number, dim: number], torch.Tensor[]>("split.Tensor")

/** Whether torch's own kernel computes it. */
function isHostDepthwise(x: torch.Tensor, weight: torch.Tensor, groups: number): boolean {
  const isFloat = x.dtype === "float32" && weight.dtype === "float32"
  return isFloat && x.device === "cpu" && groups > 1 && groups === x.shape[1] && weight.shape[1] === 1
}

const greater = torch.operator<[a: torch.Tensor, b: torch.Tensor], torch.Tensor>("gt.Tensor")

/** [N, L, D] -> [N, heads, L, D/heads] */
function splitHeads(x: torch.Tensor, heads: number): torch.Tensor {
  const [batch, length, width] = x.shape as readonly [number, number, number]
  return x.reshape([batch, length, heads, width / heads]).permute([0, 2, 1, 3])
}

/** Throws UserError where this libtorch has no such device; one without a number is any of its kind. */
export function checkDevice(device: string): void {
  const present = torch.devices()
  if (present.some((name) => name === device || name.startsWith(`${device}:`))) return
  throw new UserError(`this libtorch has no device "${device}"`, `it has ${present.join(", ")}`)
}
