// One way to ask PostgreSQL: bounded in time, and every failure translated to a coded error.
import createError from '@fastify/error'
import pg from 'pg'
import { retryAfter } from '../../src/sessions/errors.ts'

/** PostgreSQL is away, overloaded or too slow: nothing was decided, try again. */
export const DatabaseUnavailable = createError('DATABASE_UNAVAILABLE', 'The service is not available right now. Try again later.', 503)

const STATEMENT_LIMIT = 2000 // ms, also the server's own limit for a statement
const CONNECT_LIMIT = 1000 // ms

export interface Database {
  /**
   * One statement. `deadline` is on the scale of performance.now().
   * Each text is prepared once on each connection; `prepared` false for one whose best plan depends on its values.
   */
  query: <Row extends object>(text: string, values: unknown[], deadline?: number, prepared?: boolean) => Promise<Row[]>
  /** Connections of the pool now, and statements that wait for one. */
  connections: () => { busy: number, idle: number, waiting: number }
  close: () => Promise<void>
}

/**
 * A pool of connections to the PostgreSQL at `url`.
 * @param onError is told of idle connections that broke: without a listener that ends the process
 * @throws DatabaseUnavailable when the database cannot be asked or does not answer in time
 */
export function openDatabase (url: string, onError: (error: Error) => void): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max: 20,
    connectionTimeoutMillis: CONNECT_LIMIT,
    statement_timeout: STATEMENT_LIMIT,
    idle_in_transaction_session_timeout: 5000,
    query_timeout: STATEMENT_LIMIT + 500, // for a connection that is dead without a word
    keepAlive: true
  })
  let closing = false
  pool.on('error', (error) => { if (!closing) onError(error) })
  // Whoever holds a client when its connection breaks is told by the statement that fails; without a listener the process would end.
  pool.on('connect', (client) => { client.on('error', () => {}) })

  return {
    async query (text, values, deadline = Infinity, prepared = true) {
      const name = prepared ? nameOf(text) : undefined
      for (let attempt = 1; ; attempt++) {
        const left = Math.min(STATEMENT_LIMIT + 500, Math.ceil(deadline - performance.now()))
        if (left <= 0) throw new DatabaseUnavailable()
        try {
          // query_timeout of one query: pg reads it from the query's own configuration
          return (await pool.query({ name, text, values, query_timeout: left } as pg.QueryConfig)).rows
        } catch (error) {
          // The server went while it was asked, or before: what only reads is asked once more, of whoever is there now.
          if (attempt === 1 && isBroken(error) && /^\s*select\b/i.test(text)) continue
          throw translate(error)
        }
      }
    },
    connections: () => ({ busy: pool.totalCount - pool.idleCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    async close () {
      closing = true // its sockets may outlive end() by a moment
      await pool.end()
    }
  }
}

/** Texts are few: they are the program's own. */
const names = new Map<string, string>()

function nameOf (text: string): string {
  const known = names.get(text)
  if (known) return known
  const name = `s${names.size + 1}`
  names.set(text, name)
  return name
}

/** The connection broke, or the server said that it is going: https://www.postgresql.org/docs/current/errcodes-appendix.html class 08 and 57P. */
function isBroken (error: unknown): boolean {
  const { code, message } = error as { code?: string, message?: string }
  return code === undefined ? /terminated/i.test(message ?? '') : /^(08|57P0|ECONNRESET$|EPIPE$)/.test(code)
}

// https://www.postgresql.org/docs/current/errcodes-appendix.html: connection, resources, operator intervention, read-only after a failover, lock timeout
const away = /^(08|53|57|25006|55P03)/

function translate (error: unknown): unknown {
  const { code, message } = error as { code?: string, message?: string }
  const unavailable = code === undefined
    ? /timeout|terminated|Connection|ended/i.test(message ?? '') // pg's own errors have no code
    : away.test(code) || /^E[A-Z]+$/.test(code)
  if (!unavailable) return error
  return retryAfter(new DatabaseUnavailable({ cause: error }), 1)
}
