/**
 * To be imported before any schema is made: zod tries whether it may compile code, which a strict Content-Security-Policy
 * forbids and reports.
 */
import { config } from "zod"

config({ jitless: true })
