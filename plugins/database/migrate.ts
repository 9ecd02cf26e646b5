// Brings the schema up to date at boot: numbered SQL files, one process at a time.
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import Postgrator from 'postgrator'

const ONE_MIGRATOR = 7_203_116_852

/**
 * Applies the migrations that the database at `url` lacks, each whole or not at all.
 * An advisory lock keeps it to one process: without it, of four that start at once on an empty database one fails.
 * It has a connection of its own, because a migration may take longer than a request's query.
 */
export async function migrate (url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {}) // the statement that is under way says so
  await client.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [ONE_MIGRATOR])
    await new Postgrator({
      driver: 'pg',
      migrationPattern: fileURLToPath(new URL('./migrations/*.do.*.sql', import.meta.url)),
      schemaTable: 'schema_version',
      execQuery: (sql) => client.query(sql),
      execSqlScript: async (sql) => { await client.query(`begin; ${sql}; commit`) }
    }).migrate()
  } finally {
    await client.end() // and with its session the lock
  }
}
