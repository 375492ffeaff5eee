/**
 * ONNX messages in protobuf's wire format, written so that the weights stream: everything but the raw bytes of the
 * initialisers is encoded first, all lengths are known from that, and each weight is read only when its turn comes.
 *
 * Source: onnx/onnx.proto3 of https://github.com/onnx/onnx (IR version 8, ONNX 1.12). Field numbers we write:
 *
 * | message        | fields                                                                       |
 * |----------------|------------------------------------------------------------------------------|
 * | ModelProto     | ir_version 1, producer_name 2, graph 7, opset_import 8, metadata_props 14    |
 * | OperatorSetId  | version 2 (domain, 1, stays empty: the standard operators)                   |
 * | StringString   | key 1, value 2 (an entry of metadata_props)                                  |
 * | GraphProto     | node 1, name 2, initializer 5, input 11, output 12                           |
 * | NodeProto      | input 1, output 2, name 3, op_type 4, attribute 5                            |
 * | AttributeProto | name 1, f 2, i 3, ints 8, type 20                                            |
 * | TensorProto    | dims 1, data_type 2, name 8, raw_data 9 (little-endian, as all our hosts are), |
 * |                | external_data 13 (StringString: location, offset, length), data_location 14  |
 * | ValueInfoProto | name 1, type 2                                                               |
 * | TypeProto      | tensor_type 1, in it elem_type 1 and shape 2, in that dim 1                  |
 * | Dimension      | dim_value 1, dim_param 2                                                     |
 */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire"
import { assert, UserError } from "../core/errors.ts"

const IR_VERSION = 8
/** TensorProto.DataType. */
export const DATA_TYPES = { float32: 1, int32: 6, int64: 7, float16: 10 } as const
const ITEM_BYTES = { float32: 4, int32: 4, int64: 8, float16: 2 } as const
/** TensorProto.DataLocation. */
const EXTERNAL = 1
/** AttributeProto.AttributeType. */
const ATTRIBUTE_TYPES = { float: 1, int: 2, ints: 7 } as const
/** Protobuf's own limit of one message; beyond it ONNX wants the weights in a file of their own. */
const MAX_BYTES = 2 ** 31 - 1
/** Where weights may begin in such a file: at pages, so that they can be mapped. */
const PAGE = 4096
/** Smaller ones stay in the model: runtimes read shapes and axes while they load it. */
const SMALLEST_EXTERNAL = 1024

export type DataType = keyof typeof DATA_TYPES

interface ModelProto {
  readonly producer: string
  readonly opset: number
  readonly metadata: Readonly<Record<string, string>>
  readonly graph: GraphProto
}

interface GraphProto {
  readonly name: string
  readonly nodes: readonly NodeProto[]
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
  readonly initializers: readonly TensorProto[]
}

export interface NodeProto {
  readonly name: string
  readonly opType: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: Readonly<Record<string, Attribute>>
}

export type Attribute = { readonly int: number } | { readonly float: number } | { readonly ints: readonly number[] }

export interface ValueInfo {
  readonly name: string
  readonly dtype: DataType
  /** A string is a dimension known by name only. */
  readonly shape: readonly (number | string)[]
}

export interface TensorProto {
  readonly name: string
  readonly dtype: DataType
  readonly dims: readonly number[]
  /** The values in row-major order; called once each time the model is written. */
  readonly read: () => Float32Array | Uint16Array | BigInt64Array
}

export interface EncodedFile {
  readonly byteLength: number
  /** The file, piece by piece; a piece is valid until the next one is asked for. */
  chunks(): Iterable<Uint8Array>
}

export interface EncodedModel extends EncodedFile {
  /** The weights, where they are too many for one file. */
  readonly external: EncodedFile | null
}

export interface EncodeOptions {
  /** Name of the file beside the model for weights that do not fit; null: there may be none. */
  readonly dataFile?: string | null
  /** What fits, in bytes. */
  readonly maxBytes?: number
}

/** Throws UserError when the file would pass `maxBytes`, protobuf's 2 GiB, and no `dataFile` is given. */
export function encodeModel(
  model: ModelProto,
  { dataFile = null, maxBytes = MAX_BYTES }: EncodeOptions = {},
): EncodedModel {
  const inline = encodeWith(model, new Map())
  if (inline.byteLength <= maxBytes) return { ...inline, external: null }
  if (dataFile === null) {
    throw new UserError(
      `the ${model.graph.name} graph would take ${inline.byteLength} bytes; an ONNX file holds at most ${maxBytes}`,
    )
  }
  const locations = externalLocations(model.graph.initializers, dataFile)
  return { ...encodeWith(model, locations), external: encodeData(locations) }
}

interface ExternalLocation {
  readonly location: string
  readonly offset: number
  readonly length: number
}

function externalLocations(tensors: readonly TensorProto[], location: string): Map<TensorProto, ExternalLocation> {
  let end = 0
  const locations = new Map<TensorProto, ExternalLocation>()
  for (const tensor of tensors) {
    const length = rawBytes(tensor)
    if (length < SMALLEST_EXTERNAL) continue
    const offset = Math.ceil(end / PAGE) * PAGE
    locations.set(tensor, { location, offset, length })
    end = offset + length
  }
  return locations
}

function encodeData(locations: ReadonlyMap<TensorProto, ExternalLocation>): EncodedFile {
  const last = [...locations.values()].at(-1)
  return {
    byteLength: last ? last.offset + last.length : 0,
    *chunks() {
      let end = 0
      for (const [tensor, { offset, length }] of locations) {
        yield new Uint8Array(offset - end)
        yield bytesOf(tensor)
        end = offset + length
      }
    },
  }
}

function encodeWith(model: ModelProto, locations: ReadonlyMap<TensorProto, ExternalLocation>): EncodedFile {
  const { graph } = model
  const graphHead = encodeGraphHead(graph)
  const tensors = graph.initializers.map((tensor) => {
    const location = locations.get(tensor)
    return { tensor, location, head: location ? encodeExternalTensor(tensor, location) : encodeTensorHead(tensor) }
  })
  const size = ({ tensor, location, head }: (typeof tensors)[number]) => head.length + (location ? 0 : rawBytes(tensor))
  const weightBytes = tensors.reduce((sum, tensor) => sum + size(tensor), 0)
  const head = encodeModelHead(model, graphHead.length + weightBytes)
  return {
    byteLength: head.length + graphHead.length + weightBytes,
    *chunks() {
      yield head
      yield graphHead
      for (const { tensor, location, head } of tensors) {
        yield head
        if (!location) yield bytesOf(tensor)
      }
    },
  }
}

/** Everything of the model, ending with the tag and the length of the graph, which is the last field. */
function encodeModelHead(model: ModelProto, graphBytes: number): Uint8Array {
  const writer = new BinaryWriter()
  writer.tag(1, WireType.Varint).int64(IR_VERSION)
  writer.tag(2, WireType.LengthDelimited).string(model.producer)
  message(writer, 8, () => writer.tag(2, WireType.Varint).int64(model.opset))
  for (const [key, value] of Object.entries(model.metadata)) {
    message(writer, 14, () => {
      writer.tag(1, WireType.LengthDelimited).string(key)
      writer.tag(2, WireType.LengthDelimited).string(value)
    })
  }
  return writer.tag(7, WireType.LengthDelimited).int64(graphBytes).finish()
}

function encodeGraphHead(graph: GraphProto): Uint8Array {
  const writer = new BinaryWriter()
  for (const node of graph.nodes) message(writer, 1, () => writeNode(writer, node))
  writer.tag(2, WireType.LengthDelimited).string(graph.name)
  for (const input of graph.inputs) message(writer, 11, () => writeValueInfo(writer, input))
  for (const output of graph.outputs) message(writer, 12, () => writeValueInfo(writer, output))
  return writer.finish()
}

function writeNode(writer: BinaryWriter, node: NodeProto): void {
  for (const input of node.inputs) writer.tag(1, WireType.LengthDelimited).string(input)
  for (const output of node.outputs) writer.tag(2, WireType.LengthDelimited).string(output)
  writer.tag(3, WireType.LengthDelimited).string(node.name)
  writer.tag(4, WireType.LengthDelimited).string(node.opType)
  for (const [name, attribute] of Object.entries(node.attributes)) {
    message(writer, 5, () => writeAttribute(writer, name, attribute))
  }
}

function writeAttribute(writer: BinaryWriter, name: string, attribute: Attribute): void {
  writer.tag(1, WireType.LengthDelimited).string(name)
  if ("float" in attribute) {
    writer.tag(2, WireType.Bit32).float(attribute.float)
    writer.tag(20, WireType.Varint).int32(ATTRIBUTE_TYPES.float)
  } else if ("int" in attribute) {
    writer.tag(3, WireType.Varint).int64(attribute.int)
    writer.tag(20, WireType.Varint).int32(ATTRIBUTE_TYPES.int)
  } else {
    for (const value of attribute.ints) writer.tag(8, WireType.Varint).int64(value)
    writer.tag(20, WireType.Varint).int32(ATTRIBUTE_TYPES.ints)
  }
}

function writeValueInfo(writer: BinaryWriter, { name, dtype, shape }: ValueInfo): void {
  writer.tag(1, WireType.LengthDelimited).string(name)
  message(writer, 2, () => {
    message(writer, 1, () => {
      writer.tag(1, WireType.Varint).int32(DATA_TYPES[dtype])
      message(writer, 2, () => {
        for (const dim of shape) message(writer, 1, () => writeDimension(writer, dim))
      })
    })
  })
}

function writeDimension(writer: BinaryWriter, dim: number | string): void {
  if (typeof dim === "number") writer.tag(1, WireType.Varint).int64(dim)
  else writer.tag(2, WireType.LengthDelimited).string(dim)
}

/** An initialiser up to its raw bytes, beginning with its own tag and length in the graph. */
function encodeTensorHead(tensor: TensorProto): Uint8Array {
  const body = new BinaryWriter()
  for (const dim of tensor.dims) body.tag(1, WireType.Varint).int64(dim)
  body.tag(2, WireType.Varint).int32(DATA_TYPES[tensor.dtype])
  body.tag(8, WireType.LengthDelimited).string(tensor.name)
  const head = body.tag(9, WireType.LengthDelimited).int64(rawBytes(tensor)).finish()
  const writer = new BinaryWriter().tag(5, WireType.LengthDelimited)
  return writer
    .int64(head.length + rawBytes(tensor))
    .raw(head)
    .finish()
}

/** An initialiser whose bytes lie in another file. */
function encodeExternalTensor(tensor: TensorProto, location: ExternalLocation): Uint8Array {
  const writer = new BinaryWriter()
  message(writer, 5, () => {
    for (const dim of tensor.dims) writer.tag(1, WireType.Varint).int64(dim)
    writer.tag(2, WireType.Varint).int32(DATA_TYPES[tensor.dtype])
    writer.tag(8, WireType.LengthDelimited).string(tensor.name)
    for (const [key, value] of Object.entries(location)) {
      message(writer, 13, () => {
        writer.tag(1, WireType.LengthDelimited).string(key)
        writer.tag(2, WireType.LengthDelimited).string(String(value))
      })
    }
    writer.tag(14, WireType.Varint).int32(EXTERNAL)
  })
  return writer.finish()
}

function bytesOf(tensor: TensorProto): Uint8Array {
  const { buffer, byteOffset, byteLength } = tensor.read()
  assert(byteLength === rawBytes(tensor), `initialiser ${tensor.name} has ${byteLength} bytes, not ${rawBytes(tensor)}`)
  return new Uint8Array(buffer, byteOffset, byteLength)
}

function rawBytes({ dims, dtype }: TensorProto): number {
  return dims.reduce((product, dim) => product * dim, ITEM_BYTES[dtype])
}

function message(writer: BinaryWriter, field: number, write: () => void): void {
  writer.tag(field, WireType.LengthDelimited).fork()
  write()
  writer.join()
}
