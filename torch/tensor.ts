/**
 * A libtorch tensor. Methods are ATen operators under PyTorch's names in camelCase; a trailing underscore changes the
 * tensor in place. Whatever has no method is reached with `call` (operator.ts).
 *
 * Dimensions may be negative, counted from the end. Memory: `free`, `scope` (scope.ts), or garbage collection.
 */
import { addon, type Device, type DType, type Native, type TensorData } from "./native.ts"
import { operator } from "./operator.ts"

export type { Device, DType, TensorData } from "./native.ts"

export const native = addon as Native<Tensor>

const handleKey = Symbol("libtorch tensor")

/** Frees what was made outside all scopes once its JavaScript object is gone. */
const collected = new FinalizationRegistry<number>((handle) => native.freeHandle(handle))

export class Tensor {
  private readonly [handleKey]: number

  /** The addon makes tensors; use `tensor`, `zeros`, ... */
  constructor(handle: number, scoped: boolean) {
    this[handleKey] = handle
    if (!scoped) Tensor.collectable(this)
  }

  /** Lets garbage collection free the tensor. Those made in a scope need it when they leave the outermost one. */
  static collectable(tensor: Tensor): void {
    collected.register(tensor, tensor[handleKey])
  }

  get shape(): readonly number[] {
    return native.shape(this)
  }

  get dtype(): DType {
    return native.dtype(this)
  }

  get device(): Device {
    return native.device(this)
  }

  get numel(): number {
    return native.numel(this)
  }

  /** A copy of the values on the host, row-major. */
  data(): TensorData {
    return native.toData(this)
  }

  /**
   * Copies the values, row-major, into host memory that is there already: shared memory too. They become the array's type;
   * a Uint16Array is not one.
   *
   * @throws Error where the array has another number of elements
   */
  copyTo(target: Exclude<TensorData, Uint16Array>): void {
    native.copyTo(this, target)
  }

  /** The only element, as a number (booleans as 0 or 1); throws when there are more. */
  item(): number {
    return Number(item(this))
  }

  /** This tensor when it already is of that dtype on that device, else a copy. */
  to(options: { readonly dtype?: DType; readonly device?: Device }): Tensor {
    return to(this, options.dtype, undefined, options.device)
  }

  /** Frees the memory at once; a second time does nothing. What shares its storage or its gradient graph lives on. */
  free(): void {
    native.free(this)
  }

  get freed(): boolean {
    return native.freed(this)
  }

  toString(): string {
    return this.freed ? "Tensor(freed)" : `Tensor(${this.dtype}[${this.shape}] on ${this.device})`
  }

  // Gradients.

  get requiresGrad(): boolean {
    return native.requiresGrad(this)
  }

  requiresGrad_(value = true): this {
    native.setRequiresGrad(this, value)
    return this
  }

  get grad(): Tensor | null {
    return native.gradOf(this)
  }

  set grad(gradient: Tensor | null) {
    native.setGrad(this, gradient)
  }

  /** Adds the gradients of this tensor to `grad` of the leaves; `gradient` (of this shape) may be left out for a scalar. */
  backward(gradient?: Tensor): void {
    native.backward(this, gradient ?? null)
  }

  /** The same values, outside the gradient graph; shares storage. */
  detach(): Tensor {
    return detach(this)
  }

  clone(): Tensor {
    return clone(this)
  }

  contiguous(): Tensor {
    return contiguous(this)
  }

  // Elementwise, with broadcasting.

  add(other: Tensor | number): Tensor {
    return typeof other === "number" ? addScalar(this, other) : add(this, other)
  }

  sub(other: Tensor | number): Tensor {
    return typeof other === "number" ? subScalar(this, other) : sub(this, other)
  }

  mul(other: Tensor | number): Tensor {
    return typeof other === "number" ? mulScalar(this, other) : mul(this, other)
  }

  div(other: Tensor | number): Tensor {
    return typeof other === "number" ? divScalar(this, other) : div(this, other)
  }

  pow(exponent: number): Tensor {
    return pow(this, exponent)
  }

  neg(): Tensor {
    return neg(this)
  }

  abs(): Tensor {
    return abs(this)
  }

  exp(): Tensor {
    return exp(this)
  }

  log(): Tensor {
    return log(this)
  }

  sqrt(): Tensor {
    return sqrt(this)
  }

  sigmoid(): Tensor {
    return sigmoid(this)
  }

  relu(): Tensor {
    return relu(this)
  }

  /** Exact, by the error function. */
  gelu(): Tensor {
    return gelu(this)
  }

  clamp(min: number | null, max: number | null): Tensor {
    return clamp(this, min, max)
  }

  eq(other: Tensor | number): Tensor {
    return typeof other === "number" ? eqScalar(this, other) : eq(this, other)
  }

  // In place.

  add_(other: Tensor | number): this {
    typeof other === "number" ? addScalar_(this, other) : add_(this, other)
    return this
  }

  sub_(other: Tensor | number): this {
    typeof other === "number" ? subScalar_(this, other) : sub_(this, other)
    return this
  }

  mul_(other: Tensor | number): this {
    typeof other === "number" ? mulScalar_(this, other) : mul_(this, other)
    return this
  }

  div_(other: Tensor | number): this {
    typeof other === "number" ? divScalar_(this, other) : div_(this, other)
    return this
  }

  clamp_(min: number | null, max: number | null): this {
    clamp_(this, min, max)
    return this
  }

  zero_(): this {
    zero_(this)
    return this
  }

  fill_(value: number): this {
    fill_(this, value)
    return this
  }

  /** Copies values from a tensor of any dtype and device whose shape broadcasts to this one. */
  copy_(source: Tensor): this {
    copy_(this, source)
    return this
  }

  // Linear algebra.

  matmul(other: Tensor): Tensor {
    return matmul(this, other)
  }

  /** The 2-norm of vectors along `dims` (all: of the whole tensor). */
  norm(dims: readonly number[] | null = null, keepDim = false): Tensor {
    return vectorNorm(this, 2, dims, keepDim)
  }

  // Reductions. `dims` null or left out: all.

  sum(dims: readonly number[] | null = null, keepDim = false): Tensor {
    return sum(this, dims, keepDim)
  }

  mean(dims: readonly number[] | null = null, keepDim = false): Tensor {
    return mean(this, dims, keepDim)
  }

  max(dims: readonly number[] = [], keepDim = false): Tensor {
    return amax(this, dims, keepDim)
  }

  /** int64 positions of the first largest element along `dim` (left out: in the flattened tensor). */
  argmax(dim: number | null = null, keepDim = false): Tensor {
    return argmax(this, dim, keepDim)
  }

  softmax(dim: number): Tensor {
    return softmax(this, dim)
  }

  logSoftmax(dim: number): Tensor {
    return logSoftmax(this, dim)
  }

  // Layout.

  reshape(shape: readonly number[]): Tensor {
    return reshape(this, shape)
  }

  permute(order: readonly number[]): Tensor {
    return permute(this, order)
  }

  transpose(dim0: number, dim1: number): Tensor {
    return transpose(this, dim0, dim1)
  }

  unsqueeze(dim: number): Tensor {
    return unsqueeze(this, dim)
  }

  squeeze(dim: number): Tensor {
    return squeeze(this, dim)
  }

  expand(shape: readonly number[]): Tensor {
    return expand(this, shape)
  }

  narrow(dim: number, start: number, length: number): Tensor {
    return narrow(this, dim, start, length)
  }

  select(dim: number, index: number): Tensor {
    return select(this, dim, index)
  }

  /** index: int64 [N]; the slices of `dim` that it names, in its order. */
  indexSelect(dim: number, index: Tensor): Tensor {
    return indexSelect(this, dim, index)
  }

  /** index: int64, of the result's shape. */
  gather(dim: number, index: Tensor): Tensor {
    return gather(this, dim, index)
  }

  triu(diagonal = 0): Tensor {
    return triu(this, diagonal)
  }
}

native.setTensorClass(Tensor, handleKey)

type Dims = readonly number[]
const unary = operator<[Tensor], Tensor>
const binary = operator<[Tensor, Tensor], Tensor>
const withScalar = operator<[Tensor, number], Tensor>
const withBounds = operator<[Tensor, number | null, number | null], Tensor>
const reduction = operator<[Tensor, Dims | null, boolean], Tensor>

const item = operator<[Tensor], number | bigint | boolean>("item")
const to = operator<[Tensor, DType | undefined, undefined, Device | undefined], Tensor>("to.dtype_layout")
const detach = unary("detach")
const clone = unary("clone")
const contiguous = unary("contiguous")

const add = binary("add.Tensor")
const sub = binary("sub.Tensor")
const mul = binary("mul.Tensor")
const div = binary("div.Tensor")
const eq = binary("eq.Tensor")
const addScalar = withScalar("add.Scalar")
const subScalar = withScalar("sub.Scalar")
const mulScalar = withScalar("mul.Scalar")
const divScalar = withScalar("div.Scalar")
const eqScalar = withScalar("eq.Scalar")
const pow = withScalar("pow.Tensor_Scalar")
const neg = unary("neg")
const abs = unary("abs")
const exp = unary("exp")
const log = unary("log")
const sqrt = unary("sqrt")
const sigmoid = unary("sigmoid")
const relu = unary("relu")
const gelu = unary("gelu")
const clamp = withBounds("clamp")

const add_ = binary("add_.Tensor")
const sub_ = binary("sub_.Tensor")
const mul_ = binary("mul_.Tensor")
const div_ = binary("div_.Tensor")
const addScalar_ = withScalar("add_.Scalar")
const subScalar_ = withScalar("sub_.Scalar")
const mulScalar_ = withScalar("mul_.Scalar")
const divScalar_ = withScalar("div_.Scalar")
const clamp_ = withBounds("clamp_")
const zero_ = unary("zero_")
const fill_ = withScalar("fill_.Scalar")
const copy_ = binary("copy_")

const matmul = binary("matmul")
const vectorNorm = operator<[Tensor, number, Dims | null, boolean], Tensor>("linalg_vector_norm")
const sum = reduction("sum.dim_IntList")
const mean = reduction("mean.dim")
const amax = operator<[Tensor, Dims, boolean], Tensor>("amax")
const argmax = operator<[Tensor, number | null, boolean], Tensor>("argmax")
const softmax = withScalar("softmax.int")
const logSoftmax = withScalar("log_softmax.int")

const reshape = operator<[Tensor, Dims], Tensor>("reshape")
const permute = operator<[Tensor, Dims], Tensor>("permute")
const transpose = operator<[Tensor, number, number], Tensor>("transpose.int")
const unsqueeze = withScalar("unsqueeze")
const squeeze = withScalar("squeeze.dim")
const expand = operator<[Tensor, Dims], Tensor>("expand")
const narrow = operator<[Tensor, number, number, number], Tensor>("narrow")
const select = operator<[Tensor, number, number], Tensor>("select.int")
const indexSelect = operator<[Tensor, number, Tensor], Tensor>("index_select")
const gather = operator<[Tensor, number, Tensor], Tensor>("gather")
const triu = withScalar("triu")
