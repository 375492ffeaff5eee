/** mobileclip evaluate compare */
import type { Command } from "commander"
import type { CommandContext } from "../context.ts"

export function register(_evaluate: Command, _context: CommandContext): void {}
