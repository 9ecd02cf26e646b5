// Where a page of numbered lines ended: it says nothing but a place in a list that its reader may see anyway, so it needs no signature.
import { BadCursor } from './errors.ts'

export const cursorOf = (id: string): string => Buffer.from(id).toString('base64url')

/** @throws BadCursor */
export function readCursor (cursor: string): string {
  const id = Buffer.from(cursor, 'base64url').toString()
  if (!/^[1-9][0-9]{0,17}$/.test(id)) throw new BadCursor()
  return id
}
