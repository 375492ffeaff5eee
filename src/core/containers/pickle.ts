/**
 * Python's pickles (protocols 2 to 5; opcodes as in CPython's Lib/pickletools.py), read and never executed: a pickle
 * names the functions that it wants called, and only those in the caller's table are called. Numbers come back as number
 * (bigint beyond 2^53), tuples and lists as arrays, dicts as Map, sets as Set, bytes as views of the input.
 *
 * Reading is one pass over the bytes with an explicit stack, so a pickle can neither nest too deep nor take unbounded time.
 */
import { Budget } from "../budget.ts"
import { oneLine, UserError } from "../errors.ts"
import { PickleBytes } from "./pickle-bytes.ts"

/** A function or class that a pickle named; it stays one when the pickle uses it as a value (a dtype, a class). */
export class PickleGlobal {
  constructor(
    /** `module.name` as the pickle has it. */
    readonly name: string,
    readonly call: (...args: readonly unknown[]) => unknown,
  ) {}
}

/** A value that takes the state which a pickle gives to an object after making it (`__setstate__`). */
interface TakesState {
  setState(state: unknown): void
}

interface PickleOptions {
  /** The file, for error messages. */
  readonly name: string
  /** The functions that may be called, by `module.name`. They throw a UserError on arguments that do not fit. */
  readonly globals: Readonly<Record<string, (...args: readonly unknown[]) => unknown>>
  /** Makes the value that stands for an object stored outside of the pickle. */
  readonly persistentLoad?: (id: unknown) => unknown
  /** How much memory the values may take, roughly: a pickle can make 50 bytes out of one. Default: 64 MiB. */
  readonly budget?: Budget
}

/** The one value of a pickle. Throws UserError on anything malformed and on any global that is not in the table. */
export function readPickle(bytes: Uint8Array, options: PickleOptions): unknown {
  return new Pickle(bytes, options).run()
}

/** V8's sizes, rounded up: a slot in the stack, in a list or in the memo; an entry; an empty container. */
const slotBytes = 16
const entryBytes = 48
const textBytes = 24
const listBytes = 64
const dictBytes = 256

/** The most arguments that a function may get, so that going through them takes no time. */
const mostArguments = 64

/** V8 hashes numbers without a secret, so a file could choose keys that all collide. */
export const mostNumbersAsKeys = 10_000

class Pickle {
  private readonly input: PickleBytes
  private readonly stack: unknown[] = []
  /** Heights of the stack at each open MARK. */
  private readonly marks: number[] = []
  private readonly memo: unknown[] = []
  private readonly budget: Budget
  private numbersAsKeys = 0

  constructor(
    bytes: Uint8Array,
    private readonly options: PickleOptions,
  ) {
    this.input = new PickleBytes(bytes, options.name)
    this.budget = options.budget ?? new Budget(2 ** 26, options.name)
  }

  run(): unknown {
    for (;;) {
      const opcode = this.input.uint8()
      if (opcode === 0x2e /* STOP */) return this.pop()
      this.step(opcode)
    }
  }

  private step(opcode: number): void {
    const known = this.steps[opcode]
    if (!known) {
      this.input.fail(`opcode 0x${opcode.toString(16).padStart(2, "0")} is not one that weights are written with`)
    }
    known()
  }

  /** What each opcode does, by its byte. */
  private readonly steps: Readonly<Record<number, () => void>> = {
    128: () => this.checkProtocol(this.input.uint8()), // PROTO
    149: () => this.input.require(this.input.uint64()), // FRAME

    40: () => this.mark(), // MARK
    48: () => this.pop(), // POP
    49: () => this.popMark(), // POP_MARK
    50: () => this.push(this.top()), // DUP

    78: () => this.push(null), // NONE
    136: () => this.push(true), // NEWTRUE
    137: () => this.push(false), // NEWFALSE

    73: () => this.push(this.textInteger(this.input.line())), // INT
    76: () => this.push(this.input.integer(this.input.line().replace(/L$/, ""))), // LONG
    74: () => this.push(this.input.int32()), // BININT
    75: () => this.push(this.input.uint8()), // BININT1
    77: () => this.push(this.input.uint16()), // BININT2
    138: () => this.push(this.input.long(this.input.uint8())), // LONG1
    139: () => this.push(this.input.long(this.input.uint32())), // LONG4
    70: () => this.push(this.input.decimal(this.input.line())), // FLOAT
    71: () => this.push(this.input.float64()), // BINFLOAT

    140: () => this.text(this.input.text(this.input.uint8())), // SHORT_BINUNICODE
    88: () => this.text(this.input.text(this.input.uint32())), // BINUNICODE
    141: () => this.text(this.input.text(this.input.uint64())), // BINUNICODE8
    85: () => this.text(this.input.latin1(this.input.uint8())), // SHORT_BINSTRING: a str of Python 2
    84: () => this.text(this.input.latin1(this.input.uint32())), // BINSTRING
    67: () => this.container(this.input.bytes(this.input.uint8())), // SHORT_BINBYTES
    66: () => this.container(this.input.bytes(this.input.uint32())), // BINBYTES
    142: () => this.container(this.input.bytes(this.input.uint64())), // BINBYTES8
    150: () => this.container(this.input.bytes(this.input.uint64())), // BYTEARRAY8

    41: () => this.container([]), // EMPTY_TUPLE
    93: () => this.container([]), // EMPTY_LIST
    133: () => this.container(this.popMany(1)), // TUPLE1
    134: () => this.container(this.popMany(2)), // TUPLE2
    135: () => this.container(this.popMany(3)), // TUPLE3
    116: () => this.container(this.popMark()), // TUPLE
    108: () => this.container(this.popMark()), // LIST
    125: () => this.container(new Map()), // EMPTY_DICT
    100: () => this.makeDict(this.popMark()), // DICT
    143: () => this.container(new Set()), // EMPTY_SET
    145: () => this.makeSet(this.popMark()), // FROZENSET

    97: () => this.append([this.pop()]), // APPEND
    101: () => this.append(this.popMark()), // APPENDS
    115: () => this.setItems(this.popMany(2)), // SETITEM
    117: () => this.setItems(this.popMark()), // SETITEMS
    144: () => this.addItems(this.popMark()), // ADDITEMS

    99: () => this.pushGlobal(this.input.line(), this.input.line()), // GLOBAL
    147: () => this.pushStackGlobal(), // STACK_GLOBAL
    82: () => this.call(), // REDUCE
    129: () => this.call(), // NEWOBJ
    98: () => this.build(this.pop()), // BUILD
    81: () => this.load(this.pop()), // BINPERSID

    113: () => this.remember(this.input.uint8()), // BINPUT
    114: () => this.remember(this.input.uint32()), // LONG_BINPUT
    148: () => this.remember(this.memo.length), // MEMOIZE
    104: () => this.recall(this.input.uint8()), // BINGET
    106: () => this.recall(this.input.uint32()), // LONG_BINGET
  }

  private checkProtocol(protocol: number): void {
    if (protocol < 2 || protocol > 5) this.input.fail(`protocol ${protocol} is not one of 2 to 5`)
  }

  // -------------------------------------------------------------------------------------------------- the stack

  private mark(): void {
    this.spend(slotBytes)
    this.marks.push(this.stack.length)
  }

  private push(value: unknown): void {
    this.spend(slotBytes)
    this.stack.push(value)
  }

  private container(value: unknown): void {
    this.spend(Array.isArray(value) ? listBytes + value.length * slotBytes : dictBytes)
    this.push(value)
  }

  /** A character may take two bytes. */
  private text(value: string): void {
    this.spend(textBytes + 2 * value.length)
    this.push(value)
  }

  /** Pushes what a function of the table made: at most a copy of an argument, whose size has been counted already. */
  private made(value: unknown): void {
    if (value instanceof Map || value instanceof Set) this.spend(dictBytes + value.size * entryBytes)
    else this.spend(listBytes + (value instanceof Uint8Array ? value.byteLength : 0))
    this.push(value)
  }

  private top(): unknown {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) this.input.fail("a value is missing")
    return this.stack.at(-1)
  }

  private pop(): unknown {
    const value = this.top()
    this.stack.pop()
    return value
  }

  private popMany(count: number): unknown[] {
    if (this.stack.length - count < (this.marks.at(-1) ?? 0)) this.input.fail("a value is missing")
    return this.stack.splice(this.stack.length - count)
  }

  /** What was pushed since the last MARK. */
  private popMark(): unknown[] {
    const height = this.marks.pop() ?? this.input.fail("a mark is missing")
    return this.stack.splice(height)
  }

  /** Picklers count up, from 0 or (Python 2's) from 1. */
  private remember(index: number): void {
    if (index > this.memo.length + 1) this.input.fail(`${index} is remembered before ${this.memo.length}`)
    this.spend(slotBytes)
    this.memo[index] = this.top()
  }

  private recall(index: number): void {
    if (this.memo[index] === undefined) this.input.fail(`nothing was remembered under ${index}`)
    this.push(this.memo[index])
  }

  private spend(bytes: number): void {
    this.budget.take(bytes, "the values of its pickle")
  }

  // ------------------------------------------------------------------------------------------------- containers

  private append(items: readonly unknown[]): void {
    const list = this.top()
    if (!Array.isArray(list)) this.input.fail("items are appended to something that is not a list")
    this.spend(items.length * slotBytes)
    for (const item of items) list.push(item)
  }

  private makeDict(items: readonly unknown[]): void {
    this.container(new Map())
    this.setItems(items)
  }

  private setItems(items: readonly unknown[]): void {
    const dict = this.top()
    if (!(dict instanceof Map)) this.input.fail("items are set in something that is not a dict")
    if (items.length % 2 !== 0) this.input.fail("a key has no value")
    this.spend(items.length * slotBytes)
    for (let i = 0; i < items.length; i += 2) dict.set(this.key(items[i]), items[i + 1])
  }

  private makeSet(items: readonly unknown[]): void {
    this.made(new Set(items.map((item) => this.key(item))))
  }

  private addItems(items: readonly unknown[]): void {
    const set = this.top()
    if (!(set instanceof Set)) this.input.fail("items are added to something that is not a set")
    this.spend(items.length * slotBytes)
    for (const item of items) set.add(this.key(item))
  }

  private key(value: unknown): unknown {
    if (typeof value !== "number" && typeof value !== "bigint") return value
    if (++this.numbersAsKeys > mostNumbersAsKeys) this.input.fail(`more than ${mostNumbersAsKeys} numbers are keys`)
    return value
  }

  /** "5", and the two spellings of the older protocols' booleans. */
  private textInteger(text: string): unknown {
    if (text === "00") return false
    return text === "01" ? true : this.input.integer(text)
  }

  // ---------------------------------------------------------------------------------------------------- objects

  private pushGlobal(module: string, name: string): void {
    const { globals } = this.options
    const fullName = `${module}.${name}`
    if (!Object.hasOwn(globals, fullName)) {
      throw new UserError(
        `${this.options.name}: the pickle asks for \`${oneLine(fullName)}\`, which is neither a tensor nor a container; nothing was executed`,
        "use a file that holds only weights: a state dict, or safetensors",
      )
    }
    this.made(new PickleGlobal(fullName, globals[fullName]!))
  }

  private pushStackGlobal(): void {
    const [module, name] = this.popMany(2)
    if (typeof module !== "string" || typeof name !== "string") this.input.fail("a global's name is not text")
    this.pushGlobal(module, name)
  }

  private call(): void {
    const [callee, args] = this.popMany(2)
    if (!(callee instanceof PickleGlobal)) this.input.fail("something is called that is not a function")
    if (!Array.isArray(args)) this.input.fail(`${callee.name} is called with something that is not a tuple`)
    if (args.length > mostArguments) this.input.fail(`${callee.name} is called with ${args.length} arguments`)
    // A function may go through a list, and can be called with the same one again and again.
    for (const arg of args) if (Array.isArray(arg) && arg.length > mostArguments) this.spend(arg.length * slotBytes)
    this.made(callee.call(...args))
  }

  /** The state of a Map holds attributes, such as a state dict's `_metadata`, and is ignored. */
  private build(state: unknown): void {
    const object = this.top()
    if (takesState(object)) object.setState(state)
    else if (!(object instanceof Map)) this.input.fail("a state is given to something that takes none")
  }

  private load(id: unknown): void {
    const load = this.options.persistentLoad
    if (!load) this.input.fail("it refers to an object outside of itself")
    this.made(load(id))
  }
}

function takesState(value: unknown): value is TakesState {
  return typeof (value as TakesState | null)?.setState === "function"
}
