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
 * | TensorProto    | dims 1, data_type 2, name 8, raw_data 9 (little-endian, as all our hosts are) |
 * | ValueInfoProto | name 1, type 2                                                               |
 * | TypeProto      | tensor_type 1, in it elem_type 1 and shape 2, in that dim 1                  |
 * | Dimension      | dim_value 1, dim_param 2                                                     |
 */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire"
import { assert, UserError } from "../core/errors.ts"

const IR_VERSION = 8
/** TensorProto.DataType. */
export const DATA_TYPES = { float32: 1, int64: 7 } as const
const ITEM_BYTES = { float32: 4, int64: 8 } as const
/** AttributeProto.AttributeType. */
const ATTRIBUTE_TYPES = { float: 1, int: 2, ints: 7 } as const
/** Protobuf's own limit of one message; beyond it ONNX wants external data files, which we do not write. */
const MAX_BYTES = 2 ** 31 - 1

export type DataType = keyof typeof DATA_TYPES

export interface ModelProto {
  readonly producer: string
  readonly opset: number
  readonly metadata: Readonly<Record<string, string>>
  readonly graph: GraphProto
}

export interface GraphProto {
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
  readonly read: () => Float32Array | BigInt64Array
}

export interface EncodedModel {
  readonly byteLength: number
  /** The file, piece by piece; a piece is valid until the next one is asked for. */
  chunks(): Iterable<Uint8Array>
}

/** Throws UserError when the file would pass protobuf's 2 GiB. */
export function encodeModel(model: ModelProto): EncodedModel {
  const { graph } = model
  const graphHead = encodeGraphHead(graph)
  const tensorHeads = graph.initializers.map(encodeTensorHead)
  const weightBytes = graph.initializers.reduce((sum, tensor, i) => sum + tensorHeads[i]!.length + rawBytes(tensor), 0)
  const head = encodeModelHead(model, graphHead.length + weightBytes)
  const byteLength = head.length + graphHead.length + weightBytes
  if (byteLength > MAX_BYTES) {
    throw new UserError(
      `the ${graph.name} graph would take ${byteLength} bytes; an ONNX file holds at most ${MAX_BYTES}`,
    )
  }
  return {
    byteLength,
    *chunks() {
      yield head
      yield graphHead
      for (const [i, tensor] of graph.initializers.entries()) {
        yield tensorHeads[i]!
        yield bytesOf(tensor)
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
  return writer.tag(7, WireType.LengthDelimited).uint32(graphBytes).finish()
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
  const head = body.tag(9, WireType.LengthDelimited).uint32(rawBytes(tensor)).finish()
  const writer = new BinaryWriter().tag(5, WireType.LengthDelimited)
  return writer
    .uint32(head.length + rawBytes(tensor))
    .raw(head)
    .finish()
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
