// Who calls the rules, and until when there has to be an answer.
import type { Log } from './log.ts'

/** The signed-in person behind a request. */
export interface User {
  /** The token's `sub`: identity in rooms, part of room names. */
  id: string
  /** The e-mail address, or the id: what others in a voice room see (A2.2). */
  name: string
  /** A short name, or the id: what others in a video room see (B2). */
  username: string
  /** Whether this is an administrator of the service. */
  admin: boolean
}

/** One call of the rules. A FastifyRequest is one. */
export interface Call {
  id: string
  user: User
  log: Log
  /** On the scale of the clock's `elapsed`, ms. */
  deadline: number
}
