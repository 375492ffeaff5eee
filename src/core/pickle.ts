/**
 * Python's pickle format, read without executing anything: containers, numbers and strings, and whatever the caller's
 * table of globals knows how to make. Anything else is refused by name. Protocols 2 to 5, which is what torch and numpy
 * write. Dicts become Maps; tuples, lists and sets arrays; integers beyond 2^53 bigints.
 *
 * Source: Python's `pickletools` documentation of the opcodes. Time and memory are linear in the bytes: shared values
 * stay shared, nothing recurses.
 */
import { UserError } from "./errors.ts"

/** What a global (`module.name`) makes of the arguments it is called with. */
export type PickleGlobal = (...args: readonly unknown[]) => unknown

export interface PickleOptions {
  /** Of the file, for messages. */
  readonly name: string
  readonly globals: Readonly<Record<string, PickleGlobal>>
  /** Objects kept outside the pickle, by their id. */
  readonly persistentLoad?: (id: unknown) => unknown
}

/** A global that was named, not called. */
export class NamedGlobal {
  constructor(
    /** `module.name` */
    readonly path: string,
    readonly call: PickleGlobal,
  ) {}
}

/** Throws UserError on damage, and on any global that is not in the table. */
export function readPickle(bytes: Uint8Array, options: PickleOptions): unknown {
  return new Machine(bytes, options).run()
}

const mark = Symbol("mark")

class Machine {
  readonly stack: unknown[] = []
  readonly memo = new Map<number, unknown>()
  private readonly view: DataView
  private readonly text = new TextDecoder("utf-8", { fatal: true })
  private position = 0

  constructor(
    private readonly bytes: Uint8Array,
    readonly options: PickleOptions,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  run(): unknown {
    for (;;) {
      const opcode = this.u8()
      if (opcode === STOP) return this.pop()
      const operation = operations[opcode]
      if (!operation) this.fail(`opcode 0x${opcode.toString(16)} at byte ${this.position - 1} is not one we read`)
      operation(this)
    }
  }

  // Operands, which follow their opcode.

  take(length: number): Uint8Array {
    if (!(length >= 0 && length <= this.bytes.length - this.position)) {
      this.fail(`${length} bytes are announced at byte ${this.position}, ${this.bytes.length - this.position} are left`)
    }
    this.position += length
    return this.bytes.subarray(this.position - length, this.position)
  }

  u8(): number {
    return this.take(1)[0]!
  }

  u16(): number {
    this.take(2)
    return this.view.getUint16(this.position - 2, true)
  }

  i32(): number {
    this.take(4)
    return this.view.getInt32(this.position - 4, true)
  }

  u32(): number {
    this.take(4)
    return this.view.getUint32(this.position - 4, true)
  }

  u64(): number {
    this.take(8)
    return Number(this.view.getBigUint64(this.position - 8, true))
  }

  /** Big-endian, as Python writes BINFLOAT. */
  f64(): number {
    this.take(8)
    return this.view.getFloat64(this.position - 8, false)
  }

  string(length: number): string {
    try {
      return this.text.decode(this.take(length))
    } catch (error) {
      if (error instanceof UserError) throw error
      this.fail(`the text before byte ${this.position} is not UTF-8`)
    }
  }

  /** Up to a line feed. */
  line(): string {
    const end = this.bytes.indexOf(0x0a, this.position)
    if (end === -1) this.fail(`a line that begins at byte ${this.position} has no end`)
    const text = this.string(end - this.position)
    this.position += 1
    return text
  }

  /** Two's complement, little-endian. */
  long(length: number): number | bigint {
    const digits = this.take(length)
    // A number of a thousand digits is in no file we read, and making one takes more than linear time.
    if (length > 255) this.fail(`an integer of ${length} bytes at byte ${this.position} is not in any file of weights`)
    let value = 0n
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(digits[i]!)
    const signed = length > 0 ? BigInt.asIntN(8 * length, value) : 0n
    return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed
  }

  // The stack.

  push(value: unknown): void {
    this.stack.push(value)
  }

  pop(): unknown {
    if (this.stack.length === 0 || this.stack.at(-1) === mark) this.fail(`nothing to take at byte ${this.position}`)
    return this.stack.pop()
  }

  popMark(): unknown[] {
    const start = this.stack.lastIndexOf(mark)
    if (start === -1) this.fail(`no mark at byte ${this.position}`)
    const values = this.stack.splice(start + 1)
    this.stack.pop()
    return values
  }

  top<T>(kind: string, is: (value: unknown) => value is T): T {
    const value = this.stack.at(-1)
    if (!is(value)) this.fail(`a ${kind} was expected at byte ${this.position}`)
    return value
  }

  /** The global of this name; refused when the table does not have it. */
  global(module: string, name: string): NamedGlobal {
    const path = `${module}.${name}`
    const { globals } = this.options
    if (Object.hasOwn(globals, path)) return new NamedGlobal(path, globals[path]!)
    const printable = JSON.stringify(path.slice(0, 80))
    throw new UserError(
      `${this.options.name}: its pickle asks for ${printable}, which is neither a tensor nor a container; nothing was executed`,
      "only files of plain weights are read: save the state dict, or use a safetensors file",
    )
  }

  call(callee: unknown, args: unknown): unknown {
    if (!(callee instanceof NamedGlobal) || !Array.isArray(args))
      this.fail(`a call at byte ${this.position} has no function`)
    return callee.call(...args)
  }

  fail(what: string): never {
    throw new UserError(`${this.options.name}: the pickle inside is damaged: ${what}`, "get or write the file again")
  }
}

// ---------------------------------------------------------------------------------------------------------- opcodes

const STOP = 0x2e

const isArray = (value: unknown): value is unknown[] => Array.isArray(value)
const isMap = (value: unknown): value is Map<unknown, unknown> => value instanceof Map

function setItems(m: Machine, items: readonly unknown[]): void {
  const dict = m.top("dict", isMap)
  if (items.length % 2 !== 0) m.fail("a dict has a key without a value")
  for (let i = 0; i < items.length; i += 2) dict.set(items[i], items[i + 1])
}

function append(m: Machine, items: readonly unknown[]): void {
  const list = m.top("list", isArray)
  for (const item of items) list.push(item)
}

function tuple(m: Machine, length: number): void {
  const items = Array.from({ length }, () => m.pop())
  m.push(items.reverse())
}

function get(m: Machine, index: number): void {
  if (!m.memo.has(index)) m.fail(`entry ${index} of the memo is not there`)
  m.push(m.memo.get(index))
}

function put(m: Machine, index: number): void {
  m.memo.set(
    index,
    m.top("value", (value): value is unknown => value !== undefined && value !== mark),
  )
}

/** The item below one or two others: what they are set in. */
function below(m: Machine, count: number, use: (m: Machine, items: unknown[]) => void): void {
  const items = Array.from({ length: count }, () => m.pop()).reverse()
  use(m, items)
}

function persistent(m: Machine): unknown {
  const { persistentLoad } = m.options
  if (!persistentLoad) m.fail("it refers to objects outside of it")
  return persistentLoad(m.pop())
}

function stackGlobal(m: Machine): void {
  const [name, module] = [m.pop(), m.pop()]
  if (typeof name !== "string" || typeof module !== "string") m.fail("a global has no name")
  m.push(m.global(module, name))
}

function reduce(m: Machine): void {
  const [args, callee] = [m.pop(), m.pop()]
  m.push(m.call(callee, args))
}

const operations: Readonly<Record<number, (m: Machine) => void>> = {
  40: (m) => m.push(mark), // MARK
  41: (m) => m.push([]), // EMPTY_TUPLE
  48: (m) => void m.pop(), // POP
  49: (m) => void m.popMark(), // POP_MARK
  50: (m) => m.push(m.top("value", (value): value is unknown => value !== mark)), // DUP
  66: (m) => m.push(m.take(m.u32())), // BINBYTES
  67: (m) => m.push(m.take(m.u8())), // SHORT_BINBYTES
  71: (m) => m.push(m.f64()), // BINFLOAT
  74: (m) => m.push(m.i32()), // BININT
  75: (m) => m.push(m.u8()), // BININT1
  77: (m) => m.push(m.u16()), // BININT2
  78: (m) => m.push(null), // NONE
  81: (m) => m.push(persistent(m)), // BINPERSID
  82: reduce, // REDUCE
  84: (m) => m.push(m.string(m.u32())), // BINSTRING
  85: (m) => m.push(m.string(m.u8())), // SHORT_BINSTRING
  88: (m) => m.push(m.string(m.u32())), // BINUNICODE
  93: (m) => m.push([]), // EMPTY_LIST
  97: (m) => below(m, 1, append), // APPEND
  98: (m) => void m.pop(), // BUILD: attributes of an object, of which we keep none
  99: (m) => m.push(m.global(m.line(), m.line())), // GLOBAL
  100: (m) => {
    // DICT
    const items = m.popMark()
    m.push(new Map())
    setItems(m, items)
  },
  101: (m) => append(m, m.popMark()), // APPENDS
  104: (m) => get(m, m.u8()), // BINGET
  106: (m) => get(m, m.u32()), // LONG_BINGET
  108: (m) => m.push(m.popMark()), // LIST
  113: (m) => put(m, m.u8()), // BINPUT
  114: (m) => put(m, m.u32()), // LONG_BINPUT
  115: (m) => below(m, 2, setItems), // SETITEM
  116: (m) => m.push(m.popMark()), // TUPLE
  117: (m) => setItems(m, m.popMark()), // SETITEMS
  125: (m) => m.push(new Map()), // EMPTY_DICT
  128: (m) => {
    // PROTO
    const protocol = m.u8()
    if (protocol < 2 || protocol > 5) m.fail(`protocol ${protocol} is not one of 2 to 5`)
  },
  129: reduce, // NEWOBJ
  133: (m) => tuple(m, 1), // TUPLE1
  134: (m) => tuple(m, 2), // TUPLE2
  135: (m) => tuple(m, 3), // TUPLE3
  136: (m) => m.push(true), // NEWTRUE
  137: (m) => m.push(false), // NEWFALSE
  138: (m) => m.push(m.long(m.u8())), // LONG1
  139: (m) => m.push(m.long(m.u32())), // LONG4
  140: (m) => m.push(m.string(m.u8())), // SHORT_BINUNICODE
  141: (m) => m.push(m.string(m.u64())), // BINUNICODE8
  142: (m) => m.push(m.take(m.u64())), // BINBYTES8
  143: (m) => m.push([]), // EMPTY_SET
  144: (m) => append(m, m.popMark()), // ADDITEMS
  145: (m) => m.push(m.popMark()), // FROZENSET
  147: stackGlobal, // STACK_GLOBAL
  148: (m) => put(m, m.memo.size), // MEMOIZE
  149: (m) => void m.u64(), // FRAME: its bytes follow
  150: (m) => m.push(m.take(m.u64())), // BYTEARRAY8
}
