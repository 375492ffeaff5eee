/** What is found of this machine or of a model: one line each, with a state and, where something is wrong, what to do. */
import { UserError } from "../core/errors.ts"

/** `absent`: something optional that is not here. `warning`: something that works less well. `problem`: something that is broken. */
type State = "ok" | "absent" | "warning" | "problem"

export interface Check {
  readonly section: string
  readonly name: string
  readonly state: State
  /** What was found, in one line. */
  readonly text: string
  /** What to do about it. */
  readonly fix?: string
  /** The same for programs, in `--json`. */
  readonly facts?: Readonly<Record<string, unknown>>
}

/** A maker of checks of one section. */
export function checksOf(section: string) {
  const make =
    (state: State) =>
    (name: string, text: string, more: Pick<Check, "fix" | "facts"> = {}): Check => ({
      section,
      name,
      state,
      text,
      ...more,
    })
  return {
    ok: make("ok"),
    absent: make("absent"),
    warning: make("warning"),
    problem: make("problem"),
    /** What `work` threw, if a user can act on it. */
    failed(name: string, error: unknown): Check {
      if (!(error instanceof UserError)) throw error
      return make("problem")(name, error.message, error.hint === undefined ? {} : { fix: error.hint })
    },
  }
}
