/** How a terminal shows pictures, by what it says of itself in the environment. Nothing is sent to ask it. */
import { WriteStream } from "node:tty"

/** "blocks": two pixels in each cell, as a half block with two colours. */
export const pictureModes = ["auto", "kitty", "iterm", "sixel", "blocks", "none"] as const

export type PictureMode = (typeof pictureModes)[number]

export type PictureProtocol =
  | { readonly kind: "kitty" | "iterm"; readonly isWrapped: boolean }
  | { readonly kind: "sixel" }
  | { readonly kind: "blocks"; readonly colours: "all" | 256 }

interface TerminalFacts {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether the output is a terminal; another one gets pictures only where a mode is named. */
  readonly isTTY: boolean
  readonly platform: NodeJS.Platform
}

/** Null: no pictures. */
export function chooseProtocol(
  mode: PictureMode,
  { env, isTTY, platform }: TerminalFacts = {
    env: process.env,
    isTTY: process.stdout.isTTY === true,
    platform: process.platform,
  },
): PictureProtocol | null {
  const colours = coloursOf(env)
  switch (mode) {
    case "none":
      return null
    case "kitty":
    case "iterm":
      return { kind: mode, isWrapped: env.TMUX !== undefined }
    case "sixel":
      return { kind: "sixel" }
    case "blocks":
      return { kind: "blocks", colours: colours ?? 256 }
    case "auto": {
      if (!isTTY || env.TERM === "dumb" || env.NO_COLOR) return null
      const kind = protocolOf(env)
      if (kind === "sixel") return { kind }
      if (kind !== null) return { kind, isWrapped: false }
      return colours !== null && isUnicode(env, platform) ? { kind: "blocks", colours } : null
    }
    default:
      return mode satisfies never
  }
}

type Environment = TerminalFacts["env"]

/** Null where none is known to work. A multiplexer passes sequences on only where it was told to, so it gets blocks. */
function protocolOf(env: Environment): "kitty" | "iterm" | "sixel" | null {
  const { TERM = "", TERM_PROGRAM = "", LC_TERMINAL = "" } = env
  if (env.TMUX !== undefined || env.STY !== undefined || /^(tmux|screen)/.test(TERM)) return null
  if (env.KITTY_WINDOW_ID !== undefined || /^xterm-(kitty|ghostty)/.test(TERM)) return "kitty"
  if (TERM_PROGRAM === "ghostty" || isKonsole(env.KONSOLE_VERSION)) return "kitty"
  if (["iTerm.app", "WezTerm", "mintty"].includes(TERM_PROGRAM) || LC_TERMINAL === "iTerm2") return "iterm"
  return /^(foot|mlterm|contour)/.test(TERM) ? "sixel" : null
}

/** "220401": pictures came with 22.04. */
function isKonsole(version: string | undefined): boolean {
  return Number(version) >= 220_400
}

/** Null where there are fewer than 256. */
function coloursOf(env: Environment): "all" | 256 | null {
  const bits = WriteStream.prototype.getColorDepth(env as NodeJS.ProcessEnv)
  return bits >= 24 ? "all" : bits >= 8 ? 256 : null
}

function isUnicode(env: Environment, platform: NodeJS.Platform): boolean {
  return platform === "win32" || /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || "")
}
